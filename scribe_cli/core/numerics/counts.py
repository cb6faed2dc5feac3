"""Counts packed for the lanes, without scatters: tails of each gene, and its distinct counts.

sum over cells of log (a)_u = sum_j N_j log(a + j), N_j the number of cells with u > j (ENGINE.md 1). The factors of all genes
are one list, whose length alone depends on the data, so that few shapes do.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from scipy.sparse import csr_array
from scipy.special import gammaln

from ..padding import MANY, filled, ladder, octave, profile
from .special import log_rising

LARGEST = 4096  # count of a row up to which its factors are taken one by one
STEPS = 16  # counts up to which log (a)_u is summed factor by factor, from that of the count before
FEW_GENES = 2**8  # that all have a pair for each step where shapes are to be shared
FINE, COARSE = 8, 2  # sizes between two powers of two: of all genes, whose number like data share, and of some of them
FEW_GROUPS = 2**6  # of those, if there are any
FEW_OF_PART = 2**7, 2**10  # genes, and groups, where some genes are told from others: of those there may be a handful
FEWEST = 2**13  # factors, if there are any: sums of the genes' maxima differ most between small data, where more cost nothing
GROUP = 4  # counts of one row that are looked at together


def pack_tails(gene, count, n, n_cells, n_genes: int, dataset=None, n_filled: int | None = None) -> dict:
    """Device arrays from a histogram of the non-zero counts (gene, count >= 1, number of cells; sorted).

    n_cells: of all, or of each of D datasets, `dataset` then being the code of each entry; without datasets D is 1 below.
    n_filled: genes to be filled up to, which are `genes` below. A row is a gene in a dataset.
    factors: the (row, j, number of cells with a count above j) for j >= 1; large: the (row, count, number of cells) of the
    rows whose maximum is above LARGEST; both as `_by_rows` has them.
    total: (D, genes) sums of counts; nonzero: (D, genes) numbers of non-zero counts; log_factorial: sum of log u!;
    n_cells: (D, 1); present: (1, genes) 1, 0 where filled up.
    """
    row, count, n, of_rows = _of_rows(gene, count, n, n_cells, n_genes, dataset, n_filled)
    n_rows = of_rows["nonzero"].size
    largest = np.zeros(n_rows, np.int64)
    np.maximum.at(largest, row, count)
    heavy = largest[row] > LARGEST
    return of_rows | {
        "factors": _by_rows(*_tails(row[~heavy], count[~heavy], n[~heavy], n_rows), n_rows),
        "large": _by_rows(row[heavy], count[heavy].astype(float), n[heavy], n_rows),
        "total": np.bincount(row, n * count, n_rows).reshape(of_rows["nonzero"].shape),
        "log_factorial": float((n * gammaln(count + 1.0)).sum()),
    }


def pack_pairs(only, *histogram, fill: bool = False) -> dict:
    """Device arrays of the distinct counts, from what `pack_tails` takes, of genes (n_genes,) in `only`, or all if it is None.

    Genes are in the order of falling maximum, so that those with a count of j or more come first: for j up to STEPS each of them
    has a pair with j, whether a cell holds it or not. order: (genes in it,); inverse: (genes,) the place of each in it, their
    number for one that is not; steps: the genes, (genes with j or more,), of each j; row (of D * genes), count, n:
    (pairs,) by j, dataset and gene, then those above STEPS by row, as `_groups` fills them up; rest: of the latter, `_rest`;
    members: which pairs are of each row in order, as there; nonzero and n_cells as there; present as there, in order.
    fill: up to sizes that data share, by genes that are not `present` and by pairs that no cell holds.
    """
    row, count, n, of_rows = _of_rows(*histogram)
    n_datasets, width = of_rows["nonzero"].shape
    inside = of_rows["present"][0] > 0 if only is None else filled(only, width, value=False)
    row, count, n = (v[inside[row % width]] for v in (row, count, n))
    largest = np.zeros(width, np.int64)
    np.maximum.at(largest, row % width, count)
    order = np.lexsort((-of_rows["nonzero"].sum(0), -np.minimum(largest, STEPS + 1), ~inside))
    size, few_groups = _filled_sizes(int(inside.sum()), only is None or all(only)) if fill else (inside.sum(), None)
    order = order[:size]
    place = np.full(width, len(order))
    place[order] = np.arange(len(order))
    steps = [order[:n_genes] for n_genes in _steps(largest, len(order), fill)]
    offset = width * np.arange(n_datasets)[:, None]
    rows, rest = [(offset + genes).reshape(-1) for genes in steps], count > STEPS
    found = np.zeros((len(steps) + 1, n_datasets * width))
    found[count[~rest], row[~rest]] = n[~rest]
    groups, above, n_above = _groups(row[rest], count[rest], n[rest], few_groups)
    of_pairs = np.concatenate([*rows, np.repeat(groups, GROUP)])
    return of_rows | {
        "present": (of_rows["present"] * inside)[:, order],
        "order": order,
        "inverse": np.where(inside, place, len(order)),
        "steps": tuple(steps),
        "row": of_pairs,
        "members": _members(of_pairs // width * len(order) + place[of_pairs % width], n_datasets * len(order)),
        "count": np.concatenate([*(np.full(len(r), float(j)) for j, r in enumerate(rows, 1)), above.reshape(-1)]),
        "n": np.concatenate([*(found[j, r] for j, r in enumerate(rows, 1)), n_above]),
        "rest": _rest(groups // width, groups % width, above, steps[-1] if len(groups) else order[:0], n_datasets),
    }


def _filled_sizes(n_genes: int, whole: bool) -> tuple[int, int]:
    """(genes filled up to, groups at least) of all genes, or else of those that are told from others."""
    few_genes, few_groups = FEW_OF_PART
    return (ladder(n_genes, FINE), FEW_GROUPS) if whole else (max(ladder(n_genes, COARSE), few_genes), few_groups)


def _steps(largest, n_genes: int, fill: bool) -> list[int]:
    """How many genes have a count of j or more, j = 1, 2, ... up to STEPS; with `fill` some more: of one of few

    profiles, or all if they are few.
    """
    sizes = [int((largest >= j).sum()) for j in range(1, STEPS + 1)]
    if not fill:
        return [size for size in sizes if size]
    return profile(sizes, n_genes) if n_genes > FEW_GENES else [n_genes] * STEPS


def _groups(row, count, n, least: int | None):
    """(row, (groups,); count, (groups, GROUP), rising along each; n, (groups * GROUP,)), the last of each row being filled up

    by counts that no cell holds. Unless `least` is None groups like the last one are added: if there are any, that many at least.
    """
    by_row = np.lexsort((count, row))
    rows, first, size = np.unique(row[by_row], return_index=True, return_counts=True)
    groups = -(-size // GROUP)
    start = GROUP * (np.cumsum(groups) - groups)
    place = np.arange(len(row)) + np.repeat(start - first, size)
    # beyond its last a row goes on counting; what it holds is put in over that
    end = start + size - 1
    counts, number = np.zeros((2, GROUP * groups.sum()))
    counts += np.arange(len(counts)) + np.repeat(count[by_row][first + size - 1] - end, GROUP * groups)
    counts[place], number[place] = count[by_row], n[by_row]
    rows, counts, size = np.repeat(rows, groups), counts.reshape(-1, GROUP), octave(len(counts) // GROUP, least or 0)
    if least is None:
        return rows, counts, number
    return filled(rows, size), filled(counts, size, 0), filled(number, GROUP * size, value=0.0)


def _rest(dataset, gene, count, genes, n_datasets) -> dict:
    """Of groups whose genes are all of `genes`: genes; row: of datasets * these genes; count: (groups, GROUP); members: which

    groups are of each row.
    """
    place = np.zeros(max(gene.max(initial=0), genes.max(initial=0)) + 1, np.int64)
    place[genes] = np.arange(len(genes))
    row = dataset * len(genes) + place[gene]
    return {"genes": genes, "row": row, "count": count, "members": _members(row, n_datasets * len(genes))}


def _members(row, n_rows: int) -> tuple:
    """Which entries are of each row: (data, indices, pointers) of compressed rows."""
    by_row = np.argsort(row, kind="stable")
    first = np.searchsorted(row[by_row], np.arange(n_rows + 1))
    return np.ones(len(row)), by_row.astype(np.int32), first.astype(np.int32)


def pack_cell_pairs(csr, row_of_cell, pairs: dict, n_filled: int | None = None) -> dict:
    """Which of the distinct counts of `pack_pairs` each cell holds: `cells` (cells x pairs) and its transpose `pairs`, each

    the (data, indices, pointers) of compressed rows. csr: counts (cells, genes), no zeros stored; row_of_cell: (cells,)
    the first row of a cell's dataset. Genes that are not in the order of `pairs` are left out. n_filled: cells to be filled up
    to; the numbers are then, too, by some that are of no row.
    """
    csr = _of_order(csr, pairs)
    row = csr.indices.astype(np.int64) + np.repeat(row_of_cell, np.diff(csr.indptr))
    known = pairs["row"].astype(np.int64) << 32 | pairs["count"].astype(np.int64)
    sorter = np.argsort(known, kind="stable")  # of pairs that are there twice the first counts
    held = sorter[np.searchsorted(known, row << 32 | csr.data.astype(np.int64), sorter=sorter)]
    n_cells, size = (n_filled, octave(len(held), FEWEST, MANY)) if n_filled else (csr.shape[0], len(held))
    pointers = filled(csr.indptr, n_cells + 1)
    cells = csr_array((np.ones(len(held)), held, pointers), (n_cells, len(known)))
    return {"cells": _parts(cells, size), "pairs": _parts(csr_array(cells.T), size)}


def _of_order(csr, pairs: dict):
    """csr with the entries of genes that are in the order of `pairs`."""
    inside = pairs["inverse"][: csr.shape[1]] < len(pairs["order"])
    if inside.all():
        return csr
    kept = inside[csr.indices]
    ends = np.concatenate([[0], np.cumsum(kept)])[csr.indptr]
    return csr_array((csr.data[kept], csr.indices[kept], ends), csr.shape)


def _parts(matrix, size: int) -> tuple:
    data, indices = filled(matrix.data, size, value=0.0), filled(matrix.indices.astype(np.int32), size, value=0)
    return data, indices, matrix.indptr.astype(np.int32)


def _of_rows(gene, count, n, n_cells, n_genes, dataset=None, n_filled=None):
    """(row, count, n) of each entry, a row being a gene in a dataset; and {nonzero, n_cells, present} of the rows."""
    cells, n_filled = np.reshape(np.asarray(n_cells, float), (-1, 1)), n_filled or n_genes
    row = np.asarray(gene, np.int64) + (0 if dataset is None else n_filled * np.asarray(dataset, np.int64))
    count, n = np.asarray(count, np.int64), np.asarray(n, float)
    nonzero = np.bincount(row, n, len(cells) * n_filled).reshape(-1, n_filled)
    present = (np.arange(n_filled) < n_genes).astype(float)[None]
    return row, count, n, {"nonzero": nonzero, "n_cells": cells, "present": present}


def _tails(row, count, n, n_rows):
    """(row, j, number of cells with a count above j) for j = 1, 2, ... below each row's maximum."""
    last = np.zeros(n_rows, np.int64)
    np.maximum.at(last, row, count)
    first = np.cumsum(last) - last  # where a row's counts 1..last begin
    exact = np.zeros(last.sum())
    exact[first[row] + count - 1] = n
    above = exact[::-1].cumsum()[::-1]  # over this row and all after it
    after = np.append(above, 0.0)[first + last]
    row = np.repeat(np.arange(n_rows), last)
    j = np.arange(len(row)) - first[row]
    return row[j > 0], j[j > 0].astype(float), (above - after[row])[j > 0]


