"""Every coordinate a Normal of its own, in the lifted coordinates."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from ..problem import normals
from . import Guide

HALF_LOG_2PI_E = 0.5 * math.log(2 * math.pi * math.e)


def start(locs, log_sds):
    return {"loc": dict(locs), "log_sd": dict(log_sds)}


def points(params, eps):
    return {n: loc + jnp.exp(params["log_sd"][n]) * eps[n] for n, loc in params["loc"].items()}


def entropy(params, weights):
    return sum((weights[n] * (log_sd + HALF_LOG_2PI_E)).sum() for n, log_sd in params["log_sd"].items())


def sample(params, key, numbers):
    """The draws of these numbers. Each has a key of its own: it depends on no other draw."""
    shapes = {name: loc.shape for name, loc in params["loc"].items()}
    return jax.vmap(lambda number: points(params, normals(jax.random.fold_in(key, number), shapes)))(numbers)


MEMBER = Guide("mean_field", start, points, entropy, sample)
