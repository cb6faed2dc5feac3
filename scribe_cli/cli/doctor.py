"""`scribe doctor`: whether runs will do on this machine."""

from __future__ import annotations

import json

import click

from ..run.options import Machine
from ..run.terminal.console import Console
from ..run.terminal.table import deliver
from . import options


@click.command("doctor")
@options.machine
@options.json
@options.speech
@click.pass_obj
def command(console: Console, device: str | None, threads: int | None, as_json: bool) -> None:
    """Whether runs will do on this machine.

    Versions, devices, threads, memory, disk, caches, and a small fit whose answer is known (some 20 s). Ends with
    the code of the error that a run would end with.
    """
    from ..run import doctor as verb

    diagnosis = verb.doctor(Machine(device, threads), console)
    if as_json:
        console.result(json.dumps(verb.as_json(diagnosis)))
    else:
        deliver([verb.table(diagnosis)], "table", None, console)
    if diagnosis.error is not None:
        raise diagnosis.error
