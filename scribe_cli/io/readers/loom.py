"""loom: an HDF5 file of genes x cells, with attributes of its rows and columns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from ...data.source import BLOCK_VALUES, Source, blocks
from ...errors import BadData, listed
from ._anndata import DenseOnDisk, Layout, Store, chosen, numbers
from ._arrays import dataset, decoded
from ._frames import plain
from ._hdf5 import opened, recognised
from ._made_up import made_up, notice
from ._reader import Reader

SIDES = ("row_attrs", "col_attrs")
# attributes that hold names, the first that is there; without symbols the ids are names
CELL_NAMES = ("CellID", "obs_names", "cell_names")
GENE_IDS = "Accession"
GENE_NAMES = ("Gene", "var_names", "gene_names", GENE_IDS)
WIDTH = 64  # columns of a chunk, as loompy lays them out


@dataclass(frozen=True)
class Attributes:
    """Of rows or columns. left: those that are no list of texts or numbers."""

    frame: pd.DataFrame
    left: tuple[str, ...]


def recognises(path: Path) -> bool:
    """An HDF5 file with a matrix and attributes of rows or of columns."""
    return recognised(path, lambda root: "matrix" in root and any(side in root for side in SIDES))


def open_loom(path: Path, layer: str | None, transpose: bool) -> Source:
    """`transpose`: the file holds cells x genes. BadData for a layer that is not there, attributes that do not fit."""
    with opened(path) as root:
        there = _matrices(root)
        element = chosen(layer, there, path)
        matrix = dataset(root, there[element], str(path), ndim=2)
        layout = Layout(Store(path, "loom", opened), there[element], "dense", matrix.shape, matrix.size)
        sides = [_attributes(root, key, n, path) for key, n in zip(SIDES, matrix.shape, strict=True)]
    cells, genes = sides if transpose else sides[::-1]
    obs, nameless = _named(cells.frame, CELL_NAMES, "cell", path)
    var, idless = _named(genes.frame, GENE_NAMES, "gene", path)
    return Source(
        path=path,
        format="loom",
        element=element,
        rows=DenseOnDisk(layout, layout.shape) if transpose else ByColumns(layout),
        obs=obs,
        var=var.rename(columns={GENE_IDS: "gene_ids"}),
        elements=tuple(there),
        reopen=lambda name: open_loom(path, name, transpose),
        transposed=transpose,
        notices=(*nameless, *idless, *_left(path, sides)),
    )


def _matrices(root: h5py.File) -> dict[str, str]:
    """{element: key}."""
    layers = root.get("layers")
    names = sorted(layers) if isinstance(layers, h5py.Group) else ()
    return {"X": "matrix"} | {f"layers/{name}": f"layers/{name}" for name in names}


def _attributes(root: h5py.File, key: str, n: int, path: Path) -> Attributes:
    """The attributes of n rows or columns."""
    group = root.get(key)
    if not isinstance(group, h5py.Group):
        raise BadData(f"{path} is a loom file without {key}, so without names; write the file again")
    columns, left = {}, []
    for name in sorted(group):
        attribute = group[name]
        if not _is_list(attribute):
            if name in (*CELL_NAMES, *GENE_NAMES):
                raise BadData(f"{path}: {key}/{name} is no list of names; write the file again with one name each")
            left.append(f"{key}/{name}")
        elif attribute.shape[0] != n:
            entries = f"{attribute.shape[0]:,} entries for {n:,}"
            raise BadData(f"{path}: {key}/{name} has {entries}; the file is damaged, copy it again")
        else:
            columns[name] = _values(attribute, f"{path}: {key}/{name}")
    return Attributes(plain(pd.DataFrame(columns, index=range(n))), tuple(left))


def _is_list(attribute: h5py.Group | h5py.Dataset) -> bool:
    """Whether it is a list of numbers or texts."""
    return isinstance(attribute, h5py.Dataset) and attribute.ndim == 1 and attribute.dtype.kind in "biufSO"


def _values(attribute: h5py.Dataset, what: str) -> np.ndarray:
    """Numbers as they are; texts as str, those of fixed width with the entities that loompy 2 wrote undone."""
    values = attribute[:]
    if values.dtype.kind not in "SO":
        return values
    names = decoded(values, what)
    return np.array([html.unescape(v) for v in names] if values.dtype.kind == "S" else names, object)


def _named(frame: pd.DataFrame, candidates: Sequence[str], kind: str, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The frame indexed by the first of `candidates` it has; else by names made up, and a notice of that."""
    name = next((c for c in candidates if c in frame), None)
    if name is None:
        return frame.set_axis(pd.Index(made_up(kind, len(frame)), dtype=object)), [notice(path.name, kind)]
    kept = frame if name == GENE_IDS else frame.drop(columns=name)
    return kept.set_axis(pd.Index(list(map(str, frame[name])), dtype=object)), []


def _left(path: Path, sides: Sequence[Attributes]) -> list[str]:
    names = [name for side in sides for name in side.left]
    return [f"{path.name}: attributes that are no list of texts or numbers are left out: {listed(names)}"] * bool(names)


@dataclass(frozen=True)
class ByColumns:
    """A dense dataset of genes x cells, read by blocks of its columns."""

    layout: Layout

    @property
    def shape(self) -> tuple[int, int]:
        return self.layout.shape[::-1]

    @property
    def stored(self) -> int:
        return self.layout.stored

    def read(self, start: int, stop: int) -> csr_array:
        step = max(WIDTH, BLOCK_VALUES // max(1, self.layout.shape[0]) // WIDTH * WIDTH)
        with self.layout.store.root() as root:
            matrix = root[self.layout.key]
            ends = list(blocks(stop - start, step)) or [(0, 0)]
            return vstack([self._block(matrix, start + a, start + b) for a, b in ends], format="csr")

    def _block(self, matrix: h5py.Dataset, start: int, stop: int) -> csr_array:
        return csr_array(numbers(matrix[:, start:stop], self.layout.place).T)


MEMBER = Reader("loom", ".loom", recognises, open_loom)
