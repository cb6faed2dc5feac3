"""What is predicted for each entry of the matrix, a few cells at a time: the mean of its count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..model.spec import ModelSpec
from ..numerics import kernels
from . import expected
from .nodes import Nodes
from .points import Points


def expected_chunks(
    spec: ModelSpec, points: Points, n_cells: int, cells: int = 2048
) -> Iterator[tuple[int, np.ndarray]]:
    """(first cell, (cells, genes) mean over the draws of E[count], gate and capture included, float64).

    Of a mixture it is that of a cell whose component is not known. The mean is linear in capture, so that all cells of a
    kind are one product of matrices.
    """
    kernel = kernels.load(spec.kernel)
    whole = {k: expected.moments(kernel, points.of_kind(k), Nodes.none(points.n_draws)).mean for k in points.kinds}
    nu = np.ones((points.n_draws, n_cells)) if points.log_nu is None else np.exp(points.log_nu)
    for start in range(0, n_cells, cells):
        yield start, _block(whole, nu[:, start : start + cells], points, start)


def _block(whole: Mapping[int, np.ndarray], nu: np.ndarray, points: Points, start: int) -> np.ndarray:
    """(cells, genes) of the cells from `start` on; whole: {kind of cells: (draws, genes)}, nu: (draws, cells)."""
    if points.kind_of_cell is None:
        return nu.T @ whole[0] / points.n_draws
    kind = points.kind_of_cell[start : start + nu.shape[1]]
    out = np.empty((nu.shape[1], points.n_genes))
    for k in np.unique(kind):
        out[kind == k] = nu[:, kind == k].T @ whole[k] / points.n_draws
    return out
