"""The largest count of a gene in a replicate data set, from P(max <= m) = exp(sum over cells of log F(m))."""

from __future__ import annotations

import numpy as np

from .grid import Grid
from .replicates import HIGH, LOW


def summary(log_cdf: np.ndarray, grid: Grid, n_cells: int, observed: np.ndarray) -> dict[str, np.ndarray]:
    """{max_obs, max_pred, max_q05, max_q95, max_p}: (genes,) each; log_cdf: (columns, draws, genes), a mean over cells.

    Inside a column the distribution function is taken to be linear in the count.
    """
    cdf = np.exp(n_cells * log_cdf).mean(1)
    before = np.concatenate([np.zeros((1, cdf.shape[1])), cdf[:-1]])
    width = grid.width[:, None]
    above = width - (width * before + (cdf - before) * (width + 1) / 2)  # sum over the column's counts of P(max > m)
    at, below = (_at(cdf, before, grid, m) for m in (observed, observed - 1))
    return {
        "max_obs": observed.astype(float),
        "max_pred": above.sum(0),
        "max_q05": _quantile(cdf, before, grid, LOW),
        "max_q95": _quantile(cdf, before, grid, HIGH),
        "max_p": 1 - 0.5 * (at + below),
    }


def _at(cdf, before, grid: Grid, m: np.ndarray) -> np.ndarray:
    """P(max <= m), m (genes,) of at least -1."""
    column = np.minimum(np.maximum(grid.column_of(m), 0), len(grid.low) - 1)
    genes = np.arange(len(m))
    share = (m - grid.low[column] + 1) / grid.width[column]
    return before[column, genes] + np.minimum(share, 1.0) * (cdf - before)[column, genes]


def _quantile(cdf, before, grid: Grid, level: float) -> np.ndarray:
    """The smallest m with P(max <= m) >= level."""
    column = np.minimum((cdf < level).sum(0), len(grid.low) - 1)
    genes = np.arange(cdf.shape[1])
    low, step = before[column, genes], (cdf - before)[column, genes]
    share = np.where(step > 0, (level - low) / np.where(step > 0, step, 1.0), 1.0)
    return grid.low[column] + np.ceil(grid.width[column] * np.clip(share, 0.0, 1.0)).clip(1) - 1
