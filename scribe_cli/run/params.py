"""`--params`: parameter values from an .npz, a .yaml or a .zarr, by their names and in their natural domains."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import BadData, BadRecipe, InputMissing, UsageError
from .recipe import yaml12

FORMS = ".npz, .yaml or .zarr"


def read(path: Path) -> dict[str, np.ndarray]:
    """{name: values}. Errors: 66 where there is no such file, 2 for another ending, 65 for what cannot be read."""
    if not path.exists():
        raise InputMissing(f"--params {path}: no such file")
    readers = {".npz": _npz, ".yaml": _yaml, ".yml": _yaml, ".zarr": _zarr}
    if path.suffix not in readers:
        raise UsageError(f'--params {path}: ends in "{path.suffix}"; give a file ending in {FORMS}')
    return readers[path.suffix](path)


@contextmanager
def of_file(path: Path) -> Iterator[None]:
    """Errors about parameters name the file they are from."""
    try:
        yield
    except BadData as error:
        raise BadData(f"--params {path}: {error}") from None


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as arrays:  # np.load takes a bare array too
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadData(f"--params {path}: is no .npz of plain arrays ({error}); write it with numpy.savez") from error


def _yaml(path: Path) -> dict[str, np.ndarray]:
    try:
        found = yaml12.parse(path.read_text(encoding="utf-8"), str(path)).value
    except (BadRecipe, OSError, UnicodeDecodeError) as error:
        raise BadData(f"--params {path}: is no YAML file ({error}); write one parameter a line, as in p: 0.5") from error
    if not isinstance(found, dict):
        raise BadData(f"--params {path}: is no mapping of parameter names to numbers or lists of them")
    try:
        return {str(name): np.asarray(value, float) for name, value in found.items()}
    except (TypeError, ValueError) as error:
        raise BadData(f"--params {path}: a parameter is a number or a list of numbers of one length ({error})") from error


def _zarr(path: Path) -> dict[str, np.ndarray]:
    """Arrays of a group; of the posterior.zarr of a fit, its MAP."""
    import zarr

    try:
        group = zarr.open_group(path, mode="r")
        if "map" in group:
            lifted = "_unconstrained"  # the same parameters in another coordinate; the rest are names along the axes
            return {n: np.asarray(a[...]) for n, a in group["map"].arrays() if a.dtype.kind == "f" and not n.endswith(lifted)}
        return {name: np.asarray(array[...]) for name, array in group.arrays()}
    except (OSError, ValueError, KeyError) as error:
        raise BadData(f"--params {path}: is no Zarr group of arrays ({error})") from error
