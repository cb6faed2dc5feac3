"""Arrays only: special functions, kernels, and the ways of summing them. Knows no parameter called mu."""
