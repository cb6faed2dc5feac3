"""`scribe score`: the log-likelihood of data."""

from __future__ import annotations

from pathlib import Path

import click

from ..run.options import Machine, ScoreOptions, refuse_input
from ..run.terminal.console import Console
from ..run.terminal.table import deliver, format_of
from . import options


@click.command("score")
@options.data
@options.recipe
@options.params
@options.from_fit
@options.by
@options.settings
@options.reading
@options.machine
@options.file
@options.speech
@click.pass_obj
def command(console: Console, data: tuple[Path, ...], settings: tuple[str, ...], output: Path | None, **given) -> None:
    """The log-likelihood of data.

    At parameters (--recipe, --params) or at the MAP of a fit (--fit). Full and normalised, in float64, with 17
    digits; by cell or by gene, two columns with their names.
    """
    from ..run import score as verb

    named = tuple(k for k in ("recipe", "params", "fit") if given[k] is not None)
    if named not in (("recipe", "params"), ("fit",)):
        raise click.UsageError("say --recipe and --params, or --fit alone")
    if settings and given["recipe"] is None:
        raise click.UsageError("--set changes the recipe, and a fit has its own; leave it out with --fit")
    if output is not None:
        refuse_input(output, *data, given["params"])
    layer, dataset_key = given.pop("layer"), given.pop("dataset_key")
    asked = ScoreOptions(
        data=data,
        overrides=options.overrides(settings, data_layer=layer, dataset_key=dataset_key),
        machine=Machine(given.pop("device"), given.pop("threads")),
        **given,
    )
    table = verb.score(asked, console)
    deliver([table], format_of(output) if output else "tsv", output, console)
