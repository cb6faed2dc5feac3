"""What is predicted for each entry of the matrix, a few cells at a time: the mean of its count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.spec import ModelSpec
from ..numerics import kernels
from . import expected
from .expected import Points
from .nodes import Nodes


def expected_chunks(
    spec: ModelSpec, points: Points, n_cells: int, cells: int = 2048
) -> Iterator[tuple[int, np.ndarray]]:
    """(first cell, (cells, genes) mean over the draws of E[count], gate and capture included, float64).

    The mean is linear in capture, so that all cells are one product of matrices.
    """
    whole = expected.moments(kernels.load(spec.kernel), points, Nodes.none(points.n_draws)).mean
    nu = np.ones((points.n_draws, n_cells)) if points.log_nu is None else np.exp(points.log_nu)
    for start in range(0, n_cells, cells):
        yield start, nu[:, start : start + cells].T @ whole / points.n_draws
