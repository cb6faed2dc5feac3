"""Log-likelihood of observed counts at one point: by cell, by gene and in all, over any number of cells."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import jax
import numpy as np
from scipy.sparse import csr_array

from ..axes import CELL
from ..facts import Facts
from ..model.spec import ModelSpec
from ..numerics import kernels
from ..numerics.lanes.dense import log_pmf
from ..numerics.natural import Natural

ENTRIES = 2**20  # of cells x genes that are dense at one time


@dataclass(frozen=True)
class Scores:
    """Sums of the normalised log pmf, float64: cell (cells,), gene (genes,), total."""

    cell: np.ndarray
    gene: np.ndarray
    total: float


def score(spec: ModelSpec, natural: Natural, facts: Facts, chunks: Iterable[tuple[int, csr_array]]) -> Scores:
    """Sums over chunks (first cell, csr of counts, cells x genes), which need not come in order.

    facts: of all cells, one row each; natural: the point, cells in the rows of `facts`.
    """
    kernel = kernels.load(spec.kernel)
    n_cells, n_genes = facts.sizes["cell"], facts.sizes["gene"]
    block = max(1, min(n_cells, ENTRIES // n_genes))
    cell, gene = np.zeros(n_cells), np.zeros(n_genes)
    for first, chunk in chunks:
        for a in range(0, chunk.shape[0], block):
            part = chunk[a : a + block]
            rows, weight = _padded(first + a, part.shape[0], block)
            counts = np.zeros((block, n_genes))
            counts[: part.shape[0]] = part.toarray()
            by_cell, by_gene = _sums(kernel, of_cells(natural, rows), facts.rows(rows, weight), counts)
            cell[first + a : first + a + part.shape[0]] = by_cell[: part.shape[0]]
            gene += by_gene
    return Scores(cell, gene, float(cell.sum()))


@functools.partial(jax.jit, static_argnums=0)
def _sums(kernel, natural, facts, counts):
    f = log_pmf(kernel, natural, facts, counts)
    return f.sum((0, 2)), (f * facts.weight3()).sum((0, 1))


def _padded(first: int, n: int, block: int):
    """(rows, weight) of a block of fixed length: its last rows repeat one cell with weight 0."""
    rows = np.minimum(np.arange(first, first + block), first + n - 1)
    return rows, (np.arange(block) < n).astype(float)


def of_cells(natural: Natural, rows) -> Natural:
    """The same point on some of the cells; `rows` is an index or a slice of the cell axis."""
    by_cell = natural.row == CELL

    def take(v, has_cells):
        return v[:, rows] if v is not None and has_cells and v.shape[-2] > 1 else v

    core = {k: take(v, by_cell) for k, v in natural.core.items()}
    gate = take(natural.logit_gate, by_cell)
    return Natural(core, take(natural.log_nu, True), gate, natural.log_weights, natural.row)
