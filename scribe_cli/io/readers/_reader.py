"""Reader: how a format is recognised and opened; and the first bytes of a file, which tell."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...data.source import Source
from ...errors import BadData

GZIP = b"\x1f\x8b"
# bytes of a file that surely hold the first ones unpacked
HEAD = 1 << 14
# of a gzip file: bytes unpacked unseen, times what is read of it beyond that, and bytes read at a time
FREE, RATIO, PIECE = 1 << 20, 400, 1 << 12
# holds what a piece of a gzip bomb unpacks to, so that none of it is given out
BUFFER = 1 << 22


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
    """The first n bytes of a regular file, unpacked if it is gzipped, cut or not; none if they cannot be."""
    if not is_regular(path):
        return b""
    with path.open("rb") as file:
        raw = file.read(max(n, HEAD))
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(raw, n) if raw.startswith(GZIP) else raw[:n]
    except zlib.error:
        return b""


def opened_bytes(path: Path):
    """A binary stream of a file, unpacked if it is gzipped (by content). Reading BadData from a gzip bomb."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return io.BufferedReader(Unpacked(path), BUFFER) if packed else path.open("rb")


class Unpacked(io.RawIOBase):
    """The bytes of a gzip file, member after member. BadData from a gzip bomb: where more than FREE bytes come of less
    than their RATIO-th part (gzip packs zeros 1,032 to one, tables of counts below 200 to one).

    EOFError where the file is cut, gzip.BadGzipFile and zlib.error where it is damaged, as of gzip.GzipFile, which
    does not tell how much it has read.
    """

    def __init__(self, path: Path):
        self._path, self._file, self._member = path, path.open("rb"), _member()
        self._packed, self._taken, self._given = b"", 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        part = b""
        while not part and self._more():
            if self._member.eof:
                self._begin()
            part = self._member.decompress(self._packed, len(buffer))
            self._packed = self._member.unconsumed_tail or self._member.unused_data.lstrip(b"\0")
        buffer[: len(part)] = part
        self._given += len(part)
        if self._given > FREE + RATIO * self._taken:
            raise BadData(
                f"{self._path}: {self._taken:,} bytes of it unpack to {self._given:,}, which no table of counts does: "
                "a gzip bomb; unpack it yourself if you trust it"
            )
        return len(part)

    def _more(self) -> bool:
        """Have packed bytes of a member at hand; False at the end of the file."""
        while not self._packed:
            self._packed = self._file.read(PIECE)
            self._taken += len(self._packed)
            if not self._packed and not self._member.eof:
                raise EOFError("it ends before its end mark")
            if not self._packed:
                return False
            if self._member.eof:
                self._packed = self._packed.lstrip(b"\0")  # padding, of tapes
        return True

    def _begin(self) -> None:
        """The next member, where one has ended."""
        if not GZIP.startswith(self._packed[:2]):
            raise gzip.BadGzipFile("other bytes follow its end mark")
        self._member = _member()

    def close(self) -> None:
        self._file.close()
        super().close()


def _member():
    return zlib.decompressobj(zlib.MAX_WBITS | 16)
