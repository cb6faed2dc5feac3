"""Guides: families of distributions over the sites of a model. One file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax

from ... import registry
from ..problem import normals


@dataclass(frozen=True)
class Guide:
    """points(params, eps) -> thetas; entropy(params, weights) -> number; log_sd(params) -> {site: of each element alone}.

    params: {group: {site: array}}, of which `loc` and `log_sd` have every site; eps: standard normal draws in the shape of the
    sites; weights: {site: weight of each element}.
    """

    name: str
    points: Callable
    entropy: Callable
    log_sd: Callable

    def sample(self, params, key, numbers):
        """{site: (numbers, ...)}: the draws of these numbers. Each has a key of its own: it depends on no other draw."""
        shapes = {name: loc.shape for name, loc in params["loc"].items()}
        return jax.vmap(lambda number: self.points(params, normals(jax.random.fold_in(key, number), shapes)))(numbers)


def load(name: str) -> Guide:
    return registry.load(__name__)[name]
