"""Supports: the lifted coordinate theta of a parameter, its log-scale value x, its value, and the ways between.

theta is real and is what laws and guides speak of; x is log, logit or log-simplex and is what
parameterizations map; the value is for reports (MODELS.md 3, "Lifted coordinates").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ..numerics.special import log_expm1, log_softplus


@dataclass(frozen=True)
class Support:
    """to_log: theta -> x; from_log: x -> theta; value: x -> value; from_value: value -> x."""

    name: str
    coordinate: str
    domain: str
    to_log: Callable
    from_log: Callable
    value: Callable
    from_value: Callable


def _same(x):
    return x


def _logit(p):
    return jnp.log(p) - jnp.log1p(-p)


SUPPORTS = {
    s.name: s
    for s in (
        Support("positive", "log", "(0, inf)", _same, _same, jnp.exp, jnp.log),
        Support(
            "positive_softplus", "softplus^-1", "(0, inf)", log_softplus, lambda x: log_expm1(jnp.exp(x)), jnp.exp, jnp.log
        ),
        Support("unit", "logit", "(0, 1)", _same, _same, jax.nn.sigmoid, _logit),
        Support("real", "identity", "(-inf, inf)", _same, _same, _same, _same),
        # theta of a simplex has one element less along component: log(w_k / w_K)
        Support(
            "simplex",
            "log-ratio",
            "simplex",
            lambda t: jax.nn.log_softmax(jnp.concatenate([t, jnp.zeros_like(t[..., :1, :, :])], -3), -3),
            lambda x: x[..., :-1, :, :] - x[..., -1:, :, :],
            jnp.exp,
            jnp.log,
        ),
    )
}
