"""A Zarr directory looked at before zarr opens it: plain files only, metadata of known codecs, honest sizes.

Codecs run code on what is read (one of them unpickles), so those that are not in the lists are refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadData
from . import claims

METADATA = (".zarray", ".zgroup", ".zattrs", "zarr.json", ".zmetadata")
LARGEST_METADATA = 64 << 20
# of format 2: compressors and filters; of format 3: codecs
CODECS = {
    *("adler32", "astype", "bitround", "blosc", "bz2", "crc32", "crc32c", "delta", "endian", "fixedscaleoffset"),
    *("fletcher32", "gzip", "lz4", "lzma", "packbits", "quantize", "shuffle", "sharding_indexed", "bytes"),
    *("transpose", "vlen-array", "vlen-bytes", "vlen-utf8", "zlib", "zstd"),
}
# what a text costs in memory, however short
TEXT_WIDTH = 64
TEXTS = ("|O", "string", "variable_length_utf8", "variable_length_bytes", "bytes")
PLAIN = "only plain arrays that lie in the directory are read: write it again"


def check(path: Path) -> None:
    """BadData if anything in the directory is no plain file or folder, or claims more than it holds."""
    claims.check([claim(path, folder) for folder in _arrays(path)], str(path))


def claim(path: Path, name: str) -> claims.Claim:
    """What the array in folder `name` claims. BadData if its metadata make no sense, or need a codec not known."""
    place = f"{path} ({name})"
    meta = _metadata(path / name, place)
    try:
        shape, chunk, width = _sizes(meta)
    except (KeyError, TypeError, ValueError, OverflowError, SyntaxError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadData(f"{place}: its metadata make no sense ({type(error).__name__}: {reason}); {PLAIN}") from error
    _refuse_codecs(meta, place)
    stored, written = _stored(path / name)
    chunks, is_list = claims.n_chunks(shape, chunk), len(shape) < 2
    claimed, unpacked = prod(shape) * width, prod(chunk) * width
    return claims.Claim(name, claimed, stored, unpacked, chunks, written, is_list, width == TEXT_WIDTH)


def _arrays(path: Path) -> Iterator[str]:
    """Folders of arrays, by names relative to `path`."""
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(path / folder) as entries:
            found = list(entries)
        for entry in found:
            if not (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)):
                kind = "a link" if entry.is_symlink() else "a pipe or a device"
                raise BadData(f"{path}: {Path(folder) / entry.name} is {kind}; {PLAIN}")
        names = {entry.name for entry in found if entry.is_file()}
        _check_copies(path / folder, names & {".zmetadata", "zarr.json"}, f"{path} ({folder or '/'})")
        if ".zarray" in names or ("zarr.json" in names and _is_array(path / folder, f"{path} ({folder or '/'})")):
            yield folder
        folders += [os.path.join(folder, entry.name) for entry in found if entry.is_dir()]


def _check_copies(folder: Path, files: Collection[str], place: str) -> None:
    """The codecs in the copies of metadata that a group keeps of what lies below it."""
    for file in files:
        meta = _loaded(folder / file, place)
        inner = meta if file == ".zmetadata" else meta.get("consolidated_metadata")
        copies = inner.get("metadata") if isinstance(inner, dict) else None
        for copy in copies.values() if isinstance(copies, dict) else ():
            if isinstance(copy, dict):
                _refuse_codecs(copy, place)


def _is_array(folder: Path, place: str) -> bool:
    return _metadata(folder, place).get("node_type") == "array"


def _metadata(folder: Path, place: str) -> Mapping[str, Any]:
    return _loaded(next(f for f in (folder / ".zarray", folder / "zarr.json") if f.exists()), place)


def _loaded(file: Path, place: str) -> Mapping[str, Any]:
    if file.stat().st_size > LARGEST_METADATA:
        raise BadData(f"{place}: {file.name} has {file.stat().st_size:,} bytes, too many for metadata; {PLAIN}")
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadData(f"{place}: {file.name} is damaged ({reason}); copy the directory again") from error
    if not isinstance(found, dict):
        raise BadData(f"{place}: {file.name} is damaged (no mapping); copy the directory again")
    return found


def _sizes(meta: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Shape, shape of a chunk (a shard: of the file), bytes of a value. KeyError, TypeError, ValueError: nonsense."""
    if meta.get("zarr_format") == 2:
        chunk, width = meta["chunks"], _width(meta["dtype"])
    else:
        chunk, width = meta["chunk_grid"]["configuration"]["chunk_shape"], _width(meta["data_type"])
    shape = meta["shape"]
    for sizes, least in ((shape, 0), (chunk, 1)):
        if not all(isinstance(n, int) and n >= least for n in sizes):
            raise ValueError(f"sizes {sizes}")
    if len(shape) != len(chunk):
        raise ValueError(f"chunks {chunk} of shape {shape}")
    return tuple(shape), tuple(chunk), width


def _width(dtype: Any) -> int:
    if isinstance(dtype, dict):
        return int(dtype["configuration"].get("length_bytes", TEXT_WIDTH))
    if dtype in TEXTS:
        return TEXT_WIDTH
    return np.dtype([tuple(field) for field in dtype] if isinstance(dtype, list) else dtype).itemsize


def _refuse_codecs(meta: Mapping[str, Any], place: str) -> None:
    for codec in _codecs(meta):
        name = codec.get("id", codec.get("name")) if isinstance(codec, dict) else codec
        if not isinstance(name, str) or name.removeprefix("numcodecs.") not in CODECS:
            raise BadData(f"{place} is packed by the codec {name}, which is not read; {PLAIN}")


def _codecs(meta: Mapping[str, Any]) -> Iterator[Any]:
    """Every codec of an array, those within a shard too."""
    several = [meta.get("filters"), meta.get("codecs"), meta.get("index_codecs")]
    if meta.get("compressor") is not None:
        yield meta["compressor"]
    for codec in (c for some in several if isinstance(some, list) for c in some):
        yield codec
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict):
            yield from _codecs(inner)


def _stored(folder: Path) -> tuple[int, int]:
    """(bytes of all chunks, number of their files) of an array."""
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name not in METADATA]
    return sum(os.stat(file).st_size for file in files), len(files)
