"""From counts and a model to a Problem: the lane, its statistics, the rows that inference runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from ...core.axes import COMPONENT, DATASET
from ...core.facts import Facts
from ...core.inference import components, initial, svi
from ...core.inference.initial import Totals
from ...core.inference.problem import Minibatch, Problem
from ...core.model import program
from ...core.model.spec import ModelSpec
from ...core.numerics import choose, lanes
from ...core.numerics.counts import pack_cell_pairs, pack_pairs, pack_tails
from ...core.numerics.lanes import Lane, smooth
from ...core.padding import filled, ladder, of_kinds
from ...data import statistics
from ...data.counts import CountData
from ...data.facts import facts_of
from ...data.statistics import CellKinds, Histogram
from . import interpolation
from .interpolation import Part

WHOLE = 2**20  # entries up to which the dense lane takes all cells at once; beyond, a minibatch of about as many


@dataclass(frozen=True)
class Collected:
    """What one pass over the counts leaves: the histogram of the counts, the kinds of cells, and facts of all cells.

    The histogram is of each dataset where the model's parameters are. filled: how many rows those of the kinds are filled up to;
    each: whether each cell is a kind of its own, in their order.
    """

    counts: CountData
    histogram: Histogram
    kinds: CellKinds
    cells: Facts
    filled: Callable[[int], int] = of_kinds
    each: bool = False

    @property
    def dataset(self) -> np.ndarray | None:
        """(cells,) codes, where the model has parameters of each dataset."""
        return self.cells.arrays.get("dataset_of_cell")

    @property
    def n_cells(self) -> np.ndarray:
        """Of each dataset, of which there is one where the model does not tell them apart."""
        codes = np.zeros(self.counts.n_cells, int) if self.dataset is None else self.dataset
        return np.bincount(codes, minlength=self.cells.sizes.get(DATASET, 1))

    def apart(self, filled: Callable[[int], int] = ladder) -> Collected:
        """With each cell a kind of its own."""
        if self.each:
            return self
        counts, every = self.counts, np.arange(self.counts.n_cells)
        dataset = np.zeros(len(every), np.int32) if self.dataset is None else self.dataset
        label = np.full(len(every), -1, np.int32)
        kinds = CellKinds(every, np.ones(len(every), int), counts.total, counts.library, dataset, label)
        return replace(self, kinds=kinds, filled=filled, each=True)


def collect(counts: CountData, spec: ModelSpec) -> Collected:
    cells = facts_of(counts, spec)
    dataset = cells.arrays.get("dataset_of_cell")
    tally = statistics.tally(counts.n_genes, dataset, cells.sizes.get(DATASET, 1))
    histogram = statistics.histogram(statistics.collect(tally, counts.chunks()), counts.n_genes)
    kinds = statistics.cell_kinds(counts.total, np.maximum(counts.library, 1.0), dataset)
    return Collected(counts, histogram, kinds, cells)


def problem(collected: Collected, spec: ModelSpec, engine: str, batch_size: int | None, fill: bool) -> Problem:
    """`fill`: rows are those of the kinds of cells, and they and the genes are filled up, for guides; equal cells share one, unless

    they were put apart for a Laplace guide, which tells how sure a cell is. NUTS draws all that there is: cells alone.
    """
    counts, centred = collected.counts, fill and svi.CENTRED
    if batch_size is not None and batch_size < counts.n_cells:
        lane, size = lanes.load()["dense"], batch_size
    else:
        lane = choose.choose(spec, engine)
        whole = not fill or collected.each or batch_size is not None  # who asks for all cells gets them
        size = None if whole else _affordable(lane, counts, collected.cells.sizes.get(COMPONENT, 1))
    if size is not None:
        return Problem(spec, lane, collected.cells, {}, collected.cells, None, _minibatch(counts, size), centred)
    fill = fill and not lane.batched
    rows = _device(filled_rows(lane, collected) if fill else collected.cells)
    row_of_cell = _rows(lane, collected).kinds.row_of_cell if fill else None
    bare = Problem(spec, lane, rows, {}, collected.cells, row_of_cell, centred=centred)
    of_rows = stats(lane, spec, collected, fill, () if lane.exact else parts(collected, bare))
    return replace(bare, stats=of_rows)


def parts(collected: Collected, problem: Problem) -> tuple[Part, ...]:
    """Of a problem of the smooth lane: genes are told apart by where they start."""
    x = point(problem, moments(collected, problem)) if smooth.told_apart(problem.spec) else None
    return interpolation.parts(problem.spec, problem.cells, collected.counts.total, x)


def point(problem: Problem, sites: dict) -> dict:
    """{parameter: log-scale value, rank 3} at sites of the problem."""
    of_sites = lambda sites, facts: program.thetas(problem.spec, facts, sites, problem.centred)  # noqa: E731
    return jax.jit(lambda *at: program.from_thetas(problem.spec, of_sites(*at)))(sites, problem.facts)


def with_more_nodes(collected: Collected, problem: Problem, x: dict, strip: float) -> Problem:
    """The same problem with nodes for a strip of this half width, where genes are at x."""
    found = interpolation.parts(problem.spec, problem.cells, collected.counts.total, x, strip)
    return replace(problem, stats=stats(problem.lane, problem.spec, collected, problem.row_of_cell is not None, found))


def stats(lane: Lane, spec: ModelSpec, collected: Collected, fill: bool, parts: Sequence[Part] = ()) -> dict:
    """What `lane` reads, on the device; `fill`: of `filled_rows`, else of every cell by itself."""
    found = _rows(lane, collected)
    return _device({name: STATISTICS[name](found, fill, parts) for name in lane.statistics(spec)})


def filled_rows(lane: Lane, collected: Collected) -> Facts:
    """Rows that a lane runs on, filled up: of each kind of cell if they may share one, else of each cell."""
    found = _rows(lane, collected)
    return _first_of_kinds(found).filled(found.filled)


def _rows(lane: Lane, collected: Collected) -> Collected:
    return collected if lane.shares_rows else collected.apart()


def start(collected: Collected, problem: Problem, seed: int = 0, on_step: Callable = lambda **_: None) -> dict:
    """{site: value} from the data's moments; for minibatches from the mode of some of the cells, for components from the

    mode with each cell at its likeliest.
    """
    totals = _totals(collected, problem, seed)
    found = moments(collected, problem, totals)
    if problem.minibatch is None and totals.by_component is not None:
        return initial.told_apart(problem, found, totals.responsibilities.argmax(0), on_step)
    if problem.minibatch is None or problem.spec.hierarchical:
        return found
    return initial.refined(problem, found, totals.row, seed, on_step)


def moments(collected: Collected, problem: Problem, totals: Totals | None = None) -> dict:
    """{site: value} from the data's moments alone."""
    totals = totals or _totals(collected, problem, 0)
    facts = problem.facts if problem.row_of_cell is None else _first_of_kinds(_rows(problem.lane, collected))
    return problem.filled(initial.moments(problem.spec, facts, totals, problem.centred))


