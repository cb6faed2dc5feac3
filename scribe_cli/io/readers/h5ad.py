"""AnnData in HDF5, by its content: any layout since anndata 0.5, csr, csc or dense."""

from __future__ import annotations

from pathlib import Path

from ...data.source import Source
from ._anndata import Store, is_anndata, open_anndata
from ._hdf5 import is_hdf5, opened
from ._reader import Reader


def recognises(path: Path) -> bool:
    """An HDF5 file with obs and var. BadData for one that is truncated, whatever it holds."""
    if not is_hdf5(path):
        return False
    with opened(path) as root:
        return is_anndata(root)


def open_h5ad(path: Path, layer: str | None, transpose: bool) -> Source:
    return open_anndata(Store(path, "h5ad", opened), layer, transpose)


MEMBER = Reader("h5ad", "AnnData .h5ad", recognises, open_h5ad)
