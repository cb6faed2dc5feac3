"""OUT before a fit: whether results can be put there, whose it is, and whether they have room."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadRecipe, CannotCreate, UsageError, listed
from ...io import manifest, staging
from ...io.schema import ENTRIES, LIVE
from ..options import FitOptions
from ..recipe.config import Config
from . import identity
from .identity import Run

if TYPE_CHECKING:
    from ...data.counts import CountData

# a part of names in HDF5, Zarr and tables
KEY = re.compile(r"\w[\w.-]*")
SPARE = 1.2  # of the estimated size of the outputs
SMALL_FILES = 1 << 24  # bytes


def refuse(asked: FitOptions) -> None:
    """What needs no data to be refused: a key that names nothing (2), results in place of their input (2), an OUT
    that cannot be made or written (73)."""
    if not KEY.fullmatch(asked.key_added):
        raise UsageError(
            f'--key-added "{asked.key_added}": a key has letters, digits and _ . - and begins with a letter or digit'
        )
    out = asked.output
    for data in asked.data:
        if any(_real(data).is_relative_to(_real(out) / name) for name in ENTRIES):
            raise UsageError(f"{data}: is in {out} and would be replaced by the results; choose another --output")
    try:
        place = next(p for p in (out, *out.absolute().parents) if p.exists())
    except OSError as error:  # a name that no file can have
        raise CannotCreate(f"{out}: cannot be created ({error.strerror}); choose another --output") from error
    if not place.is_dir():
        raise CannotCreate(f"{out}: {place} is a file, and results go into a directory; choose another --output")
    if not os.access(place, os.W_OK | os.X_OK):
        raise CannotCreate(f"{out}: {place} cannot be written; choose another --output")


def _real(path: Path) -> Path:
    """With links followed; unlike Path.resolve, a circle of links is no error here."""
    return Path(os.path.realpath(path))


def settled(asked: FitOptions, run: Run) -> str:
    """What is done in OUT, as `identity.state`: a run that was killed while it moved its results is finished first.

    BadRecipe (78) where OUT holds what is not this run's, unless it may be replaced.
    """
    out = asked.output
    state = identity.state(out, run)
    if state == "sealed":
        staging.commit(out, run.run_id)
        state = identity.state(out, run)
    refuse_other(asked, run, state)
    return state


def refuse_other(asked: FitOptions, run: Run, state: str) -> None:
    """BadRecipe (78) where OUT, in this state, holds what is not this run's, unless it may be replaced."""
    if state == "open" and not asked.overwrite:
        manifest.refuse_other(asked.output, run.fingerprint)
        _refuse_foreign(asked.output, run)


def _refuse_foreign(out: Path, run: Run) -> None:
    """Files of other makers are left alone: where they have our names there is no place for us."""
    if manifest.read_manifest(out) is not None or run.run_id in manifest.run_ids(out).values():
        return
    names = ENTRIES if identity.begun(out) else (*ENTRIES, *LIVE)
    there = [name for name in names if (out / name).exists()]
    if there:
        raise BadRecipe(
            f"{out}: holds {listed(there)}, of no finished fit, which this one would replace; choose another --output,"
            " or replace them with --overwrite"
        )


def require_room(out: Path, counts: CountData, config: Config) -> None:
    """CannotCreate (73) where the disk of OUT has no room for the draws and the copied input."""
    draws = config.svi.n_samples if config.inference_method == "svi" else config.mcmc.n_samples * config.mcmc.n_chains
    values = draws * 4 * (3 * counts.n_genes + counts.n_cells) if config.output.samples != "none" else 0
    files = (f for path in counts.source.files for f in ([path] if path.is_file() else path.rglob("*")))
    copied = sum(f.stat().st_size for f in files if f.is_file())
    staging.require_room(out, int(SPARE * (values + 2 * copied)) + SMALL_FILES)
