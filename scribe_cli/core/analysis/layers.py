"""What is predicted for each entry of the matrix, a few cells at a time: one draw of the counts, and their mean."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from ..facts import Facts
from ..model.spec import ModelSpec
from ..numerics import kernels
from ..numerics.natural import Natural
from . import expected, sampling
from .expected import Points
from .nodes import Nodes

STREAM = 2  # of random numbers for the drawn layer


def drawn_chunks(
    spec: ModelSpec, points: Points, facts: Facts, seed: int, cells: int = 2048
) -> Iterator[tuple[int, csr_array]]:
    """(first cell, int32 counts) of one predictive draw, at the first of the draws of the parameters."""
    core = {k: v[:1, None] for k, v in points.core.items()}
    gate = None if points.logit_gate is None else points.logit_gate[:1, None]
    log_nu = None if points.log_nu is None else points.log_nu[:1, :, None]
    return sampling.chunks(spec, Natural(core, log_nu, gate), facts, (seed, STREAM), cells)


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
