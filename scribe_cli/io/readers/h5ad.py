"""AnnData in HDF5, by its content: any layout since anndata 0.5, csr, csc or dense."""

from __future__ import annotations

from pathlib import Path

from ...data.source import Source
from ._anndata import Store, is_anndata, open_anndata
from ._hdf5 import opened, recognised
from ._reader import Reader


def recognises(path: Path) -> bool:
    """An HDF5 file with obs and var. BadData for one that is damaged or not what it looks like, whatever it holds."""
    return recognised(path, is_anndata)


def open_h5ad(path: Path, layer: str | None, transpose: bool) -> Source:
    return open_anndata(Store(path, "h5ad", opened), layer, transpose)


MEMBER = Reader("h5ad", "AnnData .h5ad", recognises, open_h5ad)
