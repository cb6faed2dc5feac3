"""`scribe ppc`: observed counts against the predictions of a fit."""

from __future__ import annotations

import click

from ..run.options import Machine, PpcOptions, gene_names
from ..run.terminal.console import Console
from . import options


@click.command("ppc")
@options.fit_argument
@options.data_checked
@options.check_folder
@options.draws
@options.only_genes
@options.kind
@options.dataset
@options.other_seed
@options.reading
@options.machine
@options.speech
@click.pass_obj
def command(console: Console, genes: tuple[str, ...], **given) -> None:
    """Counts against what a fit predicts.

    FIT is the directory of a fit, or the fit.h5ad in it. Checked are the counts that were fitted, or those of DATA,
    and nothing is fitted again: cells that the fit has parameters of, and genes, are found by their names. --kind
    map has the parameters at the MAP, biological leaves out capture and gate. DIR holds ppc_gene.tsv.gz,
    ppc_hist.tsv.gz, cell.tsv.gz, ppc.json and pictures; with --genes the tables and histograms are of these genes.
    The one line on stdout is DIR.
    """
    from ..run import ppc as verb

    layer, dataset_key = given.pop("layer"), given.pop("dataset_key")
    asked = PpcOptions(
        genes=gene_names(genes),
        overrides=options.overrides(data_layer=layer, dataset_key=dataset_key),
        machine=Machine(given.pop("device"), given.pop("threads")),
        **given,
    )
    verb.ppc(asked, console)
    console.result(str(asked.output))
