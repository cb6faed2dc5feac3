"""`scribe fit`: read, check, build, infer, write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import BadRecipe, CannotCreate
from ..io import manifest, staging
from . import config as recipes
from . import device, gates, identity, reading, resolved
from .config import Config
from .console import Console
from .gates import Gate
from .identity import Input, Run
from .options import FitOptions, FitRecord


def fit(asked: FitOptions, console: Console) -> FitRecord:
    """The whole job. Every error is a ScribeError with its exit code; OUT is touched only once the input has passed."""
    config = recipes.load(asked.recipe, asked.overrides)
    config.resolve()
    checked = _gates(asked.fail_on, config)
    kept = None if asked.dry_run else identity.remembered(asked, config)
    if kept is not None and (run := identity.of(asked, config, kept)) and identity.state(asked.output, run) == "finished":
        return _unchanged(asked, run, checked)
    return _fit(asked, config, checked, console)


def _fit(asked: FitOptions, config: Config, checked: Sequence[Gate], console: Console) -> FitRecord:
    chosen = device.start(asked.machine)
    for notice in chosen.notices:
        console.notice(notice)
    with console.phase("read"):
        counts = reading.read(asked.data, config, asked.transpose, console)
        data = identity.seen(asked, config, counts.digest, counts.source.format)
    run = identity.of(asked, config, data)
    if asked.dry_run:
        return FitRecord(asked.output, "checked", run.run_id, resolved=resolved.resolved_text(config))
    state = _settle(asked, run)
    if state == "finished":
        return _unchanged(asked, run, checked)
    from . import job

    with console.recorded(asked.output, run.run_id, identity.status_fields(data)) as journal:
        if state == "stripped":
            job.rebuild(asked, config, counts, console)
        else:
            job.run(asked, config, counts, run, chosen, console)
        record = _record(asked, run, "rebuilt" if state == "stripped" else "fitted", checked)
        journal.code = 3 if record.failed_gates else 0
    return record


def _settle(asked: FitOptions, run: Run) -> str:
    """What is to be done in OUT: a run that was killed while it moved its results is finished first."""
    out = asked.output
    if out.exists() and not out.is_dir():
        raise CannotCreate(f"{out}: is a file; the output of a fit is a directory, choose another --output")
    state = identity.state(out, run)
    if state == "open" and not asked.overwrite:
        manifest.refuse_other(out, run.fingerprint)
    if state == "sealed":
        staging.commit(out, run.run_id)
        state = identity.state(out, run)
    return state


def _unchanged(asked: FitOptions, run: Run, checked: Sequence[Gate]) -> FitRecord:
    manifest.touch(asked.output, run.format)
    return _record(asked, run, "unchanged", checked)


def _record(asked: FitOptions, run: Run, did: str, checked: Sequence[Gate]) -> FitRecord:
    metrics = manifest.metrics(asked.output)
    failed = gates.failures(checked, metrics)
    return FitRecord(asked.output, did, run.run_id, metrics, tuple(failed))


def _gates(texts: Sequence[str], config: Config) -> list[Gate]:
    from .findings import metric_names

    return [gates.parse(text, metric_names(config.inference_method)) for text in texts]
