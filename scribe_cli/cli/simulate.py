"""`scribe simulate`: counts with their truth."""

from __future__ import annotations

import click

from ..run.options import Machine, SimulateOptions
from ..run.terminal.console import Console
from . import options


@click.command("simulate")
@options.recipe_required
@options.cells
@options.genes
@options.like
@options.params
@options.settings
@options.seed
@options.reading
@options.machine
@options.h5ad
@options.speech
@click.pass_obj
def command(console: Console, recipe: str, settings: tuple[str, ...], **given) -> None:
    """Counts drawn from a model, with their truth.

    The parameters are a draw from the recipe's prior, or given (--params). Each parameter used is stored as
    true_<parameter>. The one line on stdout is the file written.
    """
    from ..run import simulate as verb

    named = tuple(k for k in ("cells", "genes", "like") if given[k] is not None)
    if named not in (("cells", "genes"), ("like",)):
        raise click.UsageError("say --cells and --genes, or --like DATA alone")
    layer, dataset_key, seed = (given.pop(k) for k in ("layer", "dataset_key", "seed"))
    asked = SimulateOptions(
        recipe=recipe,
        overrides=options.overrides(settings, data_layer=layer, dataset_key=dataset_key, seed=seed),
        machine=Machine(given.pop("device"), given.pop("threads")),
        **given,
    )
    verb.simulate(asked, console)
    console.result(str(asked.output))
