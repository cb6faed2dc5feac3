"""The scale of each coordinate: the diagonal of the negative Hessian of the log joint."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from .problem import Problem

FLATTEST = 1e-2  # of the curvature used for scales: a standard deviation of 10 in the lifted coordinate
# of the curvature a guide starts with: wider, where the data say nothing yet, its draws leave any law of counts behind
FLATTEST_OF_GUIDE = 1.0


def negative_diagonal(problem: Problem):
    """f(thetas, facts, stats, names) -> {site: diagonal of the negative Hessian}, one product per site.

    The product with a vector of ones on a site is its diagonal, since given the rest no two genes and no two
    cells meet (ENGINE.md 9), nor two components whose cells are known. names: of some sites alone. Mixing weights do meet:
    theirs is a row's sum.
    """
    gradient = jax.grad(problem.complete_joint)

    def diagonal(thetas, facts, stats, names=None):
        at = functools.partial(gradient, facts=facts, stats=stats)
        place = {name: i for i, name in enumerate(names or thetas)}

        def add(i, found):
            """A loop, since the products are one program."""
            on = {n: i == place.get(n, -1) for n in thetas}
            ones = {n: jnp.full_like(v, on[n]) for n, v in thetas.items()}
            product = jax.jvp(at, (thetas,), (ones,))[1]
            return {n: jnp.where(on[n], -product[n], h) for n, h in found.items()}

        return jax.lax.fori_loop(0, len(place), add, {n: jnp.zeros_like(thetas[n]) for n in place})

    return diagonal


def scale(diagonal):
    """1/sqrt(curvature) per element; where the density bends the other way, its size still sets the scale."""
    return jax.tree.map(lambda h: 1.0 / jnp.sqrt(jnp.maximum(jnp.abs(h), FLATTEST)), diagonal)


def guide_log_sd(problem: Problem, diagonal) -> dict:
    """log sd of each element of a mean-field guide: rows that stand for several cells carry one cell's curvature."""

    def one(name, h):
        per_cell = h / jnp.maximum(problem.row_weight(name), 1e-12)
        return -0.5 * jnp.log(jnp.maximum(per_cell, FLATTEST_OF_GUIDE))

    return {name: one(name, h) for name, h in diagonal.items()}
