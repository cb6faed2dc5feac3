"""Statistics: equal to their definition, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from scribe_cli.data import digest
from scribe_cli.data.statistics import (
    SMALL,
    Statistic,
    cell_kinds,
    collect,
    gene_totals,
    histogram,
    tally,
)

GENES = 6
RNG = np.random.default_rng(5)
COUNTS = RNG.poisson(RNG.gamma(0.3, 20, (50, GENES)) * np.array([0, 1, 1, 1, 0.01, 9]))
DATASET = RNG.integers(0, 3, 50)

cuts = st.lists(st.integers(1, 49), unique=True, max_size=9).map(sorted)


def chunks(at):
    edges = [0, *at, len(COUNTS)]
    return [(a, csr_array(COUNTS[a:b].astype(np.int32))) for a, b in zip(edges, edges[1:], strict=False)]


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


@given(cuts)
def test_gene_totals(at):
    state = collect(gene_totals(GENES), chunks(at))
    assert np.array_equal(state.total, COUNTS.sum(0))
    assert np.array_equal(state.cells, (COUNTS > 0).sum(0))
    assert np.array_equal(state.maximum, COUNTS.max(0))


@pytest.mark.parametrize("dataset", [None, DATASET])
@given(cuts)
def test_histogram(dataset, at):
    assert (COUNTS >= SMALL).any() and (COUNTS == SMALL - 1).any()
    n_datasets = 1 if dataset is None else 3
    made = histogram(collect(tally(GENES, dataset, n_datasets), chunks(at)), GENES)
    codes = np.zeros(50, int) if dataset is None else dataset
    cell, gene = np.nonzero(COUNTS)
    keys, n = np.unique(np.column_stack([codes[cell], gene, COUNTS[cell, gene]]), axis=0, return_counts=True)
    assert np.array_equal(np.column_stack([made.dataset, made.gene, made.count]), keys)
    assert np.array_equal(made.n, n) and made.n.dtype == np.int64


@given(cuts)
def test_the_digest_sum(at):
    sums = Statistic(lambda: 0, digest.mixed, digest.merged)
    assert collect(sums, chunks(at)) == digest.mixed(csr_array(COUNTS.astype(np.int32)), 0)


@pytest.mark.parametrize("statistic", [gene_totals(GENES), tally(GENES, DATASET, 3)])
def test_the_empty_state_changes_nothing(statistic):
    whole = collect(statistic, chunks([]))
    assert equal(statistic.add(statistic.empty(), *reversed(chunks([])[0])), whole)
    assert equal(statistic.merge(whole, statistic.empty()), whole)
    assert equal(collect(statistic, []), statistic.empty())


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 8])
def test_blocks_merge_along_one_binary_tree(n):
    """Two of a level merge as soon as both are there; what is left merges from the last upwards."""
    shown = Statistic(lambda: "", lambda csr, first: str(first), lambda a, b: f"({a}{b})")
    trees = {1: "0", 2: "(01)", 3: "((01)2)", 5: "(((01)(23))4)", 7: "(((01)(23))((45)6))", 8: "(((01)(23))((45)(67)))"}
    assert collect(shown, [(i, None) for i in range(n)]) == trees[n]


def test_cell_kinds():
    total, library = COUNTS.sum(1) // 100, COUNTS.sum(1) // 50 * 1.5
    label = RNG.integers(-1, 2, 50)
    kinds = cell_kinds(total, library, DATASET, label)
    assert np.array_equal(kinds.total[kinds.row_of_cell], total)
    assert np.array_equal(kinds.library[kinds.row_of_cell], library)
    assert np.array_equal(kinds.dataset[kinds.row_of_cell], DATASET)
    assert np.array_equal(kinds.label[kinds.row_of_cell], label)
    assert np.array_equal(kinds.multiplicity, np.bincount(kinds.row_of_cell))
    distinct = {*zip(DATASET, label, total, library, strict=True)}
    assert len(kinds.total) == len(distinct) < 50
    assert list(zip(kinds.dataset, kinds.label, kinds.total, kinds.library, strict=True)) == sorted(distinct)


def test_cells_without_dataset_or_label_are_of_kind_zero_and_none():
    kinds = cell_kinds(np.array([3, 1, 3]), np.array([3.0, 1.0, 3.0]))
    assert list(kinds.row_of_cell) == [1, 0, 1] and list(kinds.multiplicity) == [1, 2]
    assert list(kinds.dataset) == [0, 0] and list(kinds.label) == [-1, -1]
