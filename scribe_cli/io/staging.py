"""Staging: results are made in OUT/.tmp/<run id>, put on disk, then moved entry by entry (CONTRACT 3).

The order is everything but manifest and fit, then manifest.json, then fit.h5ad or fit.zarr. The manifest is
staged last of all, so a stage that holds one is complete, and a run that was killed while its entries were moved
is finished by moving the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadRecipe, CannotCreate, IOFailure, UsageError
from .schema import ENTRIES, FIT, LIVE, MANIFEST

TMP = ".tmp"


def stage_of(out: Path, run_id: str) -> Path:
    return out / TMP / run_id


def open_stage(out: Path, run_id: str) -> Path:
    """An empty OUT/.tmp/<run id>; CannotCreate where OUT cannot be made or written."""
    stage = stage_of(out, run_id)
    try:
        if stage.exists():
            shutil.rmtree(stage)
        stage.mkdir(parents=True)
    except OSError as error:
        raise CannotCreate(
            f"{out}: cannot be created or written ({error.strerror}); choose another --output"
        ) from error
    return stage


LESS = "choose another --output, or store less (output.samples, output.data in the recipe)"


def require_room(out: Path, needed: int, remedy: str = LESS) -> None:
    """CannotCreate where the disk of OUT, which need not exist yet, has less room than `needed` bytes."""
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise CannotCreate(
            f"{out}: the results need about {needed / 1e9:.2g} GB and the disk has {free / 1e9:.2g} GB free;"
            f" make room, {remedy}"
        )


@contextlib.contextmanager
def claimed(out: Path) -> Iterator[None]:
    """OUT is one process's at a time, as far as its file system can lock. BadRecipe (78) where another is at work."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise CannotCreate(f"{out}: cannot be created ({error.strerror}); choose another --output") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise BadRecipe(
            f"{out}: another process is writing a fit there; wait until it has ended, then run the same command"
        ) from error
    except OSError:
        pass  # a file system without locks: nothing can be known
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def writing(out: Path, run_id: str) -> Iterator[None]:
    """The system's failures while results are written, as IOFailure; an unsealed stage is then taken away."""
    try:
        yield
    except OSError as error:
        if not sealed(out, run_id):
            shutil.rmtree(out / TMP, ignore_errors=True)
        place, reason = error.filename or out, error.strerror or error
        raise IOFailure(
            f"{place}: writing the results failed ({reason}); make room, then run the same command"
        ) from error


def seal(stage: Path, manifest: str) -> None:
    """Put all that is staged on disk, then the manifest: from here on the stage is complete."""
    _sync(stage)
    fresh = stage / f"{MANIFEST}.new"
    fresh.write_text(manifest)
    sync_path(fresh)
    os.replace(fresh, stage / MANIFEST)  # a manifest is there whole or not at all
    sync_path(stage)


def commit(out: Path, run_id: str) -> None:
    """Move the entries of a sealed stage into OUT, as far as they are not there, and clear away older ones."""
    stage = stage_of(out, run_id)
    for name in sorted(_names(stage), key=_rank):
        _replace(stage / name, out / name, out / TMP / f"{run_id}.old")
        sync_path(out)
    for name in stale(out):
        _remove(out / name)
    shutil.rmtree(out / TMP, ignore_errors=True)
    sync_path(out)


def put_file(out: Path, name: str, content: bytes) -> None:
    """One file of a finished run by rename, whatever else is staged; IOFailure (74) where it cannot be written."""
    fresh = out / TMP / f"{name}.{os.getpid()}"
    try:
        fresh.parent.mkdir(exist_ok=True)
        fresh.write_bytes(content)
        sync_path(fresh)
        os.replace(fresh, out / name)
        with contextlib.suppress(OSError):  # a run is staged in it
            fresh.parent.rmdir()
    except OSError as error:
        raise IOFailure(f"{out / name}: cannot be written ({error.strerror}); make room or make it writable") from error


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """manifest.json of a folder, None where there is none; IOFailure where it is not one of ours."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_text())
        if set(manifest) >= {"run_id", "key", "fingerprint", "files"}:
            return manifest
        reason = "it has no run_id, key, fingerprint and files"
    except (OSError, ValueError, TypeError) as error:
        reason = str(error)
    raise IOFailure(f"{path}: is no manifest of a fit ({reason}); move it away, or choose another --output")


def sealed(out: Path, run_id: str) -> bool:
    """Whether `commit` alone finishes the run: all its files are in OUT or, still to be moved, in its stage."""
    stage = stage_of(out, run_id)
    manifest = read_manifest(stage) or read_manifest(out)
    if manifest is None or manifest["run_id"] != run_id:
        return False
    return all((stage / f).exists() or (out / f).exists() for f in manifest["files"])


def stale(out: Path) -> list[str]:
    """Entries of ours that an earlier run left and the run of the manifest does not have."""
    ours = {MANIFEST, *(f.split("/")[0] for f in read_manifest(out)["files"])}
    return [name for name in ENTRIES if name not in ours and (out / name).exists()]


def _names(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()] if folder.exists() else []


def _rank(name: str) -> tuple[int, str]:
    return (2 if name in FIT.values() else 1 if name == MANIFEST else 0), name


def _replace(new: Path, old: Path, aside: Path) -> None:
    """A file by rename; a directory by two, what is in its place put aside first."""
    if old.is_dir() or (new.is_dir() and old.exists()):
        aside.mkdir(exist_ok=True)
        if (aside / old.name).exists():
            _remove(aside / old.name)
        os.rename(old, aside / old.name)
    os.replace(new, old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync(folder: Path) -> None:
    """Every file and folder below, on disk."""
    for path, _, names in os.walk(folder):
        for name in names:
            sync_path(Path(path) / name)
        sync_path(Path(path))


def sync_path(path: Path) -> None:
    """Put a file, or the names in a folder, on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_entry(path: Path) -> None:
    """UsageError (2) where `path` is, or lies in, an entry of a fit: no command but `fit` and `report` changes those."""
    real = Path(os.path.realpath(path))
    for folder in real.parents:
        entry = real.relative_to(folder).parts[0]
        if entry in (*ENTRIES, *LIVE) and _is_fit(folder):
            raise UsageError(f"-o {path}: is a part of the fit {folder} and would be replaced; name another place")


def _is_fit(folder: Path) -> bool:
    """Whether the manifest in a folder is one of ours; none there, or another maker's, says it is not."""
    try:
        return read_manifest(folder) is not None
    except IOFailure:
        return False
