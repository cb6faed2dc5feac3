"""Which run this is: its fingerprint and run id, and whether OUT holds it already. Light: loads neither jax nor pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ...io import manifest, staging
from ...io.schema import FIT, REPORT
from .. import record
from ..options import FitOptions, stems
from ..recipe import resolved
from ..recipe.config import Config

STATUS = "status.json"


@dataclass(frozen=True)
class Input:
    """What is remembered of an input, so that unchanged files are not read again.

    names: what the inputs are called; stamps: size, time and inode of their files; layer and transpose: how they were
    read; digest: of their content.
    """

    names: list[str]
    stamps: list[list[int]]
    layer: str | None
    transpose: bool
    digest: str
    format: str


@dataclass(frozen=True)
class Run:
    """fingerprint: {field: value} of CONTRACT 1; format: of fit.h5ad or fit.zarr."""

    run_id: str
    fingerprint: Mapping[str, str]
    versions: Mapping[str, str]
    format: str


def remembered(asked: FitOptions, config: Config) -> Input | None:
    """The input of the run that OUT tells of, if it is this one, unchanged."""
    try:
        kept = Input(**json.loads((asked.output / STATUS).read_text())["input"])
        same = kept.stamps == manifest.stamps(asked.data) and kept.stamps != [] and kept.names == _names(asked)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no run, or one that ended before it knew its input
    return kept if same and (kept.layer, kept.transpose) == (config.data.layer, asked.transpose) else None


def begun(out: Path) -> bool:
    """Whether a fit has been at work in OUT."""
    try:
        return "run_id" in json.loads((out / STATUS).read_text())
    except (OSError, ValueError, TypeError):
        return False


def seen(asked: FitOptions, config: Config, digest: str, source_format: str) -> Input:
    stamps = manifest.stamps(asked.data)
    return Input(_names(asked), stamps, config.data.layer, asked.transpose, digest, source_format)


def _names(asked: FitOptions) -> list[str]:
    """Of several inputs what they are called, which is part of the results; of one it is not."""
    return stems(asked.data) if len(asked.data) > 1 else []


def of(asked: FitOptions, config: Config, data: Input) -> Run:
    """The run of this recipe on these data."""
    format = asked.format or ("zarr" if data.format == "zarr" else "h5ad")
    fingerprint = manifest.fingerprint(resolved.resolved(config), asked.key_added, format, data.digest)
    versions = record.versions()
    return Run(manifest.run_id(fingerprint, versions), fingerprint, versions, format)


def state(out: Path, run: Run) -> str:
    """"finished"; "sealed": all is made and only has to be moved in place; "stripped": only what is made from the store
    is missing, fit.h5ad or report.html; "open"."""
    if manifest.finished(out, run.run_id):
        return "finished"
    if staging.sealed(out, run.run_id):
        return "sealed"
    found = manifest.read_manifest(out)
    if found is None or found["run_id"] != run.run_id:
        return "open"
    missing = {name.split("/")[0] for name in found["files"] if not (out / name).exists()}
    return "stripped" if missing and missing <= {FIT[run.format], REPORT} else "open"


def status_fields(data: Input) -> dict:
    """What status.json keeps of the input."""
    return {"input": asdict(data)}
