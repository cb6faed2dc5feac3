"""`--params`: parameter values from an .npz, a .yaml or a .zarr, by their names and in their natural domains."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..core.axes import Axes
from ..errors import BadData, BadRecipe, InputMissing, UsageError
from ..io import plain_zarr
from ..io.schema import HIERARCHY, UNCONSTRAINED
from .recipe import yaml12

FORMS = ".npz, .yaml or .zarr"
# of an .npz: bytes unpacked unseen, and times what is packed beyond that
FREE, RATIO = 64 << 20, 400
# what zipfile and numpy raise of a file that is no archive of arrays, or whose arrays claim more than there is memory
BAD_ARCHIVES = (
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: Path) -> dict[str, np.ndarray]:
    """{name: values}. Errors: 66 where there is no such file, 2 for another ending, 65 for what cannot be read."""
    if not path.exists():
        raise InputMissing(f"--params {path}: no such file")
    readers = {".npz": _npz, ".yaml": _yaml, ".yml": _yaml, ".zarr": _zarr}
    if path.suffix not in readers:
        raise UsageError(f'--params {path}: ends in "{path.suffix}"; give a file ending in {FORMS}')
    if not (path.is_dir() if path.suffix == ".zarr" else path.is_file()):
        kind = "folder" if path.suffix == ".zarr" else "plain file"
        raise BadData(f"--params {path}: is no {kind}, as a {path.suffix} is; give one")
    return readers[path.suffix](path)


def sizes(given: Mapping[str, np.ndarray], axes: Mapping[str, Axes]) -> dict[str, int]:
    """{axis: its size} in arrays that have all the axes of their parameter. BadData (65) where two of them differ.

    axes: {parameter: its axes in the model}. Arrays of other dimensions and names say nothing here.
    """
    found: dict[str, tuple[int, str]] = {}
    for name in (n for n in given if n in axes and np.ndim(given[n]) == len(axes[n])):
        for axis, size in zip(axes[name], np.shape(given[name]), strict=True):
            known, of = found.setdefault(axis, (size, name))
            if size != known:
                raise BadData(f"parameters {of} and {name} have {known} and {size} {axis}s; give both the same number")
    return {axis: size for axis, (size, _) in found.items()}


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Errors about parameters name the file they are from."""
    try:
        yield
    except BadData as error:
        raise BadData(f"--params {path}: {error}") from None


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:  # np.load takes a bare array too
            _refuse_bombs(path, archive.infolist())
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except BAD_ARCHIVES as error:
        reason = " ".join(str(error).split())
        raise BadData(f"--params {path}: is no .npz of plain arrays ({reason}); write it with numpy.savez") from error


def _refuse_bombs(path: Path, files: Sequence[zipfile.ZipInfo]) -> None:
    packed, unpacked = (sum(f.compress_size for f in files), sum(f.file_size for f in files))
    if unpacked > FREE and unpacked > RATIO * packed:
        raise BadData(
            f"--params {path}: {packed:,} bytes of it unpack to {unpacked:,}, which no parameters do; write it with "
            "numpy.savez"
        )


def _yaml(path: Path) -> dict[str, np.ndarray]:
    size = path.stat().st_size
    if size > yaml12.LARGEST_DOCUMENT:
        most = f"{yaml12.LARGEST_DOCUMENT:,} bytes are the most of a .yaml"
        raise BadData(f"--params {path}: has {size:,} bytes, and {most}; write it with numpy.savez, as .npz")
    try:
        found = yaml12.parse(path.read_text(encoding="utf-8"), str(path)).value
    except (BadRecipe, OSError, UnicodeDecodeError) as error:
        raise BadData(
            f"--params {path}: is no YAML file ({error}); write one parameter a line, as in p: 0.5"
        ) from error
    if not isinstance(found, dict):
        raise BadData(f"--params {path}: is no mapping of parameter names to numbers; write one a line, as in p: 0.5")
    return {str(name): _numbers(path, str(name), value) for name, value in found.items()}


def _numbers(path: Path, name: str, value: object) -> np.ndarray:
    """BadData for words, which numpy would take for numbers if they look so, and for lists that are ragged."""
    values = [value]
    while values:
        part = values.pop()
        values += part if isinstance(part, list) else []
        if not isinstance(part, int | float | list) or isinstance(part, bool):
            raise BadData(
                f"--params {path}: {name} is {str(part)[:40]!r}, not a number or a list of numbers; correct it"
            )
    try:
        return np.asarray(value, float)
    except (ValueError, OverflowError) as error:
        raise BadData(f"--params {path}: {name} has lists of several lengths or a vast number; correct it") from error


def _zarr(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a group; of the posterior.zarr of a fit, its MAP without the locations and scales of hierarchies."""
    import zarr

    plain_zarr.check(path)
    try:
        group = zarr.open_group(path, mode="r", use_consolidated=False)
        if "map" in group:
            # besides, the same parameters in another coordinate, and names along the axes
            return {
                n: np.asarray(a[...])
                for n, a in group["map"].arrays()
                if a.dtype.kind == "f" and a.attrs.get("kind") != HIERARCHY and not n.endswith(UNCONSTRAINED)
            }
        return {name: np.asarray(array[...]) for name, array in group.arrays()}
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise BadData(f"--params {path}: is no Zarr group of arrays ({reason}); write it again") from error
