"""10x HDF5, as Cell Ranger 2 wrote it (a group a genome) and 3 and later do (one group, matrix, with features)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import pandas as pd

from ...data.source import Source
from ...errors import BadData, listed
from ._anndata import CompressedOnDisk, Layout, Store, is_anndata
from ._arrays import dataset, texts
from ._compressed import checked_pointers
from ._elements import only_x
from ._features import Columns, gene_expression
from ._hdf5 import opened, recognised
from ._reader import Reader

# var column: dataset, where Cell Ranger 3 and where Cell Ranger 2 has it
FEATURES = {"gene_ids": "features/id", "feature_types": "features/feature_type", "genome": "features/genome"}
GENES = {"gene_ids": "genes"}


def recognises(path: Path) -> bool:
    """An HDF5 file with barcodes in a group."""
    return recognised(path, lambda root: not is_anndata(root) and bool(_genomes(root)))


def _genomes(root: h5py.File) -> list[str]:
    return [name for name in sorted(root) if isinstance(root[name], h5py.Group) and "barcodes" in root[name]]


def open_tenx(path: Path, layer: str | None, transpose: bool) -> Source:
    """Genes x cells, compressed by cells. BadData for several genomes, a layer, --transpose, parts that do not fit."""
    only_x(path, layer, "a 10x HDF5 file")
    if transpose:
        raise BadData(f"{path} is a 10x HDF5 file, which says what is a gene and what a cell; leave out --transpose")
    with opened(path) as root:
        key = _the_one(path, _genomes(root))
        group, place = root[key], f"{path} ({key})"
        genes, cells = _shape(group, place)
        var, obs = _var(group, genes, place), pd.DataFrame(index=_index(texts(group, "barcodes", cells, place)))
        indptr = checked_pointers(group, (cells, genes), place)
    layout = Layout(Store(path, "10x", opened), key, "csr", (cells, genes), int(indptr[-1]))
    rows = CompressedOnDisk(layout, layout.shape, indptr)
    keep, notices = gene_expression(list(var.get("feature_types", ())), genes, path.name)
    return Source(
        path=path,
        format="10x",
        element="X",
        rows=rows if keep.all() else Columns(rows, keep),
        obs=obs,
        var=var[keep],
        elements=("X",),
        reopen=lambda name: open_tenx(path, name, transpose),
        notices=(*notices, *_several(path, var[keep])),
    )


def _the_one(path: Path, genomes: list[str]) -> str:
    if len(genomes) > 1:
        raise BadData(
            f"{path} holds the matrices of {len(genomes)} genomes: {listed(genomes)}; give one of them, as the MTX "
            "folder of that genome or an h5ad"
        )
    return genomes[0]


def _several(path: Path, var: pd.DataFrame) -> tuple[str, ...]:
    """A notice of a matrix whose genes are of more genomes than one: cells of all of them are fitted together."""
    genomes = sorted(set(var.get("genome", ())))
    return (f"{path.name} has genes of {len(genomes)} genomes: {listed(genomes)}",) if len(genomes) > 1 else ()


def _shape(group: h5py.Group, place: str) -> tuple[int, int]:
    shape = dataset(group, "shape", place)
    if shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise BadData(f"{place}: shape is not two integers, genes and cells; the file is damaged, copy it again")
    genes, cells = (int(n) for n in shape[:])
    return genes, cells


def _var(group: h5py.Group, n: int, place: str) -> pd.DataFrame:
    """Symbols as names; the other columns that are there."""
    modern = "features" in group
    columns = {name: key for name, key in (FEATURES if modern else GENES).items() if key in group}
    names = texts(group, "features/name" if modern else "gene_names", n, place)
    data = {name: texts(group, key, n, place) for name, key in columns.items()}
    return pd.DataFrame(data, index=_index(names), dtype=object)


def _index(names: Sequence[str]) -> pd.Index:
    return pd.Index(names, dtype=object)


MEMBER = Reader("tenx", "10x .h5", recognises, open_tenx)
