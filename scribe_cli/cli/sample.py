"""`scribe sample`: draws of a posterior."""

from __future__ import annotations

import click

from ..run.options import Machine, SampleOptions
from ..run.terminal.console import Console
from . import options


@click.command("sample")
@options.fit_argument
@options.draws_required
@options.samples
@options.other_seed
@options.machine
@options.speech
@click.pass_obj
def command(console: Console, device: str | None, threads: int | None, **given) -> None:
    """Draws of a fit's posterior.

    FIT is the directory of a fit, or the fit.h5ad in it. F.zarr has the layout of its posterior.zarr: the groups
    posterior, unconstrained_posterior and sample_stats, as far as the fit stored them. Of a variational fit any
    number: the first are those that the fit stored, and another --seed gives others. Of chains no more than are
    stored, evenly spaced in each chain (in one chain, where -n is no multiple of their number). The one line on
    stdout is F.zarr.
    """
    from ..run import sample as verb

    asked = SampleOptions(machine=Machine(device, threads), **given)
    verb.sample(asked, console)
    console.result(str(asked.output))
