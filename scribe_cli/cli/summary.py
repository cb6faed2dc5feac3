"""`scribe summary`: what was estimated."""

from __future__ import annotations

from pathlib import Path

import click

from ..run.options import SummaryOptions, gene_names
from ..run.terminal.console import Console
from ..run.terminal.table import deliver, format_of
from . import options


@click.command("summary")
@options.fit_argument
@options.names
@options.only_genes
@options.form
@options.file
@options.speech
@click.pass_obj
def command(console: Console, fit: Path, names: str, genes: tuple[str, ...], form: str | None, output: Path | None) -> None:
    """The parameters of a fit: MAP, mean, sd, quantiles.

    FIT is the directory of a fit, or the fit.h5ad in it. As a table: the globals, and of gene and cell parameters
    the spread and the extremes. With tsv, json or -o: every row.
    """
    from ..run import summary as verb

    form = form or (format_of(output) if output else "table")
    every_row = output is not None or form != "table"
    asked = SummaryOptions(fit, names == "descriptive", gene_names(genes), every_row)
    deliver(verb.summary(asked), form, output, console)
