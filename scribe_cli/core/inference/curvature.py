"""The curvature of a log joint, site by site, and the scale of each coordinate by it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from .problem import Problem

FLATTEST = 1e-2  # of the curvature used for scales: a standard deviation of 10 in the lifted coordinate
# of the curvature a guide starts with: wider, where the data say nothing yet, its draws leave any law of counts behind
FLATTEST_OF_GUIDE = 1.0


def products(problem: Problem, thetas: dict, facts, stats) -> dict:
    """{site: (sites, *shape)}: the negative Hessian of the log joint times ones on each site, in sorted order.

    On the site itself that is its diagonal, on a site of the same shape what each of its elements shares with that of the other:
    given the rest no two genes and no two cells meet (ENGINE.md 9), nor two components whose cells are known. Mixing weights do
    meet: theirs is a row's sum.
    """
    return _products(problem.complete_joint, thetas, facts, stats)


def diagonal(products: dict) -> dict:
    """{site: diagonal of the negative Hessian}."""
    return {site: products[site][i] for i, site in enumerate(sorted(products))}


@functools.partial(jax.jit, static_argnums=0)
def _products(joint, thetas, facts, stats):
    _, along = jax.linearize(lambda at: jax.grad(joint)(at, facts, stats), thetas)
    names = sorted(thetas)

    def add(i, found):
        ones = {name: jnp.full_like(thetas[name], i == k) for k, name in enumerate(names)}
        return {name: found[name].at[i].set(-v) for name, v in along(ones).items()}

    # a loop: the products are one program
    return jax.lax.fori_loop(0, len(names), add, {name: jnp.zeros((len(names), *thetas[name].shape)) for name in names})


def scale(diagonal):
    """1/sqrt(curvature) per element; where the density bends the other way, its size still sets the scale."""
    return jax.tree.map(lambda h: 1.0 / jnp.sqrt(jnp.maximum(jnp.abs(h), FLATTEST)), diagonal)


def guide_log_sd(problem: Problem, diagonal) -> dict:
    """log sd of each element of a mean-field guide: rows that stand for several cells carry one cell's curvature."""

    def one(name, h):
        per_cell = h / jnp.maximum(problem.weight_of(name), 1e-12)
        return -0.5 * jnp.log(jnp.maximum(per_cell, FLATTEST_OF_GUIDE))

    return {name: one(name, h) for name, h in diagonal.items()}
