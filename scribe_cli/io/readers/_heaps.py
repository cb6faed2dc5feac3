"""Heaps of an HDF5 file, where texts of any length lie: an object of no size in one makes libhdf5 2.0 loop for ever.

HDF5 File Format Specification 3.0, III.E, "Disk Format: Level 1E - Global Heap": a signature, version and size, then
objects, each with its index, references and size; index 0 is the free space at the end.
"""

from __future__ import annotations

import struct
from pathlib import Path

SIGNATURE = b"GCOL\x01\0\0\0"
LARGEST_FILE = 64 << 20  # bytes; beyond, looking through a file costs more than is won
HEAD = 16  # bytes before the objects of a heap, and before the data of an object
WIDTH = 8  # bytes of a size


def sound(path: Path) -> bool:
    """Whether all heaps of a small file can be walked from end to end. True of a large one, unseen."""
    if path.stat().st_size > LARGEST_FILE:
        return True
    content = path.read_bytes()
    if len(content) < HEAD or _width(content) != WIDTH:
        return True
    at = content.find(SIGNATURE)
    while at >= 0:
        if not _walked(content, at):
            return False
        at = content.find(SIGNATURE, at + 1)
    return True


def _width(content: bytes) -> int:
    """Bytes of a size, as the superblock says: after the signature, in the versions 0 and 1 four fields later."""
    return content[14] if content[8] < 2 else content[10]


def _walked(content: bytes, at: int) -> bool:
    end = at + struct.unpack_from("<Q", content, at + WIDTH)[0] if at + HEAD <= len(content) else at
    place = at + HEAD
    while place + HEAD <= min(end, len(content)):
        index, size = struct.unpack_from("<H6xQ", content, place)
        step = size if index == 0 else HEAD + size + -size % WIDTH
        if step < HEAD or place + step > end:
            return False
        place += step
    return True
