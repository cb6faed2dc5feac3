"""What a path is that no reader takes, for the message that refuses it."""

from __future__ import annotations

import stat
from pathlib import Path

import h5py

from ...errors import listed
from ._hdf5 import is_hdf5, opened
from ._reader import GZIP, head, is_regular

PACKED = {
    b"PK\x03\x04": "a zip archive: unzip it",
    b"BZh": "a bzip2 file: unpack it",
    b"\xfd7zXZ\x00": "an xz file: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it",
}


def description(path: Path) -> str:
    """A noun phrase, with the remedy if there is one."""
    if path.is_dir():
        return _directory(path)
    if not is_regular(path):
        kind = "a pipe" if stat.S_ISFIFO(path.stat().st_mode) else "a device or socket"
        return f"{kind}, and no file: write it to one"
    if path.stat().st_size == 0:
        return "an empty file"
    return _hdf5(path) if is_hdf5(path) else _file(path)


def _directory(path: Path) -> str:
    if any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata")):
        return "a Zarr directory without obs and var, so no AnnData"
    found = sorted(p.name for p in path.iterdir())
    return f"a directory with neither an AnnData Zarr nor a Matrix Market file in it (it holds {listed(found, 5)})"


def _hdf5(path: Path) -> str:
    with opened(path) as root:
        keys = sorted(root)
        genomes = [k for k in keys if isinstance(root[k], h5py.Group) and "barcodes" in root[k]]
        if "row_attrs" in keys and "col_attrs" in keys:
            return "a loom file, which is not read: convert it to h5ad"
        if genomes:
            several = f" with genomes {', '.join(genomes)}" if genomes != ["matrix"] else ""
            return f"a 10x HDF5 file{several}, which is not read: give its MTX directory, or convert it to h5ad"
        return f"an HDF5 file without obs and var, so no AnnData (it holds {', '.join(keys[:8]) or 'nothing'})"


def _file(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(8)
    for magic, told in PACKED.items():
        if raw.startswith(magic):
            return told
    first = head(path)
    if raw.startswith(GZIP) and not first:
        return "a damaged gzip file: copy it again"
    if raw.startswith(GZIP) and first.startswith(b"\x89HDF"):
        return "a gzipped HDF5 file: gunzip it"
    line = first.split(b"\n")[0]
    if first and b"\0" not in first and (b"," in line or b"\t" in line):
        return "a text table, which is not read: convert it to h5ad or to a matrix.mtx with its names"
    return "of a format that is not known"
