"""An AnnData in memory, laid down as a file for as long as it is read. The AnnData itself is never changed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Number
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
from anndata.io import write_elem

from ..errors import CannotCreate, IOFailure
from .elements import named, plain_frame, quiet_writing
from .new_hdf5 import new_hdf5
from .schema import escaped

NAME = "AnnData.h5ad"
# what pandas.api.types.infer_dtype says of columns of objects that become columns of numbers
NUMBERS = ("integer", "floating", "mixed-integer-float", "empty")
SCALARS = (str, Number, np.bool_)


class Folder:
    """A temporary folder, removed when nothing refers to this any more."""

    def __init__(self):
        try:
            self.path = Path(tempfile.mkdtemp(prefix="scribe-"))
        except OSError as error:
            raise CannotCreate(f"no temporary folder can be made ({error}); set TMPDIR to a writable folder") from error
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@contextmanager
def laid_down(data: anndata.AnnData) -> Iterator[tuple[Path, list[str]]]:
    """(a file that holds `data`, uncompressed; notices of what has no place in a file)."""
    folder = Folder()
    path = folder.path / NAME
    try:
        yield path, _written(path, data)
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)


def _written(path: Path, data: anndata.AnnData) -> list[str]:
    try:
        return write(path, data)
    except OSError as error:
        raise IOFailure(
            f"{path}: the AnnData cannot be written there ({error}); set TMPDIR to another folder"
        ) from error


def write(path: Path, data: anndata.AnnData) -> list[str]:
    """Write `data`, element by element: AnnData's own `write_h5ad` turns the texts of obs and var into categories."""
    with quiet_writing(), new_hdf5(path) as file:
        _encoded(file, "anndata")
        lost = [*_frame(file, "obs", data.obs), *_frame(file, "var", data.var)]
        if data.X is not None:
            write_elem(file, "X", data.X)
        if data.raw is not None:
            _encoded(file.create_group("raw"), "raw")
            write_elem(file["raw"], "X", data.raw.X)
            lost += [*_frame(file["raw"], "var", data.raw.var), *_mapping(file["raw"], "varm", data.raw.varm)]
        lost += _mapping(file, "layers", named(data.layers))
        mappings = {"obsm": data.obsm, "varm": data.varm, "obsp": data.obsp, "varp": data.varp}
        for name, mapping in mappings.items():
            lost += _mapping(file, name, mapping)
        lost += _uns(file, "uns", data.uns)
    return lost


def _encoded(group: h5py.Group, kind: str) -> None:
    group.attrs["encoding-type"], group.attrs["encoding-version"] = kind, "0.1.0"


def _frame(group: h5py.Group, name: str, frame: pd.DataFrame) -> list[str]:
    plain = plain_frame(frame)
    columns = {column: _column(plain[column]) for column in plain}
    lost = [column for column, values in columns.items() if values is None]
    kept = {column: values for column, values in columns.items() if values is not None}
    write_elem(group, name, pd.DataFrame(kept, index=plain.index))
    return [_lost(f"{name}[{c!r}]", f"values of type {pd.api.types.infer_dtype(plain[c])}") for c in lost]


def _column(column: pd.Series) -> pd.Series | None:
    """A column as a file can hold it; None where it cannot."""
    if column.dtype != object:
        return None if column.dtype.kind in "mM" else column
    kind, missing = pd.api.types.infer_dtype(column, skipna=True), column.isna().any()
    if kind == "string":
        return column.astype("category") if missing else column
    if kind == "boolean":
        return column.astype("boolean" if missing else bool)
    if kind == "integer" and not missing:
        return column.astype(int)
    return column.astype(float) if kind in NUMBERS else None


def _mapping(file: h5py.Group, name: str, mapping: Mapping[str, Any]) -> list[str]:
    """layers, obsm and their like: an AnnData takes nothing in there that has no place in a file."""
    target, lost = _dict(file, name), []
    for key, value in mapping.items():
        if isinstance(value, pd.DataFrame):
            lost += _frame(target, escaped(key), value)
        else:
            write_elem(target, escaped(key), value)
    return lost


def _uns(group: h5py.Group, name: str, mapping: Mapping) -> list[str]:
    """uns, which may hold anything, and the dicts in it."""
    target, lost = _dict(group, name), []
    for key, value in mapping.items():
        if isinstance(key, str) and isinstance(value, Mapping):
            lost += _uns(target, escaped(key), value)
        elif isinstance(key, str) and isinstance(value, pd.DataFrame):
            lost += _frame(target, escaped(key), value)
        elif isinstance(key, str) and _storable(value):
            write_elem(target, escaped(key), value)
        else:
            lost.append(_lost(f"{target.name[1:]}[{key!r}]", f"it is a {type(value).__name__}"))
    return lost


def _dict(group: h5py.Group, name: str) -> h5py.Group:
    target = group.create_group(name)
    _encoded(target, "dict")
    return target


def _storable(value: Any) -> bool:
    """Whether AnnData has an encoding for it."""
    if isinstance(value, list):
        return all(isinstance(v, SCALARS) for v in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return all(isinstance(v, str) for v in value.ravel())
    kinds = (*SCALARS, np.ndarray, pd.Categorical, pd.arrays.IntegerArray, pd.arrays.BooleanArray)
    return value is None or isinstance(value, kinds) or scipy.sparse.issparse(value)


def _lost(what: str, why: str) -> str:
    return f"AnnData: {what} has no place in a file ({why}): it is left out of the result"
