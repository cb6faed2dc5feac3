"""Reader: how a format is recognised and opened; and the first bytes of a file, which tell."""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...data.source import Source

GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Reader:
    """recognises(path): by content alone; open(path, layer, transpose); reads: the format, in a message's words."""

    name: str
    reads: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, str | None, bool], Source]


def is_regular(path: Path) -> bool:
    """A regular file: never a pipe or a device, whose bytes are gone once read."""
    return stat.S_ISREG(path.stat().st_mode)


def head(path: Path, n: int = 512) -> bytes:
    """The first n bytes of a regular file, unpacked if it is gzipped; none if they cannot be."""
    if not is_regular(path):
        return b""
    try:
        with opened_bytes(path) as file:
            return file.read(n)
    except (EOFError, OSError, zlib.error):
        return b""


def opened_bytes(path: Path):
    """A binary stream of a file, unpacked if it is gzipped (by content)."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")
