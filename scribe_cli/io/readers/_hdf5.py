"""HDF5 files, opened for reading, their errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ...errors import BadData, IOFailure
from ._reader import is_regular

SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, whole or not."""
    if not is_regular(path):
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE or h5py.is_hdf5(path)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file's root, read only. BadData if it is truncated or damaged, IOFailure if it may not be read."""
    try:
        with h5py.File(path, "r", locking="best-effort") as root:
            yield root
    except OSError as error:
        raise _told(path, error) from error


def _told(path: Path, error: OSError) -> Exception:
    if error.errno is not None:
        return IOFailure(f"{path} cannot be read: {error}")
    text = " ".join(str(error).split())
    if "truncated file" in text:
        return BadData(f"{path} is a truncated HDF5 file ({path.stat().st_size:,} bytes are there); copy it again")
    return BadData(f"{path} is a damaged HDF5 file ({text}); copy it again")
