"""Prior families: one file each. A family draws a parameter's theta, rank 3, through the draw context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import registry


@dataclass(frozen=True)
class Family:
    """draw(context, name, prior, axes, site) -> theta.

    name: the parameter's; site: the site's name where the family is a single law; arguments: names of the
    hyperparameters, in the order a recipe lists them.
    """

    name: str
    arguments: tuple[str, ...]
    draw: Callable


def load() -> dict[str, Family]:
    return registry.load(__name__)
