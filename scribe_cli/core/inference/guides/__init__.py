"""Guides: families of distributions over the sites of a model. One file each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import registry


@dataclass(frozen=True)
class Guide:
    """start(locs, log_sds) -> params; points(params, eps) -> thetas; entropy(params, weights) -> number;

    sample(params, key, numbers) -> {site: (numbers, ...)}, a draw for each number, none depending on the others.
    params: {group: {site: array}}; eps: standard normal draws in the shape of the sites; weights: {site: weight of
    each element}.
    """

    name: str
    start: Callable
    points: Callable
    entropy: Callable
    sample: Callable


def load(name: str) -> Guide:
    return registry.load(__name__)[name]
