"""Elements of an AnnData file, copied from HDF5 or Zarr to HDF5 or Zarr without passing through memory.

An element is what the file format of AnnData calls one: an array, a sparse matrix, a frame, a dict of elements.
Arrays keep their bits. What holds texts is written anew, as string arrays that anndata 0.10 reads.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import zarr
from anndata.io import read_elem, write_elem

from .readers._frames import plain, read_frame
from .schema import escaped

Group = h5py.Group | zarr.Group
Dataset = h5py.Dataset | zarr.Array

# with texts or references inside: written anew
TEXTUAL = ("dataframe", "categorical", "nullable-string-array")
SPARSE = {"csr": "csr_matrix", "csc": "csc_matrix"}
# structured arrays before anndata 0.7
FIELDS = ("obsm", "varm")
# numbers of the HDF5 filters that every reader has: deflate, shuffle, fletcher32
PLAIN_FILTERS = {1, 2, 3}
# rows of an array in one step when it is copied between formats: about this many bytes
STEP_BYTES = 64 << 20


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What the libraries say of old or coming formats, and of names that stand twice, is not for the user."""
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, PendingDeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


@contextlib.contextmanager
def quiet_writing() -> Iterator[None]:
    """Quiet, and texts as plain string arrays."""
    with quiet(), anndata.settings.override(allow_write_nullable_strings=False):
        yield


def named(layers: Mapping[str | None, Any]) -> dict[str, Any]:
    """Layers without X, which from anndata 0.13 on is among them, under None."""
    return {name: layer for name, layer in layers.items() if name is not None}


def write_element(group: Group, name: str, value: Any) -> None:
    """A value through AnnData's own writer, gzipped in HDF5."""
    if name in group:
        del group[name]
    options = {"compression": "gzip"} if isinstance(group, h5py.Group) else {}
    write_elem(group, name, value, dataset_kwargs=options)


def copy_element(source: Group, target: Group, name: str) -> list[str]:
    """Copy source[name] into `target`; the paths of what could not be kept (elements that are None)."""
    element = source[name]
    kind = _encoding(element, name)[0]
    if kind == "null":
        return [element.name]
    if kind in TEXTUAL:
        write_element(target, name, _plain(read_elem(element)))
        return []
    if kind == "rec-array" and name in FIELDS:
        _copy_fields(element, target.require_group(name))
        return []
    if kind not in ("dict", "raw"):
        _copy_raw(element, target, name)
        _encode(target[name], *_encoding(element, name))
        return []
    group = target.require_group(name)
    _copy_attributes(element, group)
    _encode(group, *_encoding(element, name))
    return [path for child in sorted(element) for path in copy_element(element, group, child)]


def copy_old_raw(source: h5py.File, target: Group, path: Path) -> None:
    """`.raw` of a file before anndata 0.7, which lies in raw.X, raw.var and raw.varm."""
    raw = target.create_group("raw")
    _encode(raw, "raw", "0.1.0")
    _copy_raw(source["raw.X"], raw, "X")
    _encode(raw["X"], *_encoding(source["raw.X"], "X"))
    write_element(raw, "var", plain_frame(read_frame(source, "raw.var", path)))
    fields = raw.create_group("varm")
    _encode(fields, "dict", "0.1.0")
    if "raw.varm" in source:
        _copy_fields(source["raw.varm"], fields)


