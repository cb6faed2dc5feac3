"""Statistics of replicate data sets, from draws of a gene's histogram of counts.

Given a draw of the parameters, the number of cells with each count is multinomial with the pmf averaged over cells,
so that a replicate costs as many draws as a gene has different counts, and not as it has cells. Exactly so where
cells are alike. Where capture differs between them the counts vary less: by the law of total variance, less the
variance between cells of the expectation. A statistic is then scaled about its mean to the variance it should have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .expected import Moments, Table
from .grid import Grid

NEGLIGIBLE = 0.02  # a change of a standard deviation that is not made, so that discrete values stay themselves
LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True)
class Statistic:
    """Of replicates, (genes, replicates), and its mean over draws, (genes,)."""

    values: np.ndarray
    pred: np.ndarray


@dataclass(frozen=True)
class Replicates:
    """Histograms of replicates: counts (columns, genes, replicates of a draw, draws), numbers of cells, of n_cells.

    pmf: (columns, genes, 1, draws) that they were drawn from; bin_squares: as in Table, in the same order of axes.
    """

    grid: Grid
    n_cells: int
    pmf: np.ndarray
    bin_squares: np.ndarray
    counts: np.ndarray

    def mean(self, moments: Moments) -> Statistic:
        """Of the counts of a gene."""
        scaling = _mean(self.pmf, moments, self.grid, self.n_cells)
        return _statistic(np.rint(scaling.scaled(self._sum(self.grid.middle))) / self.n_cells, scaling.expected / self.n_cells)

    def variance(self, moments: Moments) -> Statistic:
        """Of the counts of a gene, without Bessel's correction."""
        scaling = _variance(self.pmf, moments, self.grid, self.n_cells)
        mean, square = (self._sum(v) / self.n_cells for v in (self.grid.middle, self.grid.middle**2 + _spread(self.grid)))
        return _statistic(scaling.scaled(square - mean**2), scaling.expected)

    def bin(self, b: int, genes: np.ndarray | slice = slice(None)) -> Statistic:
        """The number of cells in a bin, of some of the genes."""
        columns = self.grid.slices[b]
        scaling = _tally(self.pmf[columns, genes].sum(0), self.bin_squares[b, genes], self.n_cells)
        cells = np.rint(scaling.scaled(self.counts[columns, genes].sum(0)))
        return _statistic(cells.astype(np.int32), scaling.expected)  # half the time of sorting float64

    def _sum(self, value: np.ndarray) -> np.ndarray:
        """Over the cells of a replicate, of a value at each column."""
        return _over_columns(value, self.counts)


def draw(table: Table, grid: Grid, n_cells: int, rng: np.random.Generator, per_draw: int) -> Replicates:
    """`per_draw` replicates of each posterior draw."""
    rows = np.ascontiguousarray(table.pmf.transpose(2, 1, 0))[:, None]  # (genes, 1, draws, columns)
    rows = np.minimum(rows, 1.0, out=rows)  # a certain count may have rounded to a grain above one, which NumPy refuses
    shape = (len(rows), per_draw, rows.shape[2])
    drawn = rng.multinomial(n_cells, rows, size=shape).reshape(-1, rows.shape[3])
    counts = np.ascontiguousarray(drawn.T, dtype=float).reshape(-1, *shape)
    pmf, squares = (v.transpose(0, 2, 1)[:, :, None] for v in (table.pmf, table.bin_squares))
    return Replicates(grid, n_cells, np.ascontiguousarray(pmf), squares, counts)


def _over_columns(value: np.ndarray, of_columns: np.ndarray) -> np.ndarray:
    """By NumPy: the threads of BLAS would meet those that the genes are divided among."""
    return np.einsum("c,cgrs->grs", value, of_columns)


def _statistic(values: np.ndarray, expected: np.ndarray) -> Statistic:
    """From (genes, replicates of a draw, draws) and (genes, 1, draws)."""
    return Statistic(values.reshape(len(values), -1), expected[:, 0].mean(1))


