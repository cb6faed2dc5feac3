"""HDF5 files, written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

FAILED = "file write failed"  # in what h5py says, as OSError or RuntimeError, when the system refuses a write
# Files that could not be written, with the errors that hold their datasets: HDF5 tries again to write what it has of them
# when they are closed or forgotten, and ends the process with a segmentation fault. The command leaves before that.
KEPT: list[tuple[h5py.File, BaseException]] = []


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, closed at the end. OSError where the system fails."""
    file = h5py.File(path, "w")
    try:
        yield file
        file.flush()
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) or FAILED in str(error):
            KEPT.append((file, error))
            raise _of_the_system(error, path) from error
        raise
    finally:
        if not any(kept is file for kept, _ in KEPT):
            file.close()


def _of_the_system(error: OSError | RuntimeError, path: Path) -> OSError:
    """The system's own number and words in place of HDF5's account of its buffers."""
    text = str(error)
    found = re.search(r"errno = (\d+)", text)
    number = int(found[1]) if found else error.errno if isinstance(error, OSError) else None
    return OSError(number, os.strerror(number), str(path)) if number else OSError(f"{path}: {text}")
