"""Nodes of log capture, between which the smooth lane interpolates: how many, of which genes, and whether they were enough."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from ...core.axes import CELL, DATASET, GENE
from ...core.facts import Facts
from ...core.inference import initial
from ...core.inference.problem import Problem
from ...core.model import program
from ...core.model.spec import ModelSpec
from ...core.numerics import chebyshev, kernels
from ...core.numerics.lanes import smooth

ENOUGH = 0.5  # nats that may be lost between nodes, of all cells; by bounds, of which little comes true
NARROWER = 0.9, 0.6  # half widths of the strip, for more nodes where that was not so


@dataclass(frozen=True)
class Part:
    """Genes that share nodes. genes: (n_genes,) whether each is one of them; nodes: as chebyshev.nodes has them."""

    genes: np.ndarray
    nodes: dict


@dataclass(frozen=True)
class Nodes:
    """Of an engine that interpolates: the parts of genes with their nodes, and what may be lost between these, in nats."""

    parts: tuple[Part, ...] = ()
    lost: float = 0.0


def parts(spec: ModelSpec, facts: Facts, row_total, x: dict | None = None, strip: float | None = None) -> tuple[Part, ...]:
    """For cells of these facts and totals. x: {parameter: log-scale value}, by which genes are told apart where they may be:

    where zeros are smooth, nodes of the whole strip will do. strip: its half width for the others, if not that of the lane.
    """
    low, high = initial.capture_range(spec, facts, row_total)
    of_strip = lambda strip: chebyshev.nodes(low, high, chebyshev.needed((high - low) / 2.0, strip), strip)  # noqa: E731
    few = np.zeros(facts.sizes[GENE], bool)
    if x is not None and smooth.told_apart(spec):
        few = _few_will_do(spec, facts, x, of_strip(chebyshev.STRIP))
    found = Part(few, of_strip(chebyshev.STRIP)), Part(~few, of_strip(strip or smooth.strip(spec)))
    return tuple(part for part in found if part.genes.any())


def _few_will_do(spec: ModelSpec, facts: Facts, x: dict, nodes: dict) -> np.ndarray:
    codes = facts.arrays.get("dataset_of_cell", np.zeros(facts.sizes[CELL], int))
    n_cells = np.bincount(np.asarray(codes), minlength=facts.sizes.get(DATASET, 1)).astype(float)[None, :, None]
    few = jax.jit(lambda x, *of: smooth.few_will_do(kernels.load(spec.kernel), program.natural(spec, x), *of))
    found = np.asarray(few(x, nodes, n_cells))
    return found[: facts.sizes[GENE]]


def doubtful(problem: Problem) -> bool:
    """Whether there are nodes, and no bound says that they are enough."""
    return "parts" in problem.stats and smooth.doubtful(problem.spec)


def lost(problem: Problem, x: dict) -> float:
    """Nats that may be lost between the nodes at x, {parameter: log-scale value}."""
    spec = problem.spec
    return float(jax.jit(lambda x, stats: smooth.lost(kernels.load(spec.kernel), program.natural(spec, x), stats))(x, problem.stats))


def of(problem: Problem) -> tuple[Part, ...]:
    """Those of a problem; none where its lane has no nodes."""
    everyone = np.zeros(problem.cells.sizes[GENE], bool)
    found = []
    for part in problem.stats.get("parts", ()):
        genes = everyone.copy()
        order, present = (np.asarray(part["pairs"][name]) for name in ("order", "present"))
        genes[order[present[0] > 0]] = True
        found.append(Part(genes, jax.tree.map(np.asarray, part["nodes"])))
    return tuple(found)
