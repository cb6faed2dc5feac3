"""Matrices of cells x genes, written a block of cells at a time into the shape of the whole input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse

from .elements import Dataset, Group, new_array
from .outputs import Layer

GROWTH = 1 << 16


def write_layer(
    group: Group, name: str, layer: Layer, shape: tuple[int, int], at: tuple[np.ndarray, np.ndarray]
) -> None:
    """Write group[name] of the input's `shape`; `at`: positions of the layer's cells (ascending) and genes in it.

    A gene at position -1 (the pooled one) is left out. Cells and genes that the layer lacks are NaN in a dense
    layer and empty in a sparse one.
    """
    write = _write_sparse if layer.sparse else _write_dense
    write(group, name, layer, shape, at)


def _write_dense(group: Group, name: str, layer: Layer, shape: tuple[int, int], at: tuple) -> None:
    out = new_array(group, name, shape, layer.dtype, (128, 2048))
    out.attrs["encoding-type"], out.attrs["encoding-version"] = "array", "0.2.0"
    for start, stop, rows, block in _on_input(layer.blocks(), shape[0], at[0]):
        full = np.full((stop - start, shape[1]), np.nan, layer.dtype)
        kept = at[1] >= 0
        full[np.ix_(rows, at[1][kept])] = np.asarray(block)[:, kept]
        out[start:stop] = full


def _write_sparse(group: Group, name: str, layer: Layer, shape: tuple[int, int], at: tuple) -> None:
    """CSR, its arrays appended block by block. Indices and pointers are of one width: SciPy refuses a mixture, and
    AnnData hands them over as they are."""
    matrix = group.create_group(name)
    matrix.attrs["encoding-type"], matrix.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    matrix.attrs["shape"] = [int(n) for n in shape]
    index = np.int32 if shape[0] * shape[1] <= np.iinfo(np.int32).max else np.int64
    data, indices = (new_array(matrix, n, (0,), d, (GROWTH,)) for n, d in (("data", layer.dtype), ("indices", index)))
    lengths = np.zeros(shape[0] + 1, np.int64)
    for start, _, rows, block in _on_input(layer.blocks(), shape[0], at[0]):
        values, columns, per_row = _selected(scipy.sparse.csr_array(block), at[1])
        _append(data, values)
        _append(indices, columns)
        lengths[1 + start + rows] = per_row
    new_array(matrix, "indptr", lengths.shape, index, (GROWTH,))[...] = np.cumsum(lengths)


def _on_input(blocks: Iterable[Any], n_rows: int, cells: np.ndarray) -> Iterator[tuple[int, int, np.ndarray, Any]]:
    """(first row, last row + 1, rows of the block's cells from the first, block), covering all rows of the input."""
    done = start = 0
    for block in blocks:
        mine = cells[done : done + block.shape[0]]
        done += block.shape[0]
        stop = int(cells[done]) if done < len(cells) else n_rows
        yield start, stop, mine - start, block
        start = stop
    if done != len(cells):
        raise ValueError(f"the blocks of a layer hold {done} cells, expected {len(cells)}")


def _selected(block: scipy.sparse.csr_array, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, columns in the input (ascending in a row), and entries per row of a block."""
    if (np.diff(genes[genes >= 0]) < 0).any():
        block = block[:, np.argsort(genes, kind="stable")]
        block.sort_indices()
        genes = np.sort(genes)
    columns = genes[block.indices]
    kept = columns >= 0
    row_of = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    return block.data[kept], columns[kept], np.bincount(row_of[kept], minlength=block.shape[0])


def _append(array: Dataset, values: np.ndarray) -> None:
    old = array.shape[0]
    array.resize((old + len(values),))
    array[old:] = values
