"""Interpolation in log capture: a function of it is known at K nodes, and elsewhere by its polynomial (ENGINE.md 4).

The polynomial is one of z = sin(c x) / sin(c), x being log capture moved to [-1, 1]: that bends a strip around the real line,
in which laws of counts are analytic, into nearly an ellipse, and a fifth of the nodes are saved (the map of Kosloff and Tal-Ezer
1993; Hale and Trefethen 2008). For f analytic in the Bernstein ellipse rho of z and bounded there by M, the error is at most
4 M rho^-K / (rho - 1) (Trefethen 2013, Theorem 8.2). log(1 + theta e^s) is analytic for |Im s| < pi, whatever theta.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

STRIP = math.pi  # half width of the strip around the real line in which log(1 + theta e^s) is analytic
TOLERANCE = 2.5e-10  # of the bound, relative to M
FEWEST, MANY = 8, 32
LANES = 4  # numbers in a vector register: products with tables of 26 columns take half as long again as with 28


def bend(half: float, strip: float = STRIP) -> float:
    """c, of an interval of half width `half` and a function that is analytic in |Im s| < strip.

    The strip's edge comes down to an imaginary z of sinh(c strip / half) / sin c, the map's own branch points are at +-1 / sin c:
    both are on the ellipse rho = cot(c / 2) where sinh(c strip / half) = cos c.
    """
    return brentq(lambda c: math.sinh(c * strip / half) - math.cos(c), 0.0, math.pi / 2)


def needed(half: float, strip: float = STRIP, tolerance: float = TOLERANCE) -> int:
    """Nodes on an interval of half width `half` for a function that is analytic in |Im s| < strip: a multiple of LANES, and past

    MANY of two of them, since the range of captures differs between like data and that number with it.
    """
    rho = 1.0 / math.tan(bend(half, strip) / 2.0)
    n = math.log(4.0 / (tolerance * (rho - 1.0))) / math.log(rho)
    several = LANES if n <= MANY else 2 * LANES
    return max(FEWEST, several * math.ceil(n / several))


def nodes(low: float, high: float, k: int, strip: float = STRIP) -> dict:
    """Of the interval [low, high]: s (k,) the nodes, centre, half, bend; and for `weights` `transform` (k, k) and `slopes` (2, k),

    those of the weights at low and high. strip: as in `bend`.
    """
    order, angle = np.arange(k), (np.arange(k) + 0.5) * np.pi / k
    centre, half = (low + high) / 2.0, (high - low) / 2.0
    c = bend(half, strip)
    scale = np.where(order == 0, 1.0, 2.0) / k
    transform = scale[:, None] * np.cos(order[:, None] * angle)
    # T_j'(1) = j^2, T_j'(-1) = (-1)^(j-1) j^2; dz/dx = c cot c at both
    at_ends = np.stack([np.where(order % 2, 1.0, -1.0) * order**2, order**2]) * (c / math.tan(c))
    return {
        "s": centre + half * np.arcsin(np.sin(c) * np.cos(angle)) / c,
        "centre": centre,
        "half": half,
        "bend": c,
        "transform": transform,
        "slopes": at_ends @ transform / half,
    }


def weights(s, nodes: dict):
    """(points, k): what each node's value counts for at s (points,).

    Outside the interval the polynomial goes on as a straight line. So does, towards small capture, the log probability of a
    cell, whose slope in log capture nears its total count. Whoever fits says how often that was (run/fitting/audit.py).
    """
    return of_rows(rows(s, nodes), nodes)


def of_rows(rows, nodes: dict):
    """`weights` of `rows`, linear in them."""
    return rows.T @ jnp.concatenate([nodes["transform"], nodes["slopes"]])


def rows(s, nodes: dict):
    """(k + 2, points): the polynomials at s (points,), and how far s is below the interval (no more than 0) and above."""
    x = (s - nodes["centre"]) / nodes["half"]
    below, above = jnp.minimum(x + 1.0, 0.0) * nodes["half"], jnp.maximum(x - 1.0, 0.0) * nodes["half"]
    z = jnp.sin(nodes["bend"] * jnp.clip(x, -1.0, 1.0)) / jnp.sin(nodes["bend"])
    return jnp.concatenate([_polynomials(z, nodes["s"].shape[0]), jnp.stack([below, above])])


def _two_by_two(z, k: int):
    """T_0 to T_k-1 at z, (k, points): one from the two before it. A compiled stack of them would take each anew from the first."""
    _, found = jax.lax.scan(lambda two, _: ((two[1], 2.0 * z * two[1] - two[0]), two[0]), (jnp.ones_like(z), z), None, length=k)
    return found


def _in_a_stack(z, k: int):
    """The same. A sum of them, which their slope is, compiles to Clenshaw's."""
    found = [jnp.ones_like(z), z]
    while len(found) < k:
        found.append(2.0 * z * found[-1] - found[-2])
    return jnp.stack(found)


_polynomials = jax.custom_vjp(_two_by_two, nondiff_argnums=(1,))
_polynomials.defvjp(
    lambda z, k: (_two_by_two(z, k), z),
    lambda k, z, slope: jax.vjp(lambda z: _in_a_stack(z, k), z)[1](slope),
)
