"""A Normal with the curvature of the log joint at its mode: elements of sites that meet, and a few directions that all share.

theta = loc + M (y + sum_k (l_k - 1) v_k v_k' y), y standard normal. M is lower triangular within each element, over the sites of
one shape: `log_sd` its diagonal, group `on_<site>` its column of that site. Group `direction_<k>` is l_k v_k, v_k of length 1.
"""

from __future__ import annotations

import jax.numpy as jnp

from . import Guide, mean_field

SLOPE, DIRECTION = "on_", "direction_"


def groups(params, prefix: str) -> dict:
    """{name: {site: array}} of the groups with this prefix, without it."""
    return {group.removeprefix(prefix): values for group, values in params.items() if group.startswith(prefix)}


def _length(direction):
    return jnp.sqrt(sum((v**2).sum() for v in direction.values()))


def within(params, y):
    """M y."""
    found = {site: jnp.exp(log_sd) * y[site] for site, log_sd in params["log_sd"].items()}
    for first, slopes in groups(params, SLOPE).items():
        for site, slope in slopes.items():
            found[site] = found[site] + slope * y[first]
    return found


def points(params, eps):
    y = dict(eps)
    for direction in groups(params, DIRECTION).values():
        length = _length(direction)
        along = sum((d * eps[site]).sum() for site, d in direction.items()) * (length - 1.0) / length**2
        y = {site: v + along * direction[site] for site, v in y.items()}
    moved = within(params, y)
    return {site: loc + moved[site] for site, loc in params["loc"].items()}


def entropy(params, weights):
    """Every element of a row of its own: weights are 1."""
    return mean_field.entropy(params, weights) + sum(jnp.log(_length(d)) for d in groups(params, DIRECTION).values())


def log_sd(params):
    """var = sum_a M_ba^2 + sum_k (l_k^2 - 1) (M v_k)_b^2, since the directions are orthonormal."""
    variance = {site: jnp.exp(2.0 * v) for site, v in params["log_sd"].items()}
    for slopes in groups(params, SLOPE).values():
        variance |= {site: variance[site] + slope**2 for site, slope in slopes.items()}
    for direction in groups(params, DIRECTION).values():
        length = _length(direction)
        moved = within(params, direction)
        variance = {site: v + (1.0 - length**-2.0) * moved[site] ** 2 for site, v in variance.items()}
    return {site: 0.5 * jnp.log(v) for site, v in variance.items()}


MEMBER = Guide("laplace", points, entropy, log_sd)
