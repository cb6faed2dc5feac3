"""The bytes of a file, gzipped or not, its errors in our words."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import BadData, IOFailure
from ._reader import opened_bytes


@contextmanager
def unpacked(file: Path) -> Iterator[BinaryIO]:
    """A binary stream. BadData, here or while it is read, if the gzip stream is cut or damaged."""
    try:
        with opened_bytes(file) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadData(f"{file} is a truncated or damaged gzip file ({error}); copy it again") from error
    except OSError as error:
        raise IOFailure(f"{file} cannot be read: {error}") from error
