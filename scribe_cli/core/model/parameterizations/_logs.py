"""Sums and complements on the log scale, for formulas. jax is loaded when they are used: a look at a recipe does without."""

from __future__ import annotations


def log_add(a, b):
    """log(e^a + e^b)."""
    from ...numerics.special import logaddexp

    return logaddexp(*_alike(a, b))


def log_p(logit):
    """log p."""
    from ...numerics.special import log_sigmoid

    return log_sigmoid(logit)


def log_one_plus(x):
    """log(1 + e^x)."""
    from ...numerics.special import softplus

    return softplus(x)


def _alike(a, b):
    import jax.numpy as jnp

    return jnp.broadcast_arrays(a, b)