def _copy_fields(element: h5py.Dataset, group: Group) -> None:
    """obsm or varm of a file before anndata 0.7: the fields of a structured array, each an array."""
    _encode(group, "dict", "0.1.0")
    for name in element.dtype.names:
        write_element(group, name, element[name])


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with texts as objects, and no `/` in the names of its columns: AnnData takes none in a key."""
    made = plain(frame)
    made.columns = pd.Index([escaped(name) for name in frame.columns], dtype=object)
    return made


def _plain(value: Any) -> Any:
    """A frame, or an array of texts or categories, whose texts are objects: written as plain string arrays."""
    if isinstance(value, pd.DataFrame):
        return plain_frame(value)
    column = plain(pd.DataFrame({"value": pd.Series(value)}))["value"]
    return column.array if isinstance(column.dtype, pd.CategoricalDtype) else column.to_numpy()


def _encoding(element: Group | Dataset, name: str) -> tuple[str, str]:
    """The encoding type and version of an element; of old files, which say none, the one it amounts to."""
    attributes = element.attrs
    if "encoding-type" in attributes:
        return attributes["encoding-type"], attributes["encoding-version"]
    if isinstance(element, h5py.Group | zarr.Group):
        if "h5sparse_format" in attributes:
            return SPARSE[attributes["h5sparse_format"]], "0.1.0"
        return ("raw" if name == "raw" else "dict"), "0.1.0"
    if element.dtype.names is not None:
        return "rec-array", "0.2.0"
    textual = element.dtype.kind in "OSUT"
    if element.shape == ():
        return ("string" if textual else "numeric-scalar"), "0.2.0"
    return ("string-array" if textual else "array"), "0.2.0"


def _encode(element: Group | Dataset, kind: str, version: str) -> None:
    """Say the encoding, where an old file does not."""
    if "encoding-type" not in element.attrs:
        element.attrs["encoding-type"], element.attrs["encoding-version"] = kind, version
        if kind in SPARSE.values():
            element.attrs["shape"] = element.attrs["h5sparse_shape"]


def _copy_raw(element: Group | Dataset, target: Group, name: str) -> None:
    """The element as it is: its attributes, its arrays bit for bit."""
    if isinstance(element, h5py.Group | zarr.Group):
        group = target.require_group(name)
        _copy_attributes(element, group)
        for child in sorted(element):
            _copy_raw(element[child], group, child)
    elif isinstance(element, h5py.Dataset) and isinstance(target, h5py.Group) and _plain_filters(element):
        target.copy(element, target, name=name)
    elif isinstance(element, zarr.Array) and isinstance(target, zarr.Group) and _same_format(element, target):
        shutil.copytree(_folder(element), _folder(target) / name)
    else:
        _stream(element, target, name)


def _plain_filters(dataset: h5py.Dataset) -> bool:
    """Whether every reader of HDF5 can undo the dataset's filters."""
    filters = dataset.id.get_create_plist()
    return all(filters.get_filter(i)[0] in PLAIN_FILTERS for i in range(filters.get_nfilters()))


def _same_format(element: zarr.Array, target: zarr.Group) -> bool:
    return element.metadata.zarr_format == target.metadata.zarr_format


def _folder(node: zarr.Array | zarr.Group) -> Path:
    return Path(node.store.root) / node.path


def _stream(element: Dataset, target: Group, name: str) -> None:
    """An array between formats, some rows at a time; texts and scalars at once."""
    if element.shape == () or element.dtype.kind not in "biufc":
        write_element(target, name, read_elem(element))
        return
    out = new_array(target, name, element.shape, element.dtype, element.chunks)
    step = max(1, STEP_BYTES // max(1, element.dtype.itemsize * int(np.prod(element.shape[1:]))))
    for start in range(0, element.shape[0], step):
        out[start : start + step] = element[start : start + step]
    _copy_attributes(element, out)


def new_array(group: Group, name: str, shape: tuple, dtype: Any, chunks: tuple | None = None) -> Dataset:
    """An empty array that can grow along its first axis; gzip in HDF5, Zarr's own compression in Zarr."""
    chunks = tuple(max(1, min(c, s or c)) for c, s in zip(chunks or [65536] * len(shape), shape, strict=True))
    if isinstance(group, h5py.Group):
        limit = (None, *shape[1:])
        return group.create_dataset(
            name, shape, dtype, chunks=chunks, maxshape=limit, compression="gzip", compression_opts=4, shuffle=True
        )
    return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks)


def _copy_attributes(source: Group | Dataset, target: Group | Dataset) -> None:
    for name, value in source.attrs.items():
        target.attrs[name] = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
