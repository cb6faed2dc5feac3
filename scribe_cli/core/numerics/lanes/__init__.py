"""Lanes: ways of summing the one log-likelihood over counts. Each equals the dense lane in value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import registry


@dataclass(frozen=True)
class Halves:
    """A log-likelihood that is linear in what its genes give, and in what its cells give: its mean over independent draws of both

    is that of the means (ENGINE.md 9), so that what reads the counts is done once for all draws.

    apart(kernel, natural, facts, stats) -> (of genes, of cells), arrays of which none holds a number for each entry;
    joined(of genes, of cells, facts, stats) -> the log-likelihood; legal(spec): whether it is linear.
    """

    legal: Callable
    apart: Callable
    joined: Callable


@dataclass(frozen=True)
class Lane:
    """One way to sum.

    legal(spec) -> bool; statistics(spec): the names of what `terms` reads from stats;
    terms(kernel, natural, facts, stats, mix) -> {axes met: number}, whose sum is the log-likelihood; mix: numerics/mixture.py;
    halves: where it has two; batched: whether it can run on some of the cells; shares_rows: whether equal cells may share one row; exact: to rounding.
    """

    name: str
    cost: int
    legal: Callable
    statistics: Callable
    terms: Callable
    halves: Halves | None = None
    batched: bool = False
    shares_rows: bool = False
    exact: bool = True


def load() -> dict[str, Lane]:
    return registry.load(__name__)