def interval(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 5 and 95 % quantiles over the last axis: values that occur, as float64."""
    n = replicates.shape[-1]
    at = [int(np.ceil(q * n)) - 1 for q in (LOW, HIGH)]
    ordered = np.sort(replicates, axis=-1)  # a quarter of the time of a partition at two places
    return ordered[..., at[0]].astype(float), ordered[..., at[1]].astype(float)  # views would keep the replicates alive


def mid_p(replicates: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """P(rep > obs) + P(rep = obs)/2 over the last axis."""
    observed = observed[..., None]
    above, equal = (np.count_nonzero(v, axis=-1) for v in (replicates > observed, replicates == observed))
    return (above + 0.5 * equal) / replicates.shape[-1]


@dataclass(frozen=True)
class Scaling:
    """A statistic's mean and standard deviation as the multinomial draws have them, its true mean, and the ratio of the

    true standard deviation to theirs; (genes, 1, draws) each.
    """

    drawn: np.ndarray
    sd: np.ndarray
    expected: np.ndarray
    ratio: np.ndarray

    def scaled(self, value: np.ndarray) -> np.ndarray:
        """Values with the right mean and variance, for the genes (the first axis) where it matters. None turns negative."""
        shift = np.abs(self.expected - self.drawn) / np.where(self.sd > 0, self.sd, np.inf)
        far = np.maximum(np.abs(self.ratio - 1), shift).mean((1, 2)) > NEGLIGIBLE
        if not far.any():
            return value
        value = value.copy()
        drawn, expected, ratio = (v[far] for v in (self.drawn, self.expected, self.ratio))
        right = value[far] * (expected / np.where(drawn > 0, drawn, 1.0))
        value[far] = expected + ratio * (right - expected)
        return value


def _mean(pmf: np.ndarray, moments: Moments, grid: Grid, n_cells: int) -> Scaling:
    """Of the total count of a gene."""
    mean = _over_columns(grid.middle, pmf)
    variance = np.maximum(_over_columns(grid.middle**2, pmf) - mean**2, 0.0)
    sd = np.sqrt(n_cells * variance)
    return Scaling(n_cells * mean, sd, n_cells * _by_gene(moments.mean), _ratio(_by_gene(moments.within), variance))


def _variance(pmf: np.ndarray, moments: Moments, grid: Grid, n_cells: int) -> Scaling:
    """Of mean(u^2) - mean(u)^2, to first order the mean of (u - E u)^2."""
    squared = grid.middle[:, None, None, None] - _over_columns(grid.middle, pmf)
    squared *= squared
    squared += _spread(grid)[:, None, None, None]
    weighted = pmf * squared
    variance = weighted.sum(0)
    fourth = np.multiply(weighted, squared, out=weighted).sum(0)
    varies = np.maximum(fourth - variance**2, 0.0)
    within, between, deviations = (_by_gene(v) for v in (moments.within, moments.between, moments.deviations))
    expected = between + within * (1 - 1 / n_cells)
    return Scaling(variance * (1 - 1 / n_cells), np.sqrt(varies / n_cells), expected, _ratio(fourth - deviations, varies))


def _tally(probability: np.ndarray, squares: np.ndarray, n_cells: int) -> Scaling:
    """Of the number of cells in a bin."""
    varies = np.maximum(probability - probability**2, 0.0)
    expected = n_cells * probability
    return Scaling(expected, np.sqrt(n_cells * varies), expected, _ratio(probability - squares, varies))


def _spread(grid: Grid) -> np.ndarray:
    """The variance of the counts inside a column."""
    return (grid.width**2 - 1) / 12


def _ratio(true: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """sqrt(true / drawn), which is above 1 by rounding or by a tail that the columns lack; 1 where nothing varies."""
    varies = drawn > 1e-14
    return np.sqrt(np.where(varies, np.clip(true / np.where(varies, drawn, 1.0), 0.0, 1.0), 1.0))


def _by_gene(v: np.ndarray) -> np.ndarray:
    """(draws, genes) -> (genes, 1, draws)."""
    return v.T[:, None]
