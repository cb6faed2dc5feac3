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
        _, along = jax.linearize(functools.partial(gradient, facts=facts, stats=stats), thetas)
        place = {name: i for i, name in enumerate(names or thetas)}

        def add(i, found):
            product = _product(along, thetas, place, i)
            return {n: jnp.where(i == place[n], product[n], h) for n, h in found.items()}

        return jax.lax.fori_loop(0, len(place), add, {n: jnp.zeros_like(thetas[n]) for n in place})

    return diagonal


def products(problem: Problem):
    """f(thetas, facts, stats) -> {site: (sites, *shape)}: the same products, of each site in its order, with all sites.

    On a site of the same shape it is what each of its elements shares with that of the other.
    """
    gradient = jax.grad(problem.complete_joint)

    def of_all(thetas, facts, stats):
        _, along = jax.linearize(functools.partial(gradient, facts=facts, stats=stats), thetas)
        place = {name: i for i, name in enumerate(thetas)}

        def add(i, found):
            product = _product(along, thetas, place, i)
            return {n: v.at[i].set(product[n]) for n, v in found.items()}

        return jax.lax.fori_loop(0, len(place), add, {n: jnp.zeros((len(place), *v.shape)) for n, v in thetas.items()})

    return of_all


def _product(along, thetas, place, i):
    """{site: negative Hessian times ones on the site of place i}; of a loop over i, since the products are one program."""
    ones = {n: jnp.full_like(v, i == place.get(n, -1)) for n, v in thetas.items()}
    return jax.tree.map(jnp.negative, along(ones))


def scale(diagonal):
    """1/sqrt(curvature) per element; where the density bends the other way, its size still sets the scale."""
    return jax.tree.map(lambda h: 1.0 / jnp.sqrt(jnp.maximum(jnp.abs(h), FLATTEST)), diagonal)


def guide_log_sd(problem: Problem, diagonal) -> dict:
    """log sd of each element of a mean-field guide: rows that stand for several cells carry one cell's curvature."""

    def one(name, h):
        per_cell = h / jnp.maximum(problem.weight_of(name), 1e-12)
        return -0.5 * jnp.log(jnp.maximum(per_cell, FLATTEST_OF_GUIDE))

    return {name: one(name, h) for name, h in diagonal.items()}
