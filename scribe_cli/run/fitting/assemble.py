"""From counts and a model to a Problem: the lane, its statistics, the rows that inference runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ...core.facts import Facts
from ...core.inference import initial
from ...core.inference.problem import Minibatch, Problem
from ...core.model.spec import ModelSpec
from ...core.numerics import choose, lanes
from ...core.numerics.counts import pack_tails
from ...core.numerics.lanes import Lane
from ...data import statistics
from ...data.counts import CountData
from ...data.facts import facts_of
from ...data.statistics import CellKinds, Histogram

WHOLE = 2**20  # entries up to which the dense lane takes all cells at once; beyond, a minibatch of about as many


@dataclass(frozen=True)
class Collected:
    """What one pass over the counts leaves: the histogram of the counts, the kinds of cells, and facts of all cells."""

    counts: CountData
    histogram: Histogram
    kinds: CellKinds
    cells: Facts


def collect(counts: CountData, spec: ModelSpec) -> Collected:
    tally = statistics.collect(statistics.tally(counts.n_genes), counts.chunks())
    cells = facts_of(counts, spec)
    kinds = statistics.cell_kinds(counts.total, np.maximum(counts.library, 1.0))
    return Collected(counts, statistics.histogram(tally, counts.n_genes), kinds, cells)


def problem(collected: Collected, spec: ModelSpec, engine: str, batch_size: int | None, share_rows: bool) -> Problem:
    """`share_rows`: equal cells share a row, for engines that allow it (mode and mean-field; never NUTS)."""
    counts = collected.counts
    if batch_size is not None and batch_size < counts.n_cells:
        lane, size = lanes.load()["dense"], batch_size
    else:
        lane = choose.choose(spec, engine)
        size = _affordable(lane, counts) if share_rows else None
    if size is not None:
        return Problem(spec, lane, collected.cells, {}, _device(collected.cells), minibatch=_minibatch(counts, size))
    rows, row_of_cell = _device(collected.cells), None
    if share_rows and lane.shares_rows:
        rows, row_of_cell = _shared_rows(collected), collected.kinds.row_of_cell
    return Problem(spec, lane, rows, stats(lane, collected, row_of_cell is not None), _device(collected.cells), row_of_cell)


def stats(lane: Lane, collected: Collected, shared: bool) -> dict:
    """What `lane` reads, on the device; `shared`: of one row for each kind of cell."""
    return _device({name: STATISTICS[name](collected, shared) for name in lane.statistics})


def start(collected: Collected, problem: Problem, seed: int = 0, on_step: Callable = lambda **_: None) -> dict:
    """{site: theta} from the data's moments, and for minibatches from the mode of some of the cells."""
    h, kinds = collected.histogram, collected.kinds
    count, n = h.count.astype(float), h.n.astype(float)
    genes = collected.counts.n_genes
    totals = {
        "gene": np.bincount(h.gene, n * count, genes),
        "pairs": np.bincount(h.gene, n * count * (count - 1), genes),
        "row": collected.counts.total if problem.row_of_cell is None else kinds.total,
    }
    found = _device(initial.moments(problem.spec, problem.facts, totals))
    if problem.minibatch is None or problem.spec.hierarchical:
        return found
    return initial.refined(problem, found, totals["row"], seed, on_step)


def _affordable(lane: Lane, counts: CountData) -> int | None:
    """Cells in a minibatch where the dense lane cannot take all of them at every step."""
    if not lane.batched or counts.n_cells * counts.n_genes <= WHOLE:
        return None
    return min(counts.n_cells, max(16, WHOLE // counts.n_genes))


def _minibatch(counts: CountData, size: int) -> Minibatch:
    return Minibatch(size, lambda rows: counts.csr[rows].toarray())


def _shared_rows(collected: Collected) -> Facts:
    kinds, cells = collected.kinds, collected.cells
    first = np.zeros(len(kinds.multiplicity), np.int64)
    first[kinds.row_of_cell[::-1]] = np.arange(len(kinds.row_of_cell))[::-1]
    return _device(cells.rows(first, kinds.multiplicity.astype(float)))


def _tails(collected: Collected, shared: bool) -> dict:
    h, counts = collected.histogram, collected.counts
    return pack_tails(h.gene, h.count, h.n, counts.n_cells, counts.n_genes)


def _row_total(collected: Collected, shared: bool) -> np.ndarray:
    return (collected.kinds.total if shared else collected.counts.total).astype(float)


def _counts(collected: Collected, shared: bool) -> np.ndarray:
    return collected.counts.csr.toarray()


STATISTICS = {"tails": _tails, "row_total": _row_total, "counts": _counts}


def _device(tree):
    return jax.tree.map(jnp.asarray, tree)
