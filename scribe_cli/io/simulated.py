"""A simulated data set as .h5ad: counts written a block of cells at a time, names, and the truth behind them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from ..core.axes import CELL, GENE, Axes
from ..errors import CannotCreate, IOFailure
from .elements import quiet_writing, write_element
from .layers import write_layer
from .new_hdf5 import new_hdf5
from .outputs import Layer
from .results import SIDE
from .schema import column_labels, rows_first, slot
from .staging import sync_path

PREFIX = "true_"
# groups that every AnnData has
MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp")


@dataclass(frozen=True)
class Truth:
    """A parameter that counts were drawn with: values in its natural domain, shaped as the sizes of its axes."""

    name: str
    axes: Axes
    values: np.ndarray


@dataclass(frozen=True)
class Simulated:
    """What is written. obs, var: indexed by the names, with columns of their own; counts: all cells x all genes.

    uns: {name: element}; coords: {axis: labels} of components and datasets, where a parameter has them.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    truth: Sequence[Truth]
    counts: Layer
    uns: Mapping[str, Any]
    coords: Mapping[str, Sequence[str]] = field(default_factory=dict)


def write_simulated(path: Path, simulated: Simulated) -> None:
    """Write `path`, which appears whole or not at all. Errors: 73 where it cannot be made, 74 where writing fails."""
    shape = (len(simulated.obs), len(simulated.var))
    with _appearing(path) as file, quiet_writing():
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        for name in MAPPINGS:
            write_element(file, name, {})
        for axis, frame in ((CELL, simulated.obs), (GENE, simulated.var)):
            _side(file, axis, frame, simulated)
        scalars = {PREFIX + t.name: t.values[()] for t in simulated.truth if slot(t.axes) == "scalars"}
        write_element(file, "uns", {**simulated.uns, **scalars, **_labels(simulated)})
        blocks = _with_room(path, file, simulated.counts, shape[0])
        everything = tuple(np.arange(n) for n in shape)
        write_layer(
            file, "X", Layer(lambda: blocks, simulated.counts.sparse, simulated.counts.dtype), shape, everything
        )


def _side(file: h5py.File, axis: str, frame: pd.DataFrame, simulated: Simulated) -> None:
    """obs and obsm, or var and varm."""
    side = SIDE[axis]
    columns = {PREFIX + t.name: t.values for t in simulated.truth if slot(t.axes) == side}
    write_element(file, side, frame.assign(**columns))
    for t in (t for t in simulated.truth if slot(t.axes) == f"{side}m"):
        labels = column_labels(t.axes, simulated.coords)
        many = pd.DataFrame(rows_first(t.values, t.axes), index=frame.index, columns=pd.Index(labels, dtype=object))
        write_element(file[f"{side}m"], PREFIX + t.name, many)


def _labels(simulated: Simulated) -> dict[str, np.ndarray]:
    """What the axes of scalars and the columns of varm stand for."""
    return {f"{axis}s": np.asarray(labels, object) for axis, labels in simulated.coords.items()}


def _with_room(path: Path, file: h5py.File, counts: Layer, n_cells: int) -> Iterator[Any]:
    """The blocks as they come; after the first, what the others will take is compared with the room there is."""
    start, done = _size(file), 0
    for block in counts.blocks():
        yield block
        done += block.shape[0]
        if done == block.shape[0]:
            _require_room(path, (_size(file) - start) * (n_cells - done) // done)


def _size(file: h5py.File) -> int:
    file.flush()
    return os.path.getsize(file.filename)


def _require_room(path: Path, need: int) -> None:
    free = shutil.disk_usage(path.absolute().parent).free
    if free < need:
        raise CannotCreate(
            f"-o {path}: about {need / 1e9:.2g} GB more are needed and {free / 1e9:.2g} GB are free on its disk; make "
            "room, name a file elsewhere, or simulate fewer cells or genes"
        )


@contextmanager
def _appearing(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file made beside `path` and renamed to it when complete; nothing is left of one that is not."""
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "it is no regular file")
        fresh.touch()
    except OSError as error:
        raise CannotCreate(
            f"-o {path}: cannot be created ({error.strerror}); name a file in a folder that exists and is writable"
        ) from error
    try:
        with new_hdf5(fresh) as file:
            yield file
        sync_path(fresh)
        os.replace(fresh, path)
        sync_path(path.absolute().parent)
    except OSError as error:
        raise IOFailure(
            f"-o {path}: writing failed ({error.strerror or error}); make room, then run it again"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
