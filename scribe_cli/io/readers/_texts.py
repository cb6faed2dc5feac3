"""Texts of any length in an HDF5 file: what lengths a dataset gives them, seen before libhdf5 reads and believes them.

An element is the length of the text, in 4 bytes, and its place in a heap (HDF5 File Format Specification 3.0,
IV.A.2.d). Heaps are not packed and each text has its own place in one, so together they are no longer than the file.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import h5py
import numpy as np

ELEMENT = 16  # bytes
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3


@dataclass(frozen=True)
class Stored:
    """Where some of a dataset's bytes lie. skipped: bit i is set if its filter i was not applied."""

    place: int
    size: int
    skipped: int


def promised(dataset: h5py.Dataset) -> int:
    """Bytes of all texts of a dataset together, as far as they can be told; 0 where it has none."""
    width, offsets = _layout(dataset.id.get_type())
    total = 0
    for content in _contents(dataset, width) if offsets and dataset.file.userblock_size == 0 else ():
        elements = np.frombuffer(content, np.uint8, len(content) // width * width).reshape(-1, width)
        for at in offsets:
            total += int(np.ascontiguousarray(elements[:, at : at + 4]).view("<u4").sum(dtype=np.uint64))
    return total


def _layout(kind: h5py.h5t.TypeID) -> tuple[int, list[int]]:
    """Bytes of an element in the file, and where texts are in it; the type tells those in memory: 8 bytes a text."""
    if isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str():
        return ELEMENT, [0]
    if isinstance(kind, h5py.h5t.TypeVlenID):
        return ELEMENT, [0]
    wider, offsets = 0, []
    for i in range(kind.get_nmembers()) if isinstance(kind, h5py.h5t.TypeCompoundID) else ():
        member, at = kind.get_member_type(i), kind.get_member_offset(i) + wider
        width, inner = _layout(member)
        offsets += [at + offset for offset in inner]
        wider += width - member.get_size()
    return kind.get_size() + wider, offsets


def _contents(dataset: h5py.Dataset, width: int) -> Iterator[bytes]:
    """The bytes of a dataset, by chunks, unpacked; not those packed by other filters, or within the header."""
    made = dataset.id.get_create_plist()
    filters = [made.get_filter(i) for i in range(made.get_nfilters())]
    if not {number for number, *_ in filters} <= {DEFLATE, SHUFFLE, FLETCHER32}:
        return
    with open(dataset.file.filename, "rb") as file:
        for part in _stored(dataset):
            file.seek(part.place)
            content = file.read(part.size)
            for i, (number, _, values, _) in reversed(list(enumerate(filters))):
                if not part.skipped >> i & 1:
                    content = _undone(number, values, content, prod(dataset.chunks) * width)
            yield content


def _stored(dataset: h5py.Dataset) -> list[Stored]:
    if dataset.chunks is None:
        place = dataset.id.get_offset()
        return [] if place is None else [Stored(place, dataset.id.get_storage_size(), 0)]
    found: list[Stored] = []

    def add(chunk) -> None:
        found.append(Stored(chunk.byte_offset, chunk.size, chunk.filter_mask))

    dataset.id.chunk_iter(add)
    return found


def _undone(number: int, values: tuple[int, ...], content: bytes, most: int) -> bytes:
    """What a filter was given; values: its own. ValueError if it is not what the filter makes."""
    if number == FLETCHER32:
        return content[:-4]
    if number == SHUFFLE:
        whole = len(content) // values[0] * values[0]
        return np.frombuffer(content, np.uint8, whole).reshape(values[0], -1).T.tobytes() + content[whole:]
    try:
        return zlib.decompressobj().decompress(content, most)
    except zlib.error as error:
        raise ValueError(f"a chunk is damaged: {error}") from error
