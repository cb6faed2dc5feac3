"""What a path is that no reader takes, for the message that refuses it."""

from __future__ import annotations

import stat
from pathlib import Path

from ...errors import listed
from ._hdf5 import is_hdf5, opened
from ._reader import GZIP, head, is_regular

COUNT_FIRST = "count it first (Cell Ranger, STARsolo, kallisto bustools)"
FROM_R = "write the counts from R, as MTX (DropletUtils::write10xCounts) or h5ad (zellkonverter::writeH5AD)"
# first bytes of a file, packed or not, and what it is
PACKED = {
    b"BZh": "a bzip2 file: unpack it",
    b"\xfd7zXZ\x00": "an xz file: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a rar archive: unpack it",
    b"PAR1": "a Parquet file: write it as .csv.gz, or as h5ad",
    b"ARROW1": "an Arrow or Feather file: write it as .csv.gz, or as h5ad",
    b"\x93NUMPY": "a NumPy array, which has no names: put it into an h5ad",
    b"%PDF": "a PDF document: give a count matrix",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save its sheet as .csv",
    b"BAM\x01": f"aligned reads (BAM): {COUNT_FIRST}",
    b"@": f"reads or alignments (FASTQ, SAM): {COUNT_FIRST}",
    b">": f"sequences (FASTA): {COUNT_FIRST}",
    b"<": "a web page or XML: was the download refused? fetch the file again",
    b"{": "a JSON file: give a count matrix",
    b"[": "a JSON file: give a count matrix",
    b"\x80": "a Python pickle, which is never opened: write it as h5ad",
    b"RD": f"an R data file: {FROM_R}",
    b"X\n": f"an R data file: {FROM_R}",
    b"A\n": f"an R data file: {FROM_R}",
    b"\x89HDF": "a gzipped HDF5 file: gunzip it",
}
ZIP = b"PK\x03\x04"
TAR_AT, TAR = 257, b"ustar"
SEEN = 4096  # bytes
# keys at the root of other kinds of HDF5 file
HDF5 = {
    "assays": f"an h5Seurat file: {FROM_R}",
    "mod": 'a MuData file: write one of its parts, as mdata["rna"].write_h5ad',
    "barcode_idx": "the molecule_info.h5 of Cell Ranger: give filtered_feature_bc_matrix.h5",
    "posterior": "results, and no counts: give the input of that fit",
    "matrix": "a loom or 10x file without names (row_attrs and col_attrs, or barcodes): write it again",
}


def description(path: Path) -> str:
    """A noun phrase, with the remedy."""
    if path.is_dir():
        return _directory(path)
    if not is_regular(path):
        kind = "a pipe" if stat.S_ISFIFO(path.stat().st_mode) else "a device or socket"
        return f"{kind}, and no file: write it to one"
    if path.stat().st_size == 0:
        return "an empty file: copy it again"
    return _hdf5(path) if is_hdf5(path) else _file(path)


def _directory(path: Path) -> str:
    if any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata")):
        return "a Zarr directory without obs and var, so no AnnData: give a count matrix with names"
    found = sorted(p.name for p in path.iterdir())
    held = f"a directory with neither an AnnData Zarr nor a Matrix Market file in it (it holds {listed(found, 5)})"
    return f"{held}: give the path of a file" if found else held


def _hdf5(path: Path) -> str:
    with opened(path) as root:
        keys = sorted(root)
    told = next((text for key, text in HDF5.items() if key in keys), None)
    return told or f"an HDF5 file without obs and var, so no AnnData (it holds {listed(keys, 8)}): write it as h5ad"


def _file(path: Path) -> str:
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    start = head(path, SEEN)
    if packed and not start:
        return "a damaged gzip file: copy it again"
    if start.startswith(ZIP):
        return _zip(start)
    if start[TAR_AT:].startswith(TAR):
        return "a tar archive: unpack it"
    told = next((text for magic, text in PACKED.items() if start.startswith(magic)), None)
    return told or ("text without commas or tabs, so no table" if _is_text(start) else "of a format that is not known")


def _zip(start: bytes) -> str:
    if b"[Content_Types].xml" in start or b"xl/" in start:
        return "an Excel workbook: save its sheet as .csv"
    return "a zip archive: unzip it"


def _is_text(start: bytes) -> bool:
    return start.isascii() and all(byte >= 0x20 or byte in b"\t\r\n" for byte in start)
