"""`scribe inspect`: what is in a data file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..run.options import InspectOptions, Machine
from ..run.terminal.console import Console
from . import options


@click.command("inspect")
@options.one_data
@options.reading
@options.machine
@options.json
@options.speech
@click.pass_obj
def command(console: Console, data: Path, as_json: bool, device: str | None, threads: int | None, **given) -> None:
    """What is in a data file, and a recipe that suits it.

    Its matrices and which of them holds counts, library sizes, the datasets there are, and what is wrong, with what
    to do. Nothing is computed on a device.
    """
    from ..run import inspect as verb
    from ..run.inspecting import report

    found = verb.inspect(InspectOptions(data, machine=Machine(device, threads), **given), console)
    if as_json:
        console.result(json.dumps(report.as_json(found)))
    else:
        console.result("\n".join(report.text(found, console.width)))
