"""Counts packed for the lanes: tails of each gene in buckets of equal width, without gathers or scatters.

sum over cells of log (a)_u = sum_j N_j log(a + j), N_j the number of cells with u > j (ENGINE.md 1). Genes are
ordered by their maximum count and cut into buckets, so that each bucket is one dense block.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array
from scipy.special import gammaln

from .special import log_rising

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def pack_tails(gene, count, n, n_cells, n_genes: int, dataset=None) -> dict:
    """Device arrays from a histogram of the non-zero counts (gene, count >= 1, number of cells; sorted).

    n_cells: of all, or of each of D datasets, `dataset` then being the code of each entry; without datasets D is 1 below.
    order, inverse: (D * genes,) the rows by maximum count, and back; buckets: (rows of the bucket, width) tail counts;
    large: distinct counts and their numbers, (rows, distinct), for rows whose maximum is above the widest bucket;
    total: (D, genes) sums of counts; nonzero: (D, genes) numbers of non-zero counts; log_factorial: sum of log u!;
    n_cells: (D, 1).
    """
    row, count, n, of_rows = _by_row(gene, count, n, n_cells, n_genes, dataset)
    n_rows = of_rows["nonzero"].size
    largest = np.zeros(n_rows, np.int64)
    np.maximum.at(largest, row, count)
    bucket = np.searchsorted(WIDTHS, largest)
    order = np.lexsort((np.arange(n_rows), np.where(largest == 0, -1, bucket)))
    inverse = np.argsort(order)
    position = np.full(n_rows, -1)
    buckets = []
    for b in range(len(WIDTHS)):
        members = order[(bucket[order] == b) & (largest[order] > 0)]
        position[members] = np.arange(len(members))
        rows = (bucket[row] == b) & (largest[row] > 0)
        buckets.append(_tails(position[row[rows]], count[rows], n[rows], len(members), WIDTHS[b]))
    heavy = bucket[row] == len(WIDTHS)
    return of_rows | {
        "order": order,
        "inverse": inverse,
        "silent": np.zeros(int((largest == 0).sum())),
        "buckets": tuple(buckets),
        "large": _distinct(row[heavy], count[heavy], n[heavy]),
        "total": np.bincount(row, n * count, n_rows).reshape(-1, n_genes),
        "log_factorial": float((n * gammaln(count + 1.0)).sum()),
    }


def pack_pairs(gene, count, n, n_cells, n_genes: int, dataset=None) -> dict:
    """Device arrays of the distinct counts, from what `pack_tails` takes: row (of D * genes), count, n: (pairs,);

    members: which pairs are of each row, (data, indices, pointers) of compressed rows; nonzero (D, genes) and n_cells (D, 1)
    as there.
    """
    row, count, n, of_rows = _by_row(gene, count, n, n_cells, n_genes, dataset)
    first = np.searchsorted(row, np.arange(of_rows["nonzero"].size + 1))
    members = (np.ones(len(row)), np.arange(len(row), dtype=np.int32), first.astype(np.int32))
    return of_rows | {"row": row, "count": count.astype(float), "n": n, "members": members}


def pack_cell_pairs(csr, row_of_cell, pairs: dict) -> dict:
    """Which of the distinct counts of `pack_pairs` each cell holds: `cells` (cells x pairs) and its transpose `pairs`, each

    the (data, indices, pointers) of compressed rows. csr: counts (cells, genes), no zeros stored; row_of_cell: (cells,)
    the first row of a cell's dataset.
    """
    row = csr.indices.astype(np.int64) + np.repeat(row_of_cell, np.diff(csr.indptr))
    known = pairs["row"].astype(np.int64) << 32 | pairs["count"].astype(np.int64)
    held = np.searchsorted(known, row << 32 | csr.data.astype(np.int64))
    cells = csr_array((np.ones(len(held)), held, csr.indptr), (csr.shape[0], len(known)))
    return {"cells": _parts(cells), "pairs": _parts(csr_array(cells.T))}


def _parts(matrix) -> tuple:
    return matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)


def _by_row(gene, count, n, n_cells, n_genes, dataset):
    """(row, count, n) of each entry, a row being a gene in a dataset; and {nonzero, n_cells} of the rows."""
    cells = np.reshape(np.asarray(n_cells, float), (-1, 1))
    row = np.asarray(gene, np.int64) + (0 if dataset is None else n_genes * np.asarray(dataset, np.int64))
    count, n = np.asarray(count, np.int64), np.asarray(n, float)
    nonzero = np.bincount(row, n, len(cells) * n_genes).reshape(-1, n_genes)
    return row, count, n, {"nonzero": nonzero, "n_cells": cells}


def _tails(position, count, n, genes, width):
    """(genes, width): the number of cells with u > j."""
    exact = np.zeros((genes, width + 1))
    np.add.at(exact, (position, count), n)
    return exact[:, ::-1].cumsum(1)[:, ::-1][:, 1:].copy()


def _distinct(gene, count, n):
    """Distinct counts and their numbers in rows of one gene each, padded with count 1 and number 0."""
    genes, row, size = np.unique(gene, return_inverse=True, return_counts=True)
    width = int(size.max()) if len(size) else 0
    column = np.arange(len(gene)) - np.repeat(np.cumsum(size) - size, size)
    counts, numbers = np.ones((len(genes), width)), np.zeros((len(genes), width))
    counts[row, column], numbers[row, column] = count, n
    return counts, numbers


@jax.custom_vjp
def permute(x, order, inverse):
    """x[..., order]; its transpose is the gather by `inverse`, where the automatic one is a scatter."""
    return x[..., order]


permute.defvjp(
    lambda x, order, inverse: (x[..., order], inverse),
    lambda inverse, g: (g[..., inverse], None, None),
)


def log_rising_total(tails, log_a):
    """sum over rows and cells of log (a)_u, for log_a (datasets or 1, genes or 1)."""
    log_a = jnp.broadcast_to(log_a, tails["total"].shape).reshape(-1)
    log_a = permute(log_a, tails["order"], tails["inverse"])
    start = tails["silent"].shape[0]
    total = jnp.zeros(())
    for block in tails["buckets"]:
        genes, width = block.shape
        if genes:
            part = log_a[start : start + genes, None]
            # the first factor is log a itself: exp(log_a) may underflow where genes are rare
            total += (block[:, :1] * part).sum()
            if width > 1:
                total += (block[:, 1:] * jnp.log(jnp.exp(part) + jnp.arange(1.0, width)[None])).sum()
        start += genes
    counts, numbers = tails["large"]
    if counts.shape[0]:
        total += (numbers * log_rising(log_a[start:, None], counts)).sum()
    return total
