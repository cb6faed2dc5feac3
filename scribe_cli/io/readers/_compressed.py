"""Compressed sparse layouts as files have them: (data, indices, indptr), checked before SciPy sees them.

An indptr that points past its data, or an index past the shape, ends SciPy with a segmentation fault.
"""

from __future__ import annotations

import h5py
import numpy as np
import zarr

from ...errors import BadData

PARTS = ("data", "indices", "indptr")
REMEDY = "the matrix is damaged: copy the file again, or write the matrix anew"


def checked_pointers(group: h5py.Group | zarr.Group, shape: tuple[int, int], place: str) -> np.ndarray:
    """indptr as int64, of a group with the arrays data, indices and indptr; shape: the compressed axis first.

    BadData if it does not divide the stored values among shape[0] rows of at most shape[1]. Sizes and types are
    looked at before anything is read.
    """
    lengths = [stored_values(group, place, name) for name in PARTS]
    if lengths[0] != lengths[1]:
        raise BadData(f"{place}: data has {lengths[0]:,} values and indices {lengths[1]:,}; {REMEDY}")
    indptr = group["indptr"]
    if indptr.dtype.kind not in "iu" or lengths[2] != shape[0] + 1:
        raise BadData(
            f"{place}: indptr is {lengths[2]:,} values of type {indptr.dtype}, not {shape[0] + 1:,} integers; {REMEDY}"
        )
    return _rising(indptr[:].astype(np.int64), lengths[0], shape[1], place)


def stored_values(group: h5py.Group | zarr.Group, place: str, name: str = "data") -> int:
    """The length of an array of the group. BadData if it is none, of one axis."""
    array = group[name] if name in group else None
    if not isinstance(array, h5py.Dataset | zarr.Array) or len(array.shape or ()) != 1:
        raise BadData(f"{place} has no list of numbers called {name}; {REMEDY}")
    return int(array.shape[0])


def _rising(indptr: np.ndarray, n_data: int, n_minor: int, place: str) -> np.ndarray:
    stored = np.diff(indptr)
    if indptr[0] != 0 or indptr[-1] != n_data or (stored < 0).any():
        raise BadData(
            f"{place}: indptr runs from {indptr[0]:,} to {indptr[-1]:,}, not upwards from 0 to the {n_data:,} stored "
            f"values; {REMEDY}"
        )
    if len(stored) and stored.max() > n_minor:
        at = int(stored.argmax())
        raise BadData(f"{place}: entry {at:,} of indptr holds {stored[at]:,} values of {n_minor:,} possible; {REMEDY}")
    return indptr


def checked_indices(indices: np.ndarray, n_minor: int, place: str) -> np.ndarray:
    """indices, or BadData if one lies outside the matrix."""
    if indices.dtype.kind not in "iu":
        raise BadData(f"{place}: indices are of type {indices.dtype}, not integers; {REMEDY}")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_minor):
        raise BadData(
            f"{place}: indices run from {indices.min():,} to {indices.max():,}, outside 0 .. {n_minor - 1:,}; {REMEDY}"
        )
    return indices
