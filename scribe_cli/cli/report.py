"""`scribe report`: the page that says what was fitted and whether to believe it."""

from __future__ import annotations

from pathlib import Path

import click

from ..run.options import ReportOptions
from ..run.terminal.console import Console
from . import options


@click.command("report")
@options.fit_argument
@options.page
@options.speech
@click.pass_obj
def command(console: Console, fit: Path, output: Path | None) -> None:
    """Build report.html of a fit again.

    FIT is the directory of a fit, or the fit.h5ad in it. The page is one file and needs no network: what was fitted,
    whether it converged, predictive checks, genes to be careful with. The one line on stdout is the file written.
    """
    from ..run import report as verb

    console.result(str(verb.report(ReportOptions(fit, output))))
