"""The command `scribe`: a table of commands, each in its own file and loaded when it is asked for."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from .. import __version__
from ..errors import IOFailure, did_you_mean, listed
from ..run.terminal.console import Console
from . import errors, streams

COMMANDS = ("fit", "sample", "summary", "ppc", "score", "simulate", "report", "recipe", "inspect", "doctor")
# objects made between two searches for garbage: at Python's 700 those of the libraries are gone through for a second of a fit
GARBAGE = 20_000


class Commands(click.Group):
    """One command, one module of this package, whose `command` it is."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return importlib.import_module(f".{name}", __package__).command if name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"no command is called {args[0]}{near}; there are {listed(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="scribe", message="%(prog)s %(version)s")
def scribe() -> None:
    """Fit count models to single-cell data.

    The main job: scribe fit counts.h5ad --recipe zinbvcp -o OUT

    Exit codes: 0 done, 1 bug, 2 usage, 3 a --fail-on gate failed, 4 numerical failure, 65 bad data, 66 input
    missing, 69 no such device, 73 output cannot be created, 74 I/O error, 78 bad recipe or OUT of another run,
    137 out of memory, 128+n stopped by signal n.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    return errors.run(scribe, args, Console())


def process() -> None:
    """The command as a process of its own."""
    gc.set_threshold(GARBAGE)
    streams.open_for_results()
    code = main()
    if code == IOFailure.exit_code:
        # HDF5 tries again at the end of Python to write what the disk refused, and crashes
        os._exit(code)
    sys.exit(code)
