"""obs and var as they lie in an AnnData on disk, any layout since 0.5, made plain."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata._io.specs.registry import IORegistryError
from anndata.io import read_elem

from ...errors import BadData


# what AnnData's own reader raises of a damaged table, by way of h5py, zarr, numpy and pandas
DAMAGED = (IORegistryError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError)
REMEDY = "write the file again with anndata"


def read_frame(root, key: str, path: Path) -> pd.DataFrame:
    """obs, var or raw/var, of any layout: before 0.7 a record array, categories in uns. BadData if it is no table."""
    if key not in root:
        raise BadData(f"{path} has no {key}, so no AnnData: cells and genes need names; {REMEDY}")
    element = root[key]
    place = f"{path}: {key}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old layouts warn, and are read all the same
            if isinstance(element, h5py.Dataset | zarr.Array):
                return plain(_structured(_records(element, place), root))
            _check_names(element, place)
            return plain(read_elem(element))
    except DAMAGED as error:
        reason = " ".join(str(error.args[0] if isinstance(error, KeyError) else error).split())
        raise BadData(f"{place} cannot be read as a table ({type(error).__name__}: {reason}); {REMEDY}") from error


def _records(element: h5py.Dataset | zarr.Array, place: str) -> np.ndarray:
    if element.dtype.names is None or "index" not in element.dtype.names or len(element.shape or ()) != 1:
        raise BadData(f"{place} cannot be read as a table: it is {element.dtype} without an index; {REMEDY}")
    return element[()]


def _check_names(element: h5py.Group | zarr.Group, place: str) -> None:
    """BadData unless the names of the index and of the columns are names of what lies in the group."""
    index, columns = element.attrs.get("_index", "_index"), element.attrs.get("column-order", ())
    names = [index, *np.ravel(columns).tolist()]
    for name in names:
        inside = isinstance(name, str) and not {"", ".", ".."} & set(name.split("/"))
        if not inside or name not in element:
            what = "index" if name is index else "column"
            said = f"there is no {what} {str(name)[:80]!r} in it, as its attributes say"
            raise BadData(f"{place} cannot be read as a table: {said}; {REMEDY}")
    values = element[index]
    if isinstance(values, h5py.Dataset | zarr.Array) and len(values.shape or ()) != 1:
        raise BadData(f"{place} cannot be read as a table: its index has shape {values.shape}; {REMEDY}")


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same frame with an index of str objects and no nullable or Arrow strings: AnnData raises on writing those."""
    columns = {name: _plain_column(frame[name]) for name in frame.columns}
    index = pd.Index(list(map(_text, frame.index.astype(object))), dtype=object, name=frame.index.name)
    return pd.DataFrame({k: v.set_axis(index) for k, v in columns.items()}, index=index, columns=list(frame.columns))


def _plain_column(column: pd.Series) -> pd.Series:
    """Strings as objects, or as a categorical where some are missing: that is how a file can hold them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.cat.categories
        if isinstance(categories.dtype, pd.StringDtype):
            return column.cat.rename_categories(categories.astype(object))
    elif isinstance(column.dtype, pd.StringDtype):
        texts = column.astype(object)
        if not column.isna().any():
            return texts
        levels = pd.Index(sorted(texts.dropna().unique()), dtype=object)
        return pd.Series(pd.Categorical(texts, categories=levels), index=column.index)
    return column


def _structured(table: np.ndarray, root) -> pd.DataFrame:
    """A record array of anndata 0.5 and 0.6: field `index`, codes of categories kept as uns/<field>_categories."""
    names = [n for n in table.dtype.names if n != "index"]
    frame = pd.DataFrame({n: _decoded(table[n]) for n in names}, index=_decoded(table["index"]))
    for name in names:
        key = f"uns/{name}_categories"
        if key in root and table[name].dtype.kind == "i":
            frame[name] = pd.Categorical.from_codes(table[name], _decoded(root[key][()]))
    return frame


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "SO":
        return np.array([_text(v) for v in values], object)
    return values


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