def _totals(collected: Collected, problem: Problem, seed: int) -> Totals:
    h, counts = collected.histogram, collected.counts
    count, n = h.count.astype(float), h.n.astype(float)
    found = Totals(
        gene=np.bincount(h.gene, n * count, counts.n_genes),
        pairs=np.bincount(h.gene, n * count * (count - 1), counts.n_genes),
        row=counts.total if problem.row_of_cell is None else _rows(problem.lane, collected).kinds.total,
    )
    if collected.dataset is not None:
        rows = h.dataset.astype(np.int64) * counts.n_genes + h.gene
        n_rows = len(collected.n_cells) * counts.n_genes
        found = replace(found, by_dataset=np.bincount(rows, n * count, n_rows).reshape(-1, counts.n_genes))
    return _with_components(found, collected, problem.spec, seed) if problem.spec.mixed else found


def _with_components(found: Totals, collected: Collected, spec: ModelSpec, seed: int) -> Totals:
    """Cells are told apart by what they express, or where components share their means by their totals."""
    mean, csr = spec.role("mean"), collected.counts.csr
    probabilities = components.responsibilities(
        csr,
        collected.cells.sizes[COMPONENT],
        labels=collected.cells.arrays.get("annotation"),
        confidence=spec.annotation_confidence,
        by_composition=COMPONENT in mean.axes,
        seed=seed,
    )
    by_component = probabilities @ csr if COMPONENT in mean.axes else None
    return replace(found, by_component=by_component, responsibilities=probabilities)


