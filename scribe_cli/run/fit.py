"""`scribe fit`: read, check, build, infer, write."""

from __future__ import annotations

from collections.abc import Sequence

from ..io import manifest, staging
from . import device
from .fitting import gates, identity, metrics, place
from .fitting.gates import Gate
from .fitting.identity import Input, Run
from .options import FitOptions, FitRecord
from .recipe import config as recipes
from .recipe import resolved
from .recipe.config import Config
from .terminal import journal
from .terminal.console import Console


def fit(asked: FitOptions, console: Console) -> FitRecord:
    """The whole job. Every error is a ScribeError with its exit code; OUT is touched only once the input has passed."""
    config = recipes.load(asked.recipe, asked.overrides, several=len(asked.data) > 1, above=asked.overrides_from)
    config.resolve()
    checked = _gates(asked.fail_on, config)
    place.refuse(asked)
    kept = None if asked.dry_run else identity.remembered(asked, config)
    if kept is not None and (run := identity.of(asked, config, kept)) and identity.state(asked.output, run) == "finished":
        return _unchanged(asked, run, kept, checked)
    return _fit(asked, config, checked, console)


def _fit(asked: FitOptions, config: Config, checked: Sequence[Gate], console: Console) -> FitRecord:
    from ..io.anndata import refuse_foreign_key
    from . import reading  # with pandas, which a finished run does without

    chosen = device.start(asked.machine)
    console.tell(chosen)
    with console.phase("read"):
        counts = reading.read(asked.data, config, asked.transpose, console)
        refuse_foreign_key(counts.source, asked.key_added)
        data = identity.seen(asked, config, counts.digest, counts.source.format)
    run = identity.of(asked, config, data)
    if asked.dry_run:
        place.refuse_other(asked, run, identity.state(asked.output, run))
        return FitRecord(asked.output, "checked", run.run_id, resolved=resolved.resolved_text(config))
    state = place.settled(asked, run)
    if state == "finished":
        return _unchanged(asked, run, data, checked)
    if state == "open":
        place.require_room(asked.output, counts, config)
    from .fitting import job

    recorded = console.recorded(asked.output, run.run_id, identity.status_fields(data))
    with staging.claimed(asked.output), recorded as record_of_run:
        if state == "stripped":
            job.rebuild(asked, config, counts, console)
        else:
            job.run(asked, config, counts, run, chosen, console)
        record = _record(asked, run, "rebuilt" if state == "stripped" else "fitted", checked)
        record_of_run.code = _code(record)
    return record


def _unchanged(asked: FitOptions, run: Run, data: Input, checked: Sequence[Gate]) -> FitRecord:
    """The status too is made that of this run: an attempt at another one, or a touched input, may have changed it."""
    manifest.touch(asked.output, run.format)
    record = _record(asked, run, "unchanged", checked)
    status = journal.status("done", "write", run.run_id, _code(record), identity.status_fields(data))
    journal.write_status(asked.output, status)
    return record


def _code(record: FitRecord) -> int:
    return 3 if record.failed_gates else 0


def _record(asked: FitOptions, run: Run, did: str, checked: Sequence[Gate]) -> FitRecord:
    found = manifest.metrics(asked.output)
    failed = gates.failures(checked, found)
    return FitRecord(asked.output, did, run.run_id, found, tuple(failed))


def _gates(texts: Sequence[str], config: Config) -> list[Gate]:
    known = [*metrics.metric_names(config.inference_method), *metrics.of_guide(config)]
    return [gates.parse(text, known) for text in texts]
