"""Prior families: one file each. A family draws a parameter's theta, rank 3, through the draw context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import registry


@dataclass(frozen=True)
class Family:
    """draw(context, name, prior, axes, site) -> theta, rank 3; start(name, prior, axes, site, theta, centred) -> {site: value}

    the sites at which a draw is `theta`. name: the parameter's; site: the site's name where the family is a single law;
    arguments: names of the hyperparameters, in the order a recipe lists them.
    """

    name: str
    arguments: tuple[str, ...]
    draw: Callable
    start: Callable = lambda name, prior, axes, site, theta, centred: {site: theta}


def start(name: str, prior, axes, site: str, theta, centred: bool) -> dict:
    """{site: value} at which `prior` draws theta (rank 3); centred: as in program.Context."""
    return load()[prior.family].start(name, prior, axes, site, theta, centred)


def load() -> dict[str, Family]:
    return registry.load(__name__)
