"""Arrays of an HDF5 file that is no AnnData: what should lie at a key, or BadData saying so."""

from __future__ import annotations

import h5py
import numpy as np

from ...errors import BadData, listed


def dataset(group: h5py.Group, key: str, place: str, ndim: int = 1) -> h5py.Dataset:
    """The array of `ndim` axes at a key."""
    element = group.get(key)
    if not isinstance(element, h5py.Dataset):
        what = "holds" if element is None else f"has a group at {key}, not an array; it holds"
        raise BadData(f"{place} lacks the array {key}: it {what} {listed(sorted(group), 8)}; write the file again")
    if element.ndim != ndim:
        raise BadData(f"{place}: {key} has shape {element.shape}, not {ndim} axes; write the file again")
    return element


def texts(group: h5py.Group, key: str, n: int, place: str) -> list[str]:
    """n names."""
    array = dataset(group, key, place)
    if array.shape[0] != n:
        raise BadData(f"{place}: {key} has {array.shape[0]:,} entries for {n:,}; the file is damaged, copy it again")
    return decoded(array[:], f"{place}: {key}")


def decoded(values: np.ndarray, what: str) -> list[str]:
    """Bytes or str of any HDF5 string type as str; numbers as they are written."""
    try:
        return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values.tolist()]
    except UnicodeDecodeError as error:
        raise BadData(f"{what} is not text in UTF-8 ({error}); write the names in UTF-8") from error
