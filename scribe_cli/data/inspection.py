"""What a matrix holds, whether or not it is counts: a glance at part of it, a tour of all of it. By chunks of cells.

Every number here is a sum, a minimum or a maximum, so the chunks may be of any size: small ones, to bound the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from . import checks, statistics
from .source import Source, blocks
from .statistics import SMALL, GeneTotals

CHUNK_VALUES = 2**22  # read at a time
GLANCE_VALUES = 2**24  # of a larger matrix a glance reads about so many
LARGEST_LOG = 50.0  # the exponential of more is no count


@dataclass(frozen=True)
class Values:
    """What some cells of a matrix hold.

    entries: cells x genes; nonzero, lowest, highest: of the stored values, the last two without missing ones; tally:
    (SMALL,) the number of counts 1, 2, ..., the last of all larger ones, the first of zero; sums, exponentials:
    (least, greatest) sum over a cell's values v, and over its exp(v) - 1, of cells that are not empty.
    """

    findings: checks.Findings
    entries: int
    nonzero: int
    lowest: float
    highest: float
    tally: np.ndarray
    sums: tuple[float, float]
    exponentials: tuple[float, float]

    def merge(self, other: Values) -> Values:
        return Values(
            self.findings.merge(other.findings),
            self.entries + other.entries,
            self.nonzero + other.nonzero,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.tally + other.tally,
            _spanned(self.sums, other.sums),
            _spanned(self.exponentials, other.exponentials),
        )

    @property
    def minimum(self) -> float:
        """Of all entries, the zeros that are not stored included."""
        return min(self.lowest, 0.0) if self.nonzero < self.entries else self.lowest

    @property
    def maximum(self) -> float:
        return max(self.highest, 0.0) if self.nonzero < self.entries else self.highest

    @property
    def zeros(self) -> float:
        """Share of the entries."""
        return 1.0 - self.nonzero / self.entries if self.entries else math.nan

    @property
    def counts(self) -> bool:
        """Whether all are counts and some are not zero."""
        return self.findings.ok and self.nonzero > 0


@dataclass(frozen=True)
class Glance:
    """exact: all cells were read."""

    values: Values
    exact: bool


@dataclass(frozen=True)
class Tour:
    """All of a matrix of counts. total, genes: (C,) counts and genes seen of each cell; by_gene: (G,) each;
    marked: {name: (C,) counts in the genes of that mask}. All but `values` are void where those are no counts."""

    values: Values
    total: np.ndarray
    genes: np.ndarray
    by_gene: GeneTotals
    marked: Mapping[str, np.ndarray]


def glance(source: Source) -> Glance:
    """All of a small matrix; of a large one the first and the last cells and some between, the same every time."""
    plan = _plan(source)
    many = max(3, GLANCE_VALUES // CHUNK_VALUES)
    exact = len(plan) <= many
    if not exact:
        between = np.random.default_rng(0).choice(len(plan) - 2, many - 2, replace=False) + 1
        plan = [plan[i] for i in (0, *sorted(between), len(plan) - 1)]
    found = _nothing()
    for start, stop in plan:
        found = found.merge(_values(source.read(start, stop), start, source.place)[0])
    return Glance(found, exact)


def tour(source: Source, masks: Mapping[str, np.ndarray]) -> Tour:
    """masks: {name: (G,) bool}, sets of genes whose counts are summed for each cell."""
    n_cells, n_genes = source.shape
    total, genes = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
    marked = {name: np.zeros(n_cells, np.int64) for name in masks}
    of_genes = statistics.gene_totals(n_genes)
    values, by_gene = _nothing(), of_genes.empty()
    for start, stop in _plan(source):
        chunk, counts = _values(source.read(start, stop), start, source.place)
        values = values.merge(chunk)
        if not values.findings.ok:
            continue  # the rest is read to say what the whole of it holds
        total[start:stop], genes[start:stop] = counts.sum(axis=1, dtype=np.int64), np.diff(counts.indptr)
        by_gene = of_genes.add(by_gene, counts, start)
        for name, mask in masks.items():
            marked[name][start:stop] = counts @ mask.astype(np.int64)
    return Tour(values, total, genes, by_gene, marked)


def _plan(source: Source) -> list[tuple[int, int]]:
    """(first, last + 1) cells of each chunk."""
    n_cells = source.shape[0]
    mean = max(1, source.rows.stored // max(1, n_cells))
    return list(blocks(n_cells, min(source.block, max(1, CHUNK_VALUES // mean))))


def _nothing() -> Values:
    none = (math.inf, -math.inf)
    return Values(checks.Findings(), 0, 0, *none, np.zeros(SMALL, np.int64), none, none)


def _values(raw: csr_array, first_row: int, place: str) -> tuple[Values, csr_array]:
    """Values of a chunk, and it as counts (void unless they are)."""
    findings, counts = checks.checked(raw, first_row, place)
    known = raw.data[~np.isnan(raw.data)] if raw.dtype.kind == "f" else raw.data
    ends = (float(known.min()), float(known.max())) if len(known) else (math.inf, -math.inf)
    tally = np.bincount(np.minimum(counts.data, SMALL - 1), minlength=SMALL) if findings.ok else np.zeros(SMALL, int)
    nonzero = int(np.count_nonzero(raw.data))
    sums = () if findings.ok else _sums(raw)
    spans = _span(sums), _span(_sums(_unlogged(raw)) if len(sums) and 0 <= ends[0] and ends[1] < LARGEST_LOG else ())
    return Values(findings, int(np.prod(raw.shape)), nonzero, *ends, tally, *spans), counts


def _sums(raw: csr_array) -> np.ndarray:
    """Of each cell that has a value."""
    return np.asarray(raw.sum(axis=1, dtype=float)).ravel()[np.diff(raw.indptr) > 0]


def _unlogged(raw: csr_array) -> csr_array:
    return csr_array((np.expm1(raw.data, dtype=float), raw.indices, raw.indptr), shape=raw.shape)


def _span(values: Iterable[float]) -> tuple[float, float]:
    values = np.asarray(values, float)
    return (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)


def _spanned(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return min(a[0], b[0]), max(a[1], b[1])
