"""`scribe fit`: the main job."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import GateFailed
from ..run.options import FitOptions, FitRecord, Machine, output_folder
from ..run.terminal.console import Console
from . import options


@click.command("fit")
@options.data
@options.recipe_required
@options.folder
@options.settings
@options.reading
@options.seed
@options.machine
@options.key_added
@options.format
@options.overwrite
@options.fail_on
@options.dry_run
@options.json
@options.speech
@click.pass_obj
def command(console: Console, data: tuple[Path, ...], recipe: str, output: Path | None, as_json: bool, **given) -> None:
    """Fit the model of a recipe to data.

    DATA is an .h5ad, an AnnData .zarr, a 10x .h5, an MTX directory or a bare .mtx, a .loom, a .csv or .tsv; several
    are taken together, each a dataset. The one line on stdout is the directory that holds the results. The same
    command on a finished run does nothing.
    """
    from ..run import fit as verb

    settings, layer, dataset_key, seed = (given.pop(k) for k in ("settings", "layer", "dataset_key", "seed"))
    asked = FitOptions(
        data=data,
        recipe=recipe,
        output=output_folder(output, data, recipe),
        overrides=options.overrides(settings, data_layer=layer, dataset_key=dataset_key, seed=seed),
        machine=Machine(given.pop("device"), given.pop("threads")),
        command=options.typed(),
        **given,
    )
    _show(console, verb.fit(asked, console), as_json)


def _show(console: Console, record: FitRecord, as_json: bool) -> None:
    """OUT, or one JSON object, or a dry run's recipe; after that a failed gate is an error."""
    summary = {"output": str(record.output), "did": record.did, "run_id": record.run_id, "metrics": dict(record.metrics)}
    if as_json:
        console.result(json.dumps(summary | ({"resolved": record.resolved} if record.resolved else {})))
    else:
        console.result(record.resolved.rstrip("\n") or str(record.output))
    if record.failed_gates:
        raise GateFailed(f"{record.output} is written, but a gate failed: {'; '.join(record.failed_gates)}")
