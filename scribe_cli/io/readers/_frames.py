"""obs and var as they lie in an AnnData on disk, any layout since 0.5, made plain."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from ...errors import BadData


def read_frame(root, key: str, path: Path) -> pd.DataFrame:
    """obs, var or raw/var, of any layout: before 0.7 a record array, categories in uns. BadData if it is no table."""
    if key not in root:
        raise BadData(f"{path} has no {key}, so no AnnData: cells and genes need names")
    element = root[key]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old layouts warn, and are read all the same
            old = isinstance(element, h5py.Dataset)
            frame = _structured(element[()], root) if old else read_elem(element)
        return plain(frame)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise BadData(f"{path}: {key} cannot be read as a table ({type(error).__name__}: {reason})") from error


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
