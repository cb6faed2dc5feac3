"""Compressed sparse layouts as files have them: (data, indices, indptr), checked before SciPy sees them.

An indptr that points past its data, or an index past the shape, ends SciPy with a segmentation fault.
"""

from __future__ import annotations

import numpy as np

from ...errors import BadData


def checked_pointers(indptr: np.ndarray, n_major: int, n_data: int, n_indices: int, place: str) -> np.ndarray:
    """indptr as int64, or BadData if it does not divide the stored values among `n_major` rows (or columns)."""
    if n_data != n_indices:
        raise BadData(f"{place}: data has {n_data:,} values and indices {n_indices:,}; the matrix is damaged")
    if indptr.ndim != 1 or indptr.dtype.kind not in "iu" or len(indptr) != n_major + 1:
        raise BadData(f"{place}: indptr has shape {indptr.shape}, not {n_major + 1:,} integers; the matrix is damaged")
    indptr = indptr.astype(np.int64)
    if indptr[0] != 0 or indptr[-1] != n_data or (np.diff(indptr) < 0).any():
        raise BadData(
            f"{place}: indptr runs from {indptr[0]:,} to {indptr[-1]:,}, not upwards from 0 to the {n_data:,} stored "
            "values; the matrix is damaged"
        )
    return indptr


def checked_indices(indices: np.ndarray, n_minor: int, place: str) -> np.ndarray:
    """indices, or BadData if one lies outside the matrix."""
    if indices.dtype.kind not in "iu":
        raise BadData(f"{place}: indices are of type {indices.dtype}, not integers; the matrix is damaged")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        raise BadData(
            f"{place}: indices run from {indices.min():,} to {indices.max():,}, outside 0 .. {n_minor - 1:,}; "
            "the matrix is damaged"
        )
    return indices
