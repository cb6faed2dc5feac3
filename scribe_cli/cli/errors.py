"""From errors to exit codes: one line on stderr, the traceback only with -vv."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence

import click

from ..run.terminal import failure
from ..run.terminal.console import Console


def run(command: click.Command, args: Sequence[str] | None, console: Console) -> int:
    """Run a click command with the console as its object; the exit code.

    The one place that catches everything: what no one foresaw must still end in one line and a code.
    """
    # a closed pipe (scribe summary OUT | head) ends us as it ends every filter, without a message
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with console.libraries_heard():
            code = command.main(args, prog_name="scribe", standalone_mode=False, obj=console) or 0
            console.flush()
            return code
    except click.exceptions.NoArgsIsHelpError as e:
        console.block(e.ctx.get_help())
        return 2
    except click.UsageError as e:
        console.error(_usage(e))
        return 2
    except click.ClickException as e:
        console.error(e.format_message())
        return e.exit_code
    except click.Abort:
        return _failed(console, KeyboardInterrupt())
    except Exception as e:
        return _failed(console, e)


def _failed(console: Console, error: BaseException) -> int:
    if console.verbose >= 2:
        console.block("".join(traceback.format_exception(error)).rstrip())
    console.error(failure.message(error))
    return failure.exit_code(error)


def _usage(error: click.UsageError) -> str:
    """Click's message in one line, with where the help is."""
    text = " ".join(error.format_message().split())
    return f"{text} (see {error.ctx.command_path} --help)" if error.ctx else text