def _by_rows(row, value, n, n_rows: int) -> dict:
    """row, value, n: (entries,), in the order of rows, filled up with some of the last row that count 0 times; members: which

    entries are of each row, (data, indices, pointers) of compressed rows.
    """
    size = octave(len(row), FEWEST)
    row, value, n = (filled(v, size, value=fill) for v, fill in ((row, n_rows - 1), (value, 1.0), (n, 0.0)))
    first = np.searchsorted(row, np.arange(n_rows + 1))
    members = (np.ones(size), np.arange(size, dtype=np.int32), first.astype(np.int32))
    return {"row": row.astype(np.int32), "value": value, "n": n, "members": members}


def filling(tails: dict | None) -> int:
    """How many of the numbers of `pack_tails` only fill up: no cells are behind them, and they cost little."""
    parts = (tails["factors"], tails["large"]) if tails else ()
    return sum(int((np.asarray(part["n"]) == 0).sum()) * 5 for part in parts)  # row, value, n, and two of members


def product(rows, matrix):
    """rows: (data, indices, pointers) of compressed rows; matrix: (columns, n)."""
    return BCSR(rows, shape=(len(rows[2]) - 1, matrix.shape[0])) @ matrix


@jax.custom_vjp
def spread(value, row, members):
    """value[row], (entries, n); members: which entries belong to each row, for the way back."""
    return value[row]


