"""The joint mode in the lifted coordinates, by Newton's method with conjugate gradients in a trust region.

Converged means that the decrement g' H^-1 g / 2 of the joint problem is below `tolerance` nats, computed here,
never an optimiser's own word (ENGINE.md, Optimising).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ...errors import NumericalError
from . import curvature
from .problem import Problem

TOLERANCE = 1e-4
MAX_STEPS = 200
MAX_PRODUCTS = 100


@dataclass(frozen=True)
class Mode:
    """thetas of the mode; value: log joint there; decrement in nats; steps taken."""

    thetas: dict
    value: float
    decrement: float
    steps: int
    converged: bool


def _conjugate_gradients(product, gradient, radius):
    """Steihaug's: (step, its product, decrement, inside). Stops at the region's edge or where the curvature is not positive."""
    tolerance = jnp.minimum(1e-2, jnp.sqrt(jnp.linalg.norm(gradient))) * jnp.linalg.norm(gradient)

    def to_edge(p, d):
        pd, dd, pp = p @ d, d @ d, p @ p
        return (-pd + jnp.sqrt(jnp.maximum(pd**2 + dd * (radius**2 - pp), 0.0))) / jnp.maximum(dd, 1e-300)

    def body(state):
        p, hp, r, d, n, _, _ = state
        hd = product(d)
        bend, rr = d @ hd, r @ r
        alpha = rr / jnp.where(bend > 0, bend, 1.0)
        bad = (bend <= 1e-12 * (d @ d)) | (jnp.linalg.norm(p + alpha * d) >= radius)
        size = jnp.where(bad, to_edge(p, d), alpha)
        r_next = r - alpha * hd
        d_next = r_next + (r_next @ r_next) / jnp.maximum(rr, 1e-300) * d
        return p + size * d, hp + size * hd, r_next, d_next, n + 1, bad, jnp.linalg.norm(r_next) <= tolerance

    start = (jnp.zeros_like(gradient), jnp.zeros_like(gradient), -gradient, -gradient, 0, jnp.bool_(False), jnp.bool_(False))
    keep_on = lambda s: ~s[5] & ~s[6] & (s[4] < MAX_PRODUCTS)  # noqa: E731
    p, hp, _, _, _, at_edge, _ = jax.lax.while_loop(keep_on, body, start)
    return p, hp, -(gradient @ p) / 2.0, ~at_edge


def stepper(problem: Problem):
    """f(thetas, held, radius) -> (candidate thetas, value, candidate value, predicted gain, decrement, inside).

    The region is a ball in coordinates scaled by the curvature at the current point; held: sites that stay.
    """

    @jax.jit
    def step(thetas, held, scale, radius, facts, stats):
        centre, unravel = ravel_pytree(thetas)
        scale = ravel_pytree(scale)[0]
        loss = lambda y: -problem.log_joint({**held, **unravel(centre + scale * y)}, facts, stats)  # noqa: E731
        # what all products share is taken once
        (value, gradient), along = jax.linearize(jax.value_and_grad(loss), jnp.zeros_like(centre))
        p, product_of_p, decrement, inside = _conjugate_gradients(lambda v: along(v)[1], gradient, radius)
        gain = -(gradient @ p + 0.5 * p @ product_of_p)
        return unravel(centre + scale * p), value, loss(p), gain, decrement, inside

    def scaled(thetas, held, radius):
        data = problem.facts, problem.stats
        bend = curvature.diagonal(curvature.products(problem, {**held, **thetas}, *data))
        return step(thetas, held, curvature.scale({site: bend[site] for site in thetas}), radius, *data)

    return scaled


def find(
    problem: Problem,
    start: dict,
    on_step: Callable = lambda **_: None,
    tolerance: float = TOLERANCE,
    held: Collection[str] = (),
) -> Mode:
    """The mode from `start` ({site: theta}), in the sites that are not `held`.

    Raises NumericalError where the log joint is not finite at the start.
    """
    step = stepper(problem)
    kept, start = {n: start[n] for n in held}, {n: v for n, v in start.items() if n not in held}
    thetas, radius, value, decrement = start, float(sum(v.size for v in start.values())) ** 0.5, float("nan"), float("inf")
    for i in range(MAX_STEPS):
        candidate, value, reached, gain, decrement, inside = step(thetas, kept, radius)
        value, reached, gain, decrement = (float(v) for v in (value, reached, gain, decrement))
        if value != value or abs(value) == float("inf"):
            raise NumericalError(f"the log density is {-value} at step {i} of the search for the mode")
        on_step(phase="mode", step=i + 1, loss=value, decrement=decrement)
        # below the grain of the log density itself neither the gain nor the ratio can be seen
        grain = 1e-13 * abs(value)
        ratio = (value - reached) / max(gain, 1e-300)
        if bool(inside) and decrement < tolerance:
            better = reached <= value + grain
            return Mode(kept | (candidate if better else thetas), -min(value, reached), decrement, i + 1, True)
        radius = radius * 2.0 if ratio > 0.75 else (radius if ratio > 0.25 else radius / 4.0)
        if reached == reached and (ratio > 1e-4 or abs(value - reached) <= grain):
            thetas = candidate
    return Mode(kept | thetas, -value, decrement, MAX_STEPS, False)
