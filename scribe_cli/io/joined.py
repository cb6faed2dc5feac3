"""The results of a fit on an AnnData in memory: that of its own file, or one that is given, joined by the names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import zarr
from anndata.io import read_elem

from ..core.axes import CELL, GENE
from ..data.names import unique
from ..data.selection import label
from ..errors import BadData, InputMissing
from . import plain_zarr
from .anndata import annotated, slots_of, uns
from .elements import Group, named, quiet
from .part import WHOLE, Part
from .results import SIDE, Place, annotations, frames
from .schema import FIT
from .slots import Slots, slots_in
from .stored import StoredFit


@quiet()
def read(stored: StoredFit) -> anndata.AnnData:
    """fit.h5ad or fit.zarr, all of it."""
    path = stored.out / FIT[stored.format]
    if not path.exists():
        raise InputMissing(f"{path}: no such file; run the command of the fit again, or give an AnnData to join to")
    if stored.format == "zarr":
        plain_zarr.check(path)
        return anndata.read_zarr(path)
    return anndata.read_h5ad(path)


@quiet()
def labels(stored: StoredFit, column: str) -> np.ndarray:
    """(fitted cells,) the labels of an obs column, from fit.h5ad or fit.zarr."""
    path = stored.out / FIT[stored.format]
    if not path.exists():
        raise InputMissing(f"{path}: no such file, and the cells' {column} is there; run the command of the fit again")
    with _opened(path, stored.format) as root:
        values = read_elem(root["obs"])[column]
    return np.array([label(v) for v in values.iloc[stored.selected[0]]], object)


@quiet()
def join(stored: StoredFit, data: anndata.AnnData, part: Part = WHOLE) -> anndata.AnnData:
    """A copy of `data` with the slots of CONTRACT 3. What of it was not fitted has NaN, and False in `{key}_fitted`.

    part: parameters are those of its component and its dataset; genes and cells are all there (see `seen`).
    """
    out, results, key = data.copy(), stored.results.on(part.picks), stored.record.key
    places = {CELL: Place(out.obs, positions(stored, CELL, out.obs.index))}
    places[GENE] = Place(out.var, positions(stored, GENE, out.var.index))
    slots = slots_in(out.uns, key)
    if slots.earlier:
        _drop_earlier(out, slots)
    out.obs, out.var = (annotated(p.frame, annotations(results, key, axis, p), slots) for axis, p in places.items())
    out.obsm.update(frames(results, key, CELL, places[CELL]))
    out.varm.update(frames(results, key, GENE, places[GENE]))
    out.uns[key] = uns(results, stored.record)
    out.layers.update(_layers(stored, key, places, out.shape))
    return out


@quiet()
def seen(stored: StoredFit, data: anndata.AnnData, part: Part) -> anndata.AnnData:
    """A copy of `data` with the genes and the cells of the part alone, in its order; those that `data` lacks left out."""
    for axis, names in ((CELL, data.obs.index), (GENE, data.var.index)):
        if axis in part.at:
            places = positions(stored, axis, names)[part.at[axis]]
            places = places[places >= 0]
            data = data[places] if axis == CELL else data[:, places]
    return data.copy()


def positions(stored: StoredFit, axis: str, names: pd.Index) -> np.ndarray:
    """Where each fitted cell or gene stands in an AnnData, by name; -1 where it does not. BadData if none does."""
    place = {name: i for i, name in enumerate(unique(map(str, names)))}
    at = np.array([place.get(name, -1) for name in stored.coords[axis]], np.int64)
    if (at < 0).all():
        there = f'its first is "{names[0]}"' if len(names) else "it has none"
        raise BadData(
            f'none of the {len(at):,} fitted {axis}s, first "{stored.coords[axis][0]}", is in the AnnData: {there}; '
            "give the AnnData that was fitted, or a part of it"
        )
    return at


def _drop_earlier(data: anndata.AnnData, slots: Slots) -> None:
    for mapping in (data.obsm, data.varm, data.layers):
        for name in [n for n in named(mapping) if slots.own(n)]:
            del mapping[name]


def _layers(stored: StoredFit, key: str, places: dict[str, Place], shape: tuple[int, int]) -> dict[str, object]:
    """The layers that the fit added to its own file, if that is there, on another AnnData's cells and genes."""
    path = stored.out / FIT[stored.format]
    if not path.exists():
        return {}
    with _opened(path, stored.format) as root:
        slots = slots_of(root, key)
        names = [name for name in root["layers"] if slots.own(name)]
        own = tuple(positions(stored, axis, read_elem(root[SIDE[axis]]).index) for axis in (CELL, GENE))
        there = tuple(places[axis].at for axis in (CELL, GENE))
        return {name: _placed(read_elem(root["layers"][name]), own, there, shape) for name in names}


@contextmanager
def _opened(path, format: str) -> Iterator[Group]:
    if format == "zarr":
        plain_zarr.check(path)
        yield zarr.open_group(path, mode="r")
        return
    with h5py.File(path, "r") as file:
        yield file


def _placed(layer, own: tuple, there: tuple, shape: tuple[int, int]):
    """Fitted cells and genes from their places in the fit's file to those in the other AnnData; both -1 for none."""
    both = [(a >= 0) & (b >= 0) for a, b in zip(own, there, strict=True)]
    (rows, columns), (to_rows, to_columns) = (
        [at[k] for at, k in zip(side, both, strict=True)] for side in (own, there)
    )
    part = layer[rows][:, columns]
    if scipy.sparse.issparse(part):
        part = part.tocoo()
        return scipy.sparse.csr_matrix((part.data, (to_rows[part.row], to_columns[part.col])), shape)
    out = np.full(shape, np.nan, part.dtype)
    out[np.ix_(to_rows, to_columns)] = part
    return out
