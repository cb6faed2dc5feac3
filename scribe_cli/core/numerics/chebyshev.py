"""Interpolation in log capture: a function of it is known at K nodes, and elsewhere by its polynomial (ENGINE.md 4).

For f analytic in the Bernstein ellipse rho and bounded there by M, the error is at most 4 M rho^-K / (rho - 1) (Trefethen 2013,
Theorem 8.2). log(1 + theta e^s) is analytic for |Im s| < pi, whatever theta.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

STRIP = math.pi  # half width of the strip around the real line in which log(1 + theta e^s) is analytic
TOLERANCE = 1e-9  # of the bound, relative to M
FEWEST = 8


def ellipse(z) -> np.ndarray:
    """rho of the Bernstein ellipse through the complex point(s) z, of [-1, 1]."""
    z = np.asarray(z, complex)
    root = np.sqrt(z * z - 1.0)
    return np.maximum(np.abs(z + root), np.abs(z - root))


def needed(half: float, strip: float = STRIP, tolerance: float = TOLERANCE) -> int:
    """Nodes on an interval of half width `half` for a function that is analytic in |Im s| < strip."""
    rho = float(ellipse(1j * strip / half))
    return max(FEWEST, math.ceil(math.log(4.0 / (tolerance * (rho - 1.0))) / math.log(rho)))


def nodes(low: float, high: float, k: int) -> dict:
    """Of the interval [low, high]: s (k,) the nodes, centre, half, and `transform` (k, k), for `weights`."""
    order, angle = np.arange(k), (np.arange(k) + 0.5) * np.pi / k
    centre, half = (low + high) / 2.0, (high - low) / 2.0
    scale = np.where(order == 0, 1.0, 2.0) / k
    return {
        "s": centre + half * np.cos(angle),
        "centre": centre,
        "half": half,
        "transform": scale[:, None] * np.cos(order[:, None] * angle),
    }


def weights(s, nodes: dict):
    """(points, k): what each node's value counts for at s (points,); of points outside the interval NaN, never a guess."""
    z = (s - nodes["centre"]) / nodes["half"]
    polynomials = [jnp.ones_like(z), z]
    while len(polynomials) < nodes["s"].shape[0]:
        polynomials.append(2.0 * z * polynomials[-1] - polynomials[-2])
    inside = jnp.abs(z) <= 1.0 + 1e-9
    return jnp.where(inside[:, None], jnp.stack(polynomials, 1) @ nodes["transform"], jnp.nan)
