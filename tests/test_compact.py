"""Counts in narrow types are the counts that were given."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from scribe_cli.data.compact import Compact, stacked


def counts(largest: int, n_genes: int = 7, n_cells: int = 20) -> csr_array:
    rng = np.random.default_rng(largest)
    dense = rng.integers(0, 4, (n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < 0.4)
    dense[3], dense[5, -1] = 0, largest
    return csr_array(dense.astype(np.int32))


@pytest.mark.parametrize(
    ("largest", "n_genes", "bytes_each"), [(255, 7, 3), (256, 7, 4), (65_536, 7, 6), (255, 65_536, 3), (2**31 - 1, 65_537, 8)]
)
def test_nothing_is_lost_and_nothing_is_wide(largest, n_genes, bytes_each):
    given = counts(largest, n_genes)
    kept = Compact.of(given)
    assert kept.count.itemsize + kept.gene.itemsize == bytes_each and (kept.shape, kept.nnz) == (given.shape, given.nnz)
    found = kept.csr()
    assert found.dtype == np.int32 and (found != given).nnz == 0 and found.has_canonical_format


def test_rows_and_some_cells_are_those_of_the_whole():
    given = counts(300)
    kept = Compact.of(given)
    assert np.array_equal(kept.rows(3, 9).toarray(), given[3:9].toarray())
    cells = np.array([9, 3, 3, 0, 19])
    assert np.array_equal(kept.some(cells).toarray(), given[cells].toarray())
    assert kept.some(np.zeros(0, int)).shape == (0, 7) and kept.rows(4, 4).shape == (0, 7)


def test_counts_let_go_are_not_taken_for_none():
    kept = Compact.of(counts(300))
    shape, nnz, empty = kept.shape, kept.nnz, kept.empty_genes
    kept.release()
    assert (kept.shape, kept.nnz) == (shape, nnz) and np.array_equal(kept.empty_genes, empty)
    with pytest.raises(TypeError):
        kept.rows(0, 3)


def test_parts_of_different_widths_are_joined_and_let_go():
    given = [counts(3), counts(70_000), counts(300)]
    parts = [Compact.of(csr) for csr in given]
    kept = stacked(parts)
    assert np.array_equal(kept.csr().toarray(), np.concatenate([csr.toarray() for csr in given])) and not parts
