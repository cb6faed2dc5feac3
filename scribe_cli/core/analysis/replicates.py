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
class Replicates:
    """Statistics of replicates, (genes, replicates), bins (bins, genes, replicates), and their means over draws."""

    mean: np.ndarray
    var: np.ndarray
    bins: np.ndarray
    mean_pred: np.ndarray
    var_pred: np.ndarray
    bins_pred: np.ndarray


def draw(
    table: Table, moments: Moments, grid: Grid, n_cells: int, rng: np.random.Generator, per_draw: int
) -> Replicates:
    """`per_draw` replicates of each posterior draw."""
    pmf = np.ascontiguousarray(np.moveaxis(table.pmf, 0, -1))
    pmf = np.minimum(pmf, 1.0)  # a certain count may have rounded to a grain above one, which NumPy refuses
    counts = rng.multinomial(n_cells, pmf, size=(per_draw, *pmf.shape[:2]))
    spread = (grid.width**2 - 1) / 12  # of the counts inside a column
    read = np.column_stack([grid.middle, grid.middle**2 + spread, grid.in_bin()])
    sums = np.moveaxis(counts.astype(float) @ read, -1, 0)
    total, square, bins = sums[0], sums[1], sums[2:]
    mean, var = _mean(pmf, moments, grid, n_cells), _variance(pmf, moments, grid, n_cells)
    tally = _tally(np.stack([table.pmf[b].sum(0) for b in grid.slices]), table.bin_squares, n_cells)
    return Replicates(
        _flat(np.rint(mean.scaled(total)) / n_cells),
        _flat(var.scaled(square / n_cells - (total / n_cells) ** 2)),
        _flat(np.rint(tally.scaled(bins))),
        mean.expected.mean(0) / n_cells,
        var.expected.mean(0),
        tally.expected[:, 0].mean(1),
    )


def interval(replicates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 5 and 95 % quantiles over the last axis: values that occur."""
    n = replicates.shape[-1]
    at = [int(np.ceil(q * n)) - 1 for q in (LOW, HIGH)]
    ordered = np.partition(replicates, at, axis=-1)
    return ordered[..., at[0]].copy(), ordered[..., at[1]].copy()  # views would keep the replicates alive


def mid_p(replicates: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """P(rep > obs) + P(rep = obs)/2 over the last axis."""
    observed = observed[..., None]
    return (replicates > observed).mean(-1) + 0.5 * (replicates == observed).mean(-1)


@dataclass(frozen=True)
class Scaling:
    """A statistic's mean and standard deviation as the multinomial draws have them, its true mean, and the ratio of the

    true standard deviation to theirs.
    """

    drawn: np.ndarray
    sd: np.ndarray
    expected: np.ndarray
    ratio: np.ndarray

    def scaled(self, value: np.ndarray) -> np.ndarray:
        """Values with the right mean and variance, for the genes (the last axis) where it matters. None turns negative."""
        shift = np.abs(self.expected - self.drawn) / np.where(self.sd > 0, self.sd, np.inf)
        far = np.maximum(np.abs(self.ratio - 1), shift).mean(-2, keepdims=True) > NEGLIGIBLE
        far = far.any(tuple(range(far.ndim - 1)))
        if not far.any():
            return value
        value = value.copy()
        drawn, expected, ratio = (v[..., far] for v in (self.drawn, self.expected, self.ratio))
        right = value[..., far] * (expected / np.where(drawn > 0, drawn, 1.0))
        value[..., far] = expected + ratio * (right - expected)
        return value


def _mean(pmf, moments: Moments, grid: Grid, n_cells: int) -> Scaling:
    """Of the total count of a gene."""
    mean = pmf @ grid.middle
    variance = np.maximum(pmf @ grid.middle**2 - mean**2, 0.0)
    sd = np.sqrt(n_cells * variance)
    return Scaling(n_cells * mean, sd, n_cells * moments.mean, _ratio(moments.within, variance))


def _variance(pmf, moments: Moments, grid: Grid, n_cells: int) -> Scaling:
    """Of mean(u^2) - mean(u)^2, to first order the mean of (u - E u)^2."""
    mean = (pmf @ grid.middle)[..., None]
    squared = (grid.middle - mean) ** 2 + (grid.width**2 - 1) / 12
    variance, fourth = (pmf * squared).sum(-1), (pmf * squared**2).sum(-1)
    varies = np.maximum(fourth - variance**2, 0.0)
    within = moments.within * (1 - 1 / n_cells)
    expected = moments.between + within
    ratio = _ratio(fourth - moments.deviations, varies)
    return Scaling(variance * (1 - 1 / n_cells), np.sqrt(varies / n_cells), expected, ratio)


def _tally(probability, squares, n_cells: int) -> Scaling:
    """Of the number of cells in each bin, (bins, draws, genes); the result has an axis of replicates after the bins."""
    varies = np.maximum(probability - probability**2, 0.0)
    ratio = _ratio(probability - squares, varies)[:, None]
    expected = n_cells * probability[:, None]
    return Scaling(expected, np.sqrt(n_cells * varies)[:, None], expected, ratio)


def _ratio(true: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """sqrt(true / drawn), which is above 1 by rounding or by a tail that the columns lack; 1 where nothing varies."""
    varies = drawn > 1e-14
    return np.sqrt(np.where(varies, np.clip(true / np.where(varies, drawn, 1.0), 0.0, 1.0), 1.0))


def _flat(v: np.ndarray) -> np.ndarray:
    """(..., replicates per draw, draws, genes) -> (..., genes, replicates)."""
    v = np.moveaxis(v, -1, -3)
    return np.ascontiguousarray(v).reshape(*v.shape[:-2], -1)
