"""The directory that `scribe ppc` writes: its files appear together, and foreign files in it are left alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import CannotCreate, IOFailure, UsageError, listed
from .schema import STORE
from .staging import refuse_entry, sync_path

SUMMARY = "ppc.json"
MADE_BY = "scribe ppc"
STAGE = ".ppc.tmp"


def refuse(out: Path, fit: Path, names: Iterable[str]) -> None:
    """UsageError (2) for a place among the entries of the fit, CannotCreate (73) where `names` cannot be put."""
    real, home = (Path(os.path.realpath(path)) for path in (out, fit))
    refuse_entry(out)
    if real == home:
        raise UsageError(f"-o {out}: is the fit itself, which ppc does not change; name another directory")
    if out.suffix in (".h5ad", ".zarr") or (real / STORE).exists():
        raise UsageError(f"-o {out}: ppc writes a directory of tables and pictures; name one that is no fit")
    place = next(p for p in (real, *real.parents) if os.path.exists(p))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        reason = "cannot be written" if place.is_dir() else "is a file"
        raise CannotCreate(f"-o {out}: {place} {reason}; name a directory that can be made or written")
    foreign = sorted(name for name in {*names, SUMMARY} - ours(out) if (out / name).exists())
    if foreign:
        raise CannotCreate(
            f"-o {out}: holds {listed(foreign)}, not of an earlier scribe ppc, which would be replaced; name another "
            "directory, or move them away"
        )


def ours(out: Path) -> set[str]:
    """The files of an earlier `scribe ppc` in a directory; none where there was none."""
    try:
        found = json.loads((out / SUMMARY).read_text())
        names = {*found["files"], SUMMARY} if found["made_by"] == MADE_BY else set()
        return {name for name in names if name == os.path.basename(name)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def write(out: Path, summary: Mapping[str, Any], files: Mapping[str, Callable[[Path], None]]) -> None:
    """files: {name: writes that file}. They are made aside, then moved in place, the summary last of all.

    IOFailure (74) where writing fails; what was there before is then as it was.
    """
    stage, made = out / STAGE, not out.exists()
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        for name, put in files.items():
            put(stage / name)
            sync_path(stage / name)
        _commit(out, stage, {"made_by": MADE_BY, **summary, "files": sorted(files)})
    except OSError as error:
        raise IOFailure(
            f"-o {out}: writing failed ({error.strerror or error}); make room, then run it again"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made and out.exists() and not any(out.iterdir()):
            out.rmdir()


def _commit(out: Path, stage: Path, summary: dict[str, Any]) -> None:
    """While files are moved the summary names those of both, so that all are known as ours to who comes next."""
    files, earlier = set(summary["files"]), ours(out) - {SUMMARY}
    _tell(out, stage, {"made_by": MADE_BY, "complete": False, "files": sorted(files | earlier)})
    for name in earlier - files:
        (out / name).unlink(missing_ok=True)
    for name in files:
        os.replace(stage / name, out / name)
    _tell(out, stage, {**summary, "complete": True})


def _tell(out: Path, stage: Path, summary: dict[str, Any]) -> None:
    """Put the summary in place."""
    fresh = stage / SUMMARY
    fresh.write_text(json.dumps(summary, indent=1) + "\n")
    sync_path(fresh)
    os.replace(fresh, out / SUMMARY)
    sync_path(out)
