"""Sums over cells that the lanes need. Each is a pure function of a chunk with an associative merge.

A chunk is (first row, csr of int32 counts, cells x fitted genes). Integer statistics add in any order; float ones
are bit-equal only under one plan and one tree over its blocks, which `collect` is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

SMALL = 16  # counts below it are tallied in a dense table; the others as sorted keys


@dataclass(frozen=True)
class Statistic:
    """of(csr, first_row): a chunk's own state; merge(a, b): that of both, b below a."""

    empty: Callable[[], Any]
    of: Callable[[csr_array, int], Any]
    merge: Callable[[Any, Any], Any]

    def add(self, state, csr: csr_array, first_row: int):
        return self.merge(state, self.of(csr, first_row))


def collect(statistic: Statistic, chunks: Iterable[tuple[int, csr_array]]):
    """The statistic of all chunks, merged along the binary tree over the blocks."""
    pending: list[tuple[int, Any]] = []
    for first_row, csr in chunks:
        level, state = 0, statistic.of(csr, first_row)
        while pending and pending[-1][0] == level:
            level, state = level + 1, statistic.merge(pending.pop()[1], state)
        pending.append((level, state))
    if not pending:
        return statistic.empty()
    state = pending.pop()[1]
    while pending:
        state = statistic.merge(pending.pop()[1], state)
    return state


@dataclass(frozen=True)
class GeneTotals:
    """Per gene, int64: total count, cells with a count, largest count."""

    total: np.ndarray
    cells: np.ndarray
    maximum: np.ndarray


def gene_totals(n_genes: int) -> Statistic:
    def of(csr: csr_array, first_row: int) -> GeneTotals:
        by_gene = csr.tocsc()  # reduceat over sorted runs: ufunc.at costs ten times as much
        cells = np.diff(by_gene.indptr).astype(np.int64)
        seen, first = cells > 0, by_gene.indptr[:-1]
        total, maximum = np.zeros(n_genes, np.int64), np.zeros(n_genes, np.int64)
        total[seen] = np.add.reduceat(by_gene.data, first[seen], dtype=np.int64)
        maximum[seen] = np.maximum.reduceat(by_gene.data, first[seen])
        return GeneTotals(total, cells, maximum)

    return Statistic(
        lambda: GeneTotals(*(np.zeros(n_genes, np.int64) for _ in range(3))),
        of,
        lambda a, b: GeneTotals(a.total + b.total, a.cells + b.cells, np.maximum(a.maximum, b.maximum)),
    )


@dataclass(frozen=True)
class Histogram:
    """n cells of `dataset` have `count` (>= 1) of `gene`; by dataset, gene, count. int32, int32, int32, int64."""

    dataset: np.ndarray
    gene: np.ndarray
    count: np.ndarray
    n: np.ndarray


@dataclass(frozen=True)
class Tally:
    """State of the histogram. dense: (datasets * genes, SMALL); key = row << 32 | count, sorted, n of each."""

    dense: np.ndarray
    key: np.ndarray
    n: np.ndarray


def tally(n_genes: int, dataset: np.ndarray | None = None, n_datasets: int = 1) -> Statistic:
    """The (dataset, gene, count) histogram as a Tally; dataset: code of each cell."""
    size = n_datasets * n_genes

    def of(csr: csr_array, first_row: int) -> Tally:
        row = csr.indices.astype(np.int64)
        if dataset is not None:
            codes = np.asarray(dataset[first_row : first_row + csr.shape[0]], np.int64)
            row += np.repeat(codes * n_genes, np.diff(csr.indptr))
        small = csr.data < SMALL
        dense = np.bincount(row[small] * SMALL + csr.data[small], minlength=size * SMALL).reshape(size, SMALL)
        key, n = np.unique(row[~small] << 32 | csr.data[~small], return_counts=True)
        return Tally(dense, key, n)

    def merge(a: Tally, b: Tally) -> Tally:
        return Tally(a.dense + b.dense, *_summed(np.concatenate([a.key, b.key]), np.concatenate([a.n, b.n])))

    none = np.zeros(0, np.int64)
    return Statistic(lambda: Tally(np.zeros((size, SMALL), np.int64), none, none), of, merge)


def _summed(key: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, sorted, with the sum of their n."""
    order = np.argsort(key, kind="stable")
    distinct, first = np.unique(key[order], return_index=True)
    return distinct, np.add.reduceat(n[order], first) if len(first) else n


def histogram(state: Tally, n_genes: int) -> Histogram:
    row, count = np.nonzero(state.dense)
    key = np.concatenate([row << 32 | count, state.key])
    n = np.concatenate([state.dense[row, count], state.n])
    order = np.argsort(key)
    row, count = key[order] >> 32, key[order] & 0xFFFFFFFF
    return Histogram(*(x.astype(np.int32) for x in (row // n_genes, row % n_genes, count)), n[order])


@dataclass(frozen=True)
class CellKinds:
    """Distinct kinds of cell: dataset, label (-1: none), fitted total, the prior's library size.

    row_of_cell: (C,) the kind of each cell; multiplicity: (U,) cells of each kind; the others: (U,).
    """

    row_of_cell: np.ndarray
    multiplicity: np.ndarray
    total: np.ndarray
    library: np.ndarray
    dataset: np.ndarray
    label: np.ndarray


def cell_kinds(
    total: np.ndarray, library: np.ndarray, dataset: np.ndarray | None = None, label: np.ndarray | None = None
) -> CellKinds:
    """The kinds, sorted by dataset, label, total, library. All arguments are (C,)."""
    n_cells = len(total)
    dataset = np.zeros(n_cells, np.int32) if dataset is None else np.asarray(dataset, np.int32)
    label = np.full(n_cells, -1, np.int32) if label is None else np.asarray(label, np.int32)
    order = np.lexsort((library, total, label, dataset))
    columns = [np.asarray(x)[order] for x in (total, library, dataset, label)]
    new = np.ones(n_cells, bool)
    new[1:] = np.any([np.diff(c) != 0 for c in columns], axis=0)
    kind = np.cumsum(new) - 1
    row_of_cell = np.empty(n_cells, np.int64)
    row_of_cell[order] = kind
    first = np.flatnonzero(new)
    return CellKinds(row_of_cell, np.bincount(kind), *(c[first] for c in columns))
