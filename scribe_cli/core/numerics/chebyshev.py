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
    """Of the interval [low, high]: s (k,) the nodes, centre, half; and for `weights` `transform` (k, k) and `slopes` (2, k), those

    of the weights at low and high.
    """
    order, angle = np.arange(k), (np.arange(k) + 0.5) * np.pi / k
    centre, half = (low + high) / 2.0, (high - low) / 2.0
    scale = np.where(order == 0, 1.0, 2.0) / k
    transform = scale[:, None] * np.cos(order[:, None] * angle)
    # T_j'(1) = j^2, T_j'(-1) = (-1)^(j-1) j^2
    at_ends = np.stack([np.where(order % 2, 1.0, -1.0) * order**2, order**2])
    return {
        "s": centre + half * np.cos(angle),
        "centre": centre,
        "half": half,
        "transform": transform,
        "slopes": at_ends @ transform / half,
    }


def weights(s, nodes: dict):
    """(points, k): what each node's value counts for at s (points,).

    Outside the interval the polynomial goes on as a straight line. So does, towards small capture, the log probability of a
    cell, whose slope in log capture nears its total count. Whoever fits says how often that was (run/fitting/audit.py).
    """
    z = (s - nodes["centre"]) / nodes["half"]
    below, above = jnp.minimum(z + 1.0, 0.0) * nodes["half"], jnp.maximum(z - 1.0, 0.0) * nodes["half"]
    z = jnp.clip(z, -1.0, 1.0)
    polynomials = [jnp.ones_like(z), z]
    while len(polynomials) < nodes["s"].shape[0]:
        polynomials.append(2.0 * z * polynomials[-1] - polynomials[-2])
    return jnp.stack(polynomials, 1) @ nodes["transform"] + jnp.stack([below, above], 1) @ nodes["slopes"]
