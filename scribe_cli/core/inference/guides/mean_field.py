"""Every coordinate a Normal of its own, in the lifted coordinates."""

from __future__ import annotations

import math

import jax.numpy as jnp

from . import Guide

HALF_LOG_2PI_E = 0.5 * math.log(2 * math.pi * math.e)


def points(params, eps):
    return {n: loc + jnp.exp(params["log_sd"][n]) * eps[n] for n, loc in params["loc"].items()}


def entropy(params, weights):
    return sum((weights[n] * (log_sd + HALF_LOG_2PI_E)).sum() for n, log_sd in params["log_sd"].items())


MEMBER = Guide("mean_field", points, entropy, lambda params: params["log_sd"])
