"""The shared core: statistics only. Imports jax, numpyro, optax, numpy and scipy, and nothing of the tool around it."""