spread.defvjp(
    lambda value, row, members: (value[row], members),
    lambda members, slope: (product(members, slope), None, None),
)


def log_rising_total(tails, log_a):
    """sum over rows and cells of log (a)_u, for log_a (datasets or 1, genes or 1)."""
    return log_rising_totals(tails, ((1.0, log_a),))


def log_rising_totals(tails, factorials):
    """sum over rows and cells of the sum of sign log (a)_u, for (sign, log_a) with log_a (datasets or 1, genes or 1).

    Where there are several, none may be above e^100: a factor of all takes one log.
    """
    signs, log_a = zip(*((sign, jnp.broadcast_to(a, tails["total"].shape).reshape(-1)) for sign, a in factorials), strict=True)
    # the first factor is log a itself: exp(log_a) may underflow where genes are rare
    total = sum(sign * (tails["nonzero"].reshape(-1) * a).sum() for sign, a in zip(signs, log_a, strict=True))
    factors, large = tails["factors"], tails["large"]
    if factors["row"].shape[0]:
        a = _at_entries([jnp.exp(a) for a in log_a], factors)
        total += (factors["n"] * log_ratio(signs, [v + factors["value"] for v in a])).sum()
    if large["row"].shape[0]:
        rises = [log_rising(a, large["value"]) - a for a in _at_entries(log_a, large)]
        total += (large["n"] * sum(sign * rise for sign, rise in zip(signs, rises, strict=True))).sum()
    return total


def _at_entries(values, entries):
    """Each of the values (rows,) at the entries of `_by_rows`, all in one pass."""
    found = spread(jnp.stack(values, 1), entries["row"], entries["members"])
    return [found[:, i] for i in range(len(values))]


def log_ratio(signs, values):
    """The sum of sign log value, of positive values whose products are finite."""
    up, down = (math.prod(v for sign, v in zip(signs, values, strict=True) if sign == of) for of in (1.0, -1.0))
    return jnp.log(up / down)
