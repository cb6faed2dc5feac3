"""Axes: what a parameter may vary over, and where each axis sits in a rank-3 value.

A value has slots (component, dataset|cell, gene), size 1 where it does not vary. A cell belongs to one
dataset, so the two share a slot. No axis is ever inferred from a shape.
"""

from __future__ import annotations

from collections.abc import Iterable

COMPONENT, DATASET, CELL, GENE, LATENT = "component", "dataset", "cell", "gene", "latent"
SLOT = {COMPONENT: -3, DATASET: -2, CELL: -2, GENE: -1, LATENT: -1}
ORDER = (COMPONENT, DATASET, CELL, GENE, LATENT)

Axes = tuple[str, ...]


def in_order(axes: Iterable[str]) -> Axes:
    """Axes in the order of storage."""
    axes = set(axes)
    return tuple(a for a in ORDER if a in axes)


def union(*sets: Iterable[str]) -> Axes:
    return in_order({a for axes in sets for a in axes})


def without(axes: Iterable[str], *dropped: str) -> Axes:
    return in_order(set(axes) - set(dropped))


def shape3(axes: Axes, sizes: dict[str, int]) -> tuple[int, int, int]:
    """The rank-3 shape of a value with these axes."""
    size = {SLOT[a]: sizes[a] for a in axes}
    return tuple(size.get(slot, 1) for slot in (-3, -2, -1))


def squeezed(axes: Axes, sizes: dict[str, int]) -> tuple[int, ...]:
    """The stored shape of a value with these axes: the axes themselves, in order."""
    return tuple(sizes[a] for a in axes)
