"""Posterior predictive tables: observed statistics against those of replicate data sets.

Per gene: mean, variance, fraction of zeros and maximum of the counts, and bands of their histogram (totals of cells:
totals.py). No matrix of cells x genes is ever drawn: expected histograms come from the pmf (expected.py), replicates from
histograms drawn from them (replicates.py), the maximum from P(max <= m) = exp(sum over cells of log F(m)).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..model.spec import ModelSpec
from ..numerics import kernels
from . import grid, maxima, replicates, tabulate
from .points import Points
from .replicates import Replicates, Statistic
from .tabulate import Part

STATISTICS = ("mean", "var", "zero", "max")
GENES = 1  # a stream of random numbers
REPLICATES = 1000  # at least so many, however few the draws
ENTRIES = 2**19  # of replicates x genes x columns in memory at one time


@dataclass(frozen=True)
class Observed:
    """What was counted in some cells. mean, variance (without Bessel's correction), maximum: (genes,); tally: (genes,
    bins of the grid) the number of cells in each bin; cell_total: (cells,).
    """

    n_cells: int
    mean: np.ndarray
    variance: np.ndarray
    maximum: np.ndarray
    tally: np.ndarray
    cell_total: np.ndarray

    @classmethod
    def of_histogram(cls, n_cells: int, n_genes: int, gene, count, n, cell_total: np.ndarray) -> Observed:
        """n of the cells have `count`, at least 1, of `gene`. A gene that is not named has no counts."""
        count = np.asarray(count, np.int64)
        mean, square = (np.bincount(gene, n * count.astype(float) ** power, n_genes) / n_cells for power in (1, 2))
        maximum = np.zeros(n_genes, np.int64)
        np.maximum.at(maximum, gene, count)
        tally = np.zeros((n_genes, grid.ALL.n_bins))
        np.add.at(tally, (gene, grid.ALL.bin_of(count)), n)
        tally[:, 0] = n_cells - tally.sum(1)
        # the variance as replicates.draw computes it, so that equal counts give equal numbers
        return cls(n_cells, mean, square - mean**2, maximum, tally, cell_total)

    @property
    def n_genes(self) -> int:
        return len(self.mean)

    def genes(self, index: np.ndarray) -> Observed:
        """On some of the genes; totals of cells stay those of all."""
        kept = (v[index] for v in (self.mean, self.variance, self.maximum, self.tally))
        return Observed(self.n_cells, *kept, self.cell_total)


@dataclass(frozen=True)
class GeneTables:
    """genes: {"<S>_obs|_pred|_q05|_q95|_p": (genes,)}, S in mean, var (without Bessel's correction), zero, max;

    histogram: {"gene" (index), "count_from", "count_to", "obs", "pred", "q05", "q95": (rows,)}, numbers of cells;
    p: (genes,) the smallest two-sided p of the four statistics, times 4, at most 1.
    """

    genes: dict[str, np.ndarray]
    histogram: dict[str, np.ndarray]
    p: np.ndarray


def gene_tables(spec: ModelSpec, points: Points, observed: Observed, seed: int, threads: int = 1) -> GeneTables:
    """The tables by gene, made in parts of some genes each. The seed fixes the replicates, whatever the threads."""

    def summary(part: Part):
        return [_summaries(p, observed, seed) for p in _cut(part, points.n_draws)]

    columns: dict[str, np.ndarray] = {}
    bands = []
    found = tabulate.summaries(kernels.load(spec.kernel), points, observed.n_cells, observed.maximum, summary, threads)
    for genes, values, band in itertools.chain.from_iterable(found):
        for name, v in values.items():
            columns.setdefault(name, np.zeros(observed.n_genes))[genes] = v
        bands.append(band)
    histogram = {k: np.concatenate([b[k] for b in bands]) for k in bands[0]}
    order = np.lexsort((histogram["count_from"], histogram["gene"]))
    return GeneTables(columns, {k: v[order] for k, v in histogram.items()}, _smallest_p(columns))


def _cut(part: Part, n_draws: int) -> Iterator[Part]:
    """Pieces of a part of which the replicates fit the memory."""
    step = max(1, ENTRIES // (max(REPLICATES, n_draws) * len(part.grid.low)))
    return (part.some(slice(a, a + step)) for a in range(0, len(part.genes), step))


def _summaries(part: Part, observed: Observed, seed: int) -> tuple[np.ndarray, dict, dict]:
    """(genes, {column of the gene table: (genes,)}, rows of the histogram's table) of some genes."""
    rng = np.random.default_rng([seed, GENES, part.genes[0]])
    per_draw = -(-REPLICATES // part.moments.mean.shape[0])
    drawn = replicates.draw(part.table, part.grid, observed.n_cells, rng, per_draw)
    largest = maxima.summary(part.table.log_cdf, part.grid, observed.n_cells, observed.maximum[part.genes])
    values = _statistics(drawn, part, observed) | largest
    return part.genes, values, _bands(drawn, part, observed, largest["max_q95"])


def _statistics(drawn: Replicates, part: Part, observed: Observed) -> dict[str, np.ndarray]:
    genes = part.genes
    zeros = _columns("zero", observed.tally[genes, 0], drawn.bin(0))
    return {
        **_columns("mean", observed.mean[genes], drawn.mean(part.moments)),
        **_columns("var", observed.variance[genes], drawn.variance(part.moments)),
        **{name: v if name == "zero_p" else v / observed.n_cells for name, v in zeros.items()},
    }


def _columns(name: str, obs: np.ndarray, drawn: Statistic) -> dict[str, np.ndarray]:
    low, high = replicates.interval(drawn.values)
    p = replicates.mid_p(drawn.values, obs)
    return {f"{name}_obs": obs, f"{name}_pred": drawn.pred, f"{name}_q05": low, f"{name}_q95": high, f"{name}_p": p}


def _bands(drawn: Replicates, part: Part, observed: Observed, max_q95: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of the histogram's table: for each gene the bins up to its largest count, seen or to be expected."""
    first, last = part.grid.bins()
    reached = first <= np.maximum(observed.maximum[part.genes], max_q95)[:, None]
    rows = [_band(drawn, b, np.flatnonzero(reached[:, b])) for b in np.flatnonzero(reached.any(0))]
    gene, bin_, pred, low, high = (np.concatenate(v) for v in zip(*rows, strict=True))
    return {
        "gene": part.genes[gene],
        "count_from": first[bin_],
        "count_to": last[bin_],
        "obs": observed.tally[part.genes[gene], bin_],
        "pred": pred,
        "q05": low,
        "q95": high,
    }


def _band(drawn: Replicates, b: int, genes: np.ndarray) -> tuple[np.ndarray, ...]:
    """(gene, bin, predicted, 5 %, 95 %) of one bin, (genes,) each."""
    cells = drawn.bin(b, genes)
    return genes, np.full(len(genes), b), cells.pred, *replicates.interval(cells.values)


def _smallest_p(columns: dict[str, np.ndarray]) -> np.ndarray:
    one_sided = np.stack([np.minimum(columns[f"{s}_p"], 1 - columns[f"{s}_p"]) for s in STATISTICS])
    return np.minimum(1.0, len(STATISTICS) * 2 * one_sided.min(0))
