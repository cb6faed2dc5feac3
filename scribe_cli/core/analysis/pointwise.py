"""Log-likelihood of observed counts at one point: by cell, by gene and in all, over any number of cells."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import jax
import numpy as np
from scipy.sparse import csr_array

from ..axes import CELL, GENE
from ..facts import Facts
from ..model.spec import ModelSpec
from ..numerics import kernels, mixture
from ..numerics.lanes.dense import log_pmf
from ..numerics.natural import Natural
from ..padding import filled

ENTRIES = 2**20  # of components x cells x genes that are dense at one time


@dataclass(frozen=True)
class Scores:
    """Sums of the normalised log pmf, float64: cell (cells,), gene (genes,), total."""

    cell: np.ndarray
    gene: np.ndarray
    total: float


def score(spec: ModelSpec, natural: Natural, facts: Facts, chunks: Iterable[tuple[int, csr_array]]) -> Scores:
    """Sums over chunks (first cell, csr of counts, cells x genes), which need not come in order.

    facts: of all cells, one row each; natural: the point, cells in the rows of `facts`. Of a mixture a cell has
    log sum_k w_k prod_g f_k and a gene sum_c log sum_k w_k f_k, whose sums differ; the total is that of the cells.
    """
    cell, gene = np.zeros(facts.sizes[CELL]), np.zeros(facts.sizes[GENE])
    for cells, (by_cell, by_gene) in _blocks(_sums, spec, natural, facts, chunks):
        cell[cells] = by_cell[: len(cells)]
        gene += by_gene[: len(gene)]
    return Scores(cell, gene, float(cell.sum()))


def components(
    spec: ModelSpec, natural: Natural, facts: Facts, chunks: Iterable[tuple[int, csr_array]], guided: bool = False
) -> np.ndarray:
    """(cells, components) probability of each component given a cell's counts: softmax_k(log w_k + sum_g log f_k).

    guided: the labels of cells count too (facts' `annotation`, with the confidence of the spec).
    """
    natural = replace(natural, confidence=spec.annotation_confidence if guided else 0.0)
    found = np.zeros((facts.sizes[CELL], natural.log_weights.shape[0]))
    for cells, probability in _blocks(_responsibilities, spec, natural, facts, chunks):
        found[cells] = probability[: len(cells)]
    return found


def _blocks(function: Callable, spec: ModelSpec, natural: Natural, facts: Facts, chunks: Iterable) -> Iterator:
    """(cells, function's value there) of blocks of cells, all of one length: the last cell of a short one is repeated.

    Genes are filled up.
    """
    kernel, facts = kernels.load(spec.kernel), facts.filled()
    n_genes, natural = facts.sizes[GENE], of_genes(jax.tree.map(np.asarray, natural), facts.sizes[GENE])
    n_components = 1 if natural.log_weights is None else natural.log_weights.shape[0]
    block = max(1, min(facts.sizes[CELL], ENTRIES // (n_genes * n_components)))
    for first, chunk in chunks:
        for a in range(0, chunk.shape[0], block):
            part = chunk[a : a + block]
            rows, weight = _padded(first + a, part.shape[0], block)
            counts = np.zeros((block, n_genes))
            counts[: part.shape[0], : part.shape[1]] = part.toarray()
            found = function(kernel, of_cells(natural, rows), facts.rows(rows, weight), counts)
            yield rows[: part.shape[0]], jax.tree.map(np.asarray, found)


@functools.partial(jax.jit, static_argnums=0)
def _sums(kernel, natural, facts, counts):
    """(log-likelihoods of the cells, of the genes)."""
    f, log_weights = log_pmf(kernel, natural, facts, counts), _log_weights(kernel, natural, facts)
    if log_weights is None:
        return facts.sum_of_genes(f)[0, :, 0], (f * facts.weight3()).sum((0, 1))
    by_cell = mixture.marginal(log_weights + facts.sum_of_genes(f))
    return by_cell[0, :, 0], (mixture.marginal(log_weights + f) * facts.weight3()).sum((0, 1))


@functools.partial(jax.jit, static_argnums=0)
def _responsibilities(kernel, natural, facts, counts):
    """(cells, components)."""
    f = facts.sum_of_genes(log_pmf(kernel, natural, facts, counts))
    return jax.nn.softmax(_log_weights(kernel, natural, facts) + f, 0)[..., 0].T


def _log_weights(kernel, natural, facts):
    return natural.at_cells(kernel, facts)[2]


def _padded(first: int, n: int, block: int):
    """(rows, weight) of a block of fixed length: its last rows repeat one cell with weight 0."""
    rows = np.minimum(np.arange(first, first + block), first + n - 1)
    return rows, (np.arange(block) < n).astype(float)


def of_genes(natural: Natural, n: int) -> Natural:
    """The same point with genes filled up to n."""
    fill = lambda v: v if v is None or np.shape(v)[-1] == 1 else filled(v, n)  # noqa: E731
    return replace(natural, core={k: fill(v) for k, v in natural.core.items()}, logit_gate=fill(natural.logit_gate))


def of_cells(natural: Natural, rows) -> Natural:
    """The same point on some of the cells; `rows` is an index or a slice of the cell axis."""
    by_cell = natural.row == CELL

    def take(v, has_cells):
        return v[:, rows] if v is not None and has_cells and v.shape[-2] > 1 else v

    return replace(
        natural,
        core={k: take(v, by_cell) for k, v in natural.core.items()},
        log_nu=take(natural.log_nu, True),
        logit_gate=take(natural.logit_gate, by_cell),
    )
