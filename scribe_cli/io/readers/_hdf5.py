"""HDF5 files, opened for reading, their errors in our words; those that are not what they look like are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import h5py

from ...errors import BadData, IOFailure
from .. import claims
from . import _heaps
from ._reader import is_regular
from ._texts import promised

SIGNATURE = b"\x89HDF\r\n\x1a\n"
DEEPEST = 32
MOST_NAMES = 20_000
# numbers of the filters that need no plugin: HDF5's own six, and the lzf of h5py
FILTERS = {1, 2, 3, 4, 5, 6, 32000}
LINKS = {h5py.SoftLink: "a soft link", h5py.ExternalLink: "a link to another file"}
# names of no layer, column or key: a Zarr directory has them for itself
RESERVED = {"..", ".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json"}
# what h5py raises of a damaged file: of types that are none and names that are no text, errors of Python's own kinds
DAMAGED = (OSError, RuntimeError, TypeError, ValueError, LookupError)
PLAIN = "only what lies in the file under its own name is read: write it again without it"


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, whole or not."""
    if not is_regular(path):
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE or h5py.is_hdf5(path)


def recognised(path: Path, is_kind: Callable[[h5py.File], bool]) -> bool:
    """Whether a file is HDF5 and of a kind. BadData, before anything in it is read, if it is truncated or damaged, or
    leads out of itself (links, external or virtual datasets, plugins), or claims more than it holds."""
    if not is_hdf5(path):
        return False
    if not _heaps.sound(path):
        raise BadData(f"{path} is a damaged HDF5 file (a heap of texts); copy it again")
    with opened(path) as root:
        found = [_claim(dataset, str(path)) for dataset in _datasets(root, path)]
        claims.check([claim for claim in found if claim is not None], str(path))
        for dataset in _datasets(root, path):
            _check_texts(dataset, str(path))
        return is_kind(root)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file's root, read only. BadData if it is truncated or damaged, IOFailure if it may not be read."""
    try:
        with h5py.File(path, "r", locking="best-effort") as root:
            yield root
    except DAMAGED as error:
        raise _told(path, error) from error


def _told(path: Path, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno is not None:
        return IOFailure(f"{path} cannot be read: {error}; check the path, its permissions and the disk")
    if "truncated file" in str(error):
        return BadData(f"{path} is a truncated HDF5 file ({path.stat().st_size:,} bytes are there); copy it again")
    return BadData(f"{path} is a damaged HDF5 file ({' '.join(str(error).split())}); copy it again")


def _datasets(root: h5py.File, path: Path) -> Iterator[h5py.Dataset]:
    """Every dataset in the file, reached by hard links alone. BadData for another link, a loop, a file without end."""
    names, groups = 0, [(root, 0)]
    while groups:
        group, depth = groups.pop()
        if depth > DEEPEST:
            raise BadData(f"{path}: {group.name[:60]} is nested more than {DEEPEST} deep, or lies in itself; {PLAIN}")
        names += len(group)
        if names > MOST_NAMES:
            raise BadData(f"{path}: more than {MOST_NAMES:,} names are in the file; {PLAIN}")
        for name in group:
            child = _child(group, name, path)
            if isinstance(child, h5py.Group):
                groups.append((child, depth + 1))
            elif isinstance(child, h5py.Dataset):
                yield child


def _child(group: h5py.Group, name: str | bytes, path: Path) -> h5py.Group | h5py.Dataset | h5py.Datatype:
    key = f"{group.name.rstrip('/')}/{name}"[1:]
    if isinstance(name, bytes):
        raise BadData(f"{path}: the name of {key} is not text in UTF-8; rename it, or copy the file again")
    if name in RESERVED:
        raise BadData(f"{path}: {key} has a name that no Zarr directory can hold; rename it")
    try:
        kind = group.get(name, getlink=True, getclass=True)
    except TypeError:
        kind = None  # of a class that h5py has no name for: a user's own
    if kind is not h5py.HardLink:
        raise BadData(f"{path}: {key} is {LINKS.get(kind, 'a link of an unknown kind')}; {PLAIN}")
    try:
        return group[name]
    except KeyError as error:
        raise BadData(
            f"{path} is a damaged HDF5 file ({key}: {' '.join(error.args[0].split())}); copy it again"
        ) from error


def _claim(dataset: h5py.Dataset, place: str) -> claims.Claim | None:
    """What a dataset claims; None if it is empty. BadData if its values lie elsewhere, need a plugin, or are lost."""
    key, made = dataset.name[1:], dataset.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL:
        raise BadData(f"{place}: {key} is a virtual dataset, put together from others; {PLAIN}")
    if made.get_layout() == h5py.h5d.CONTIGUOUS and made.get_external_count():
        raise BadData(f"{place}: the values of {key} lie in another file; {PLAIN}")
    filters = [made.get_filter(i)[0] for i in range(made.get_nfilters())]
    unknown = [number for number in filters if number not in FILTERS]
    if unknown:
        raise BadData(
            f"{place}: {key} is packed by filter {unknown[0]}, which needs a plugin; write it with gzip or none"
        )
    if len(set(filters)) < len(filters):
        raise BadData(f"{place}: {key} is packed more than once; write it with gzip or none")
    if not dataset.size:
        return None
    return _checked_claim(dataset, key, place)


def _checked_claim(dataset: h5py.Dataset, key: str, place: str) -> claims.Claim:
    width, stored, is_list = dataset.id.get_type().get_size(), dataset.id.get_storage_size(), len(dataset.shape) < 2
    chunks = written = chunk = 0
    if dataset.chunks is not None:
        chunk = width * prod(dataset.chunks)
        chunks, written = claims.n_chunks(dataset.shape, dataset.chunks), dataset.id.get_num_chunks()
    lost = written < chunks or (dataset.chunks is None and not stored)
    if stored > dataset.file.id.get_filesize() or (lost and is_list):
        raise BadData(f"{place}: {key} has {stored:,} of its {dataset.size * width:,} bytes; copy the file again")
    is_text = dataset.dtype.kind == "O"
    return claims.Claim(key, dataset.size * width, stored, chunk, chunks, written, is_list, is_text)


def _check_texts(dataset: h5py.Dataset, place: str) -> None:
    said, size = promised(dataset), dataset.file.id.get_filesize()
    if said > size:
        raise BadData(
            f"{place}: the texts of {dataset.name[1:]} claim {said:,} bytes, and the file has {size:,}; copy it again"
        )
