"""AnnData on disk, HDF5 or Zarr: which matrices there are, and how each is read by chunks of cells."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import zarr
from scipy.sparse import csr_array, vstack

from ...data.source import InMemory, Rows, Source, block_rows, blocks
from ...errors import BadData, did_you_mean
from ._compressed import PARTS, REMEDY, checked_indices, checked_pointers, stored_values
from ._frames import read_frame

SPARSE = ("csr", "csc")


@dataclass(frozen=True)
class Store:
    """Where an AnnData lies. opened: its root group, for the length of one read (no handle stays open)."""

    path: Path
    format: str
    opened: Callable[[Path], AbstractContextManager]

    def root(self) -> AbstractContextManager:
        return self.opened(self.path)


@dataclass(frozen=True)
class Layout:
    """One matrix on disk. kind: csr, csc or dense; key: in the file; stored: values it holds (dense: all)."""

    store: Store
    key: str
    kind: str
    shape: tuple[int, int]
    stored: int

    @property
    def place(self) -> str:
        return f"{self.store.path} ({self.key})"


def is_anndata(root) -> bool:
    return text(root, "encoding-type") == "anndata" or ("obs" in root and "var" in root)


def text(element, name: str) -> str:
    """An attribute that is to be text; empty where it is none or of another kind."""
    value = element.attrs.get(name, "")
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def open_anndata(store: Store, layer: str | None, transpose: bool) -> Source:
    """The Source of one matrix. `transpose`: the file holds genes as rows, its obs are genes."""
    with store.root() as root:
        there = matrices(root)
        element = chosen(layer, there, store.path)
        layout = _layout(store, root, there[element])
        obs = read_frame(root, "obs", store.path)
        var = read_frame(root, _var_of(root, element), store.path)
        _match(layout, len(obs), len(var))
        rows = _rows(layout, root, transpose)
    if transpose:
        obs, var = var, obs
    return Source(
        path=store.path,
        format=store.format,
        element=element,
        rows=rows,
        obs=obs,
        var=var,
        elements=tuple(there),
        reopen=lambda name: open_anndata(store, name, transpose),
        transposed=transpose,
    )


def matrices(root) -> dict[str, str]:
    """{element: key} of every matrix of cells x genes: X, layers/<name>, raw/X (raw.X before 0.7)."""
    there = {"X": "X"} if _is_there(root, "X") else {}
    if "layers" in root and isinstance(root["layers"], (h5py.Group, zarr.Group)):
        there |= {f"layers/{name}": f"layers/{name}" for name in sorted(root["layers"])}
    raw = next((key for key in ("raw/X", "raw.X") if _is_there(root, key)), None)
    return there | ({"raw/X": raw} if raw else {})


def _is_there(root, key: str) -> bool:
    """Present, and not the placeholder of a None (encoding-type null)."""
    return key in root and text(root[key], "encoding-type") != "null"


def chosen(layer: str | None, there: dict[str, str], path: Path) -> str:
    """The element that --layer means: a layer's name, `raw` for .raw, or an element's own name."""
    spellings = ["X"] if layer is None else ["raw/X"] if layer == "raw" else []
    spellings += [f"layers/{layer}", str(layer)]
    for element in spellings:
        if element in there:
            return element
    wanted = "no X" if layer is None else f'no layer "{layer}"{did_you_mean(layer, map(_name, there))}'
    none = "no layers and no raw either: give a file with counts"
    offer = f"{', '.join(map(_name, there))}: choose with --layer" if there else none
    raise BadData(f"{path} has {wanted}; it has {offer}")


def _name(element: str) -> str:
    return "raw" if element == "raw/X" else element.removeprefix("layers/")


def _var_of(root, element: str) -> str:
    if element != "raw/X":
        return "var"
    return "raw/var" if "raw/var" in root else "raw.var"


def _layout(store: Store, root, key: str) -> Layout:
    """How a matrix lies there. BadData if it is none."""
    element = root[key]
    place = f"{store.path} ({key})"
    if isinstance(element, (h5py.Dataset, zarr.Array)):
        shape = element.shape or ()
        if len(shape) != 2:
            raise BadData(f"{place} has shape {tuple(shape)}; a matrix of cells x genes is needed")
        return Layout(store, key, "dense", tuple(shape), shape[0] * shape[1])
    encoding = text(element, "encoding-type") or text(element, "h5sparse_format")
    kind = encoding.removesuffix("_matrix")
    if kind not in SPARSE or not all(part in element for part in PARTS):
        raise BadData(
            f'{place} is a group of encoding "{encoding}"; a dense, csr or csc matrix of cells x genes is needed'
        )
    shape = _shape(element.attrs.get("shape", element.attrs.get("h5sparse_shape")), place)
    return Layout(store, key, kind, shape, stored_values(element, place))


def _shape(said: object, place: str) -> tuple[int, int]:
    """The attribute that gives the shape of a sparse matrix, as integers or whole floats. BadData for any other."""
    try:
        shape = np.asarray(said, float)
        whole = shape.shape == (2,) and bool(((shape >= 0) & (shape < 2**53) & (shape == np.rint(shape))).all())
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise BadData(f"{place}: its shape is given as {said}, not as a number of cells and one of genes; {REMEDY}")
    return int(shape[0]), int(shape[1])


def _match(layout: Layout, n_obs: int, n_var: int) -> None:
    if layout.shape != (n_obs, n_var):
        raise BadData(
            f"{layout.place} is {layout.shape[0]:,} x {layout.shape[1]:,}, but obs has {n_obs:,} rows and "
            f"var {n_var:,}; the file is damaged: copy it again, or write it anew"
        )


def _rows(layout: Layout, root, transpose: bool) -> Rows:
    """By chunks where the file is laid out by what is a cell; else turned once in memory."""
    if layout.kind == "dense":
        rows = DenseOnDisk(layout, layout.shape)
    else:
        shape = layout.shape[::-1] if layout.kind == "csc" else layout.shape
        rows = CompressedOnDisk(layout, shape, checked_pointers(root[layout.key], shape, layout.place))
    if (layout.kind == "csc") == transpose:
        return rows
    return InMemory(rows.shape[::-1], rows.stored, partial(_turned, rows))


def _turned(rows: Rows) -> csr_array:
    parts = [rows.read(*block) for block in blocks(rows.shape[0], block_rows(rows.shape[0], rows.stored))]
    return vstack(parts, format="csr").T.tocsr()


@dataclass(frozen=True)
class DenseOnDisk:
    """A dense dataset; shape as in the file."""

    layout: Layout
    shape: tuple[int, int]

    @property
    def stored(self) -> int:
        return self.layout.stored

    def read(self, start: int, stop: int) -> csr_array:
        with self.layout.store.root() as root:
            values = root[self.layout.key][start:stop]
        return csr_array(numbers(values, self.layout.place))


@dataclass(frozen=True)
class CompressedOnDisk:
    """A csr or csc group, the compressed axis first: of a csc, shape and rows are those of its transpose.

    indptr is in memory, data and indices are read as needed.
    """

    layout: Layout
    shape: tuple[int, int]
    indptr: np.ndarray

    @property
    def stored(self) -> int:
        return self.layout.stored

    def read(self, start: int, stop: int) -> csr_array:
        first, last = self.indptr[start], self.indptr[stop]
        with self.layout.store.root() as root:
            group = root[self.layout.key]
            data, indices = group["data"][first:last], group["indices"][first:last]
        indices = checked_indices(indices, self.shape[1], self.layout.place)
        data = numbers(data, self.layout.place)
        return csr_array((data, indices, self.indptr[start : stop + 1] - first), shape=(stop - start, self.shape[1]))


def numbers(values: np.ndarray, place: str) -> np.ndarray:
    """Values of a type that SciPy adds up: float16 as float32. BadData if they are no real numbers."""
    if values.dtype.kind not in "buif":
        raise BadData(f"{place} holds values of type {values.dtype}, not numbers; give a matrix of counts")
    return values.astype(np.float32) if values.dtype == np.float16 else values