def _affordable(lane: Lane, counts: CountData, n_components: int) -> int | None:
    """Cells in a minibatch where the dense lane cannot take all of them at every step."""
    of_cell = counts.n_genes * n_components
    if not lane.batched or counts.n_cells * of_cell <= WHOLE:
        return None
    return min(counts.n_cells, max(16, WHOLE // of_cell))


def _minibatch(counts: CountData, size: int) -> Minibatch:
    return Minibatch(size, lambda rows: counts.kept.some(rows).toarray())


def _first_of_kinds(collected: Collected) -> Facts:
    kinds, cells = collected.kinds, collected.cells
    first = np.zeros(len(kinds.multiplicity), np.int64)
    first[kinds.row_of_cell[::-1]] = np.arange(len(kinds.row_of_cell))[::-1]
    return cells.rows(first, kinds.multiplicity.astype(float))


def _tails(collected: Collected, fill: bool, parts: Sequence[Part]) -> dict:
    return pack_tails(*_packed(collected, fill))


def _pairs(collected: Collected, fill: bool, parts: Sequence[Part]) -> dict:
    return pack_pairs(None, *_packed(collected, fill), fill=fill)


def _cell_pairs(collected: Collected, fill: bool, parts: Sequence[Part]) -> dict:
    return _held(collected, fill, _pairs(collected, fill, parts))


def _parts(collected: Collected, fill: bool, parts: Sequence[Part]) -> tuple:
    return tuple(_part(collected, fill, part) for part in parts)


def _part(collected: Collected, fill: bool, part: Part) -> dict:
    pairs = pack_pairs(part.genes, *_packed(collected, fill), fill=fill)
    return {"pairs": pairs, "cell_pairs": _held(collected, fill, pairs), "nodes": part.nodes}


def _held(collected: Collected, fill: bool, pairs: dict) -> dict:
    counts, width = collected.counts, pairs["nonzero"].shape[1]
    first = np.zeros(counts.n_cells, np.int64) if collected.dataset is None else collected.dataset * width
    return pack_cell_pairs(counts.csr, first, pairs, collected.filled(counts.n_cells) if fill else None)


def _packed(collected: Collected, fill: bool) -> tuple:
    """What `pack_tails` takes."""
    h, n_genes = collected.histogram, collected.counts.n_genes
    return h.gene, h.count, h.n, collected.n_cells, n_genes, h.dataset, ladder(n_genes) if fill else n_genes


def _row_total(collected: Collected, fill: bool, parts: Sequence[Part]) -> np.ndarray:
    if not fill:
        return collected.counts.total.astype(float)
    total = collected.kinds.total.astype(float)
    return filled(total, collected.filled(len(total)), value=0.0)


def _counts(collected: Collected, fill: bool, parts: Sequence[Part]) -> np.ndarray:
    return collected.counts.csr.toarray()


STATISTICS = {
    "tails": _tails,
    "pairs": _pairs,
    "cell_pairs": _cell_pairs,
    "parts": _parts,
    "row_total": _row_total,
    "counts": _counts,
}


def _device(tree):
    """Arrays on the device. By way of NumPy: jax compiles a program for every shape that it makes an array of itself."""
    return jax.tree.map(lambda v: jax.device_put(np.asarray(v)), tree)
