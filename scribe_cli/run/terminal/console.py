"""The only writer to the terminal. stdout carries results, stderr everything else; a run's journal gets the same."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..record import peak_memory_gb
from .journal import Journal, now
from .progress import Bar, Phase

if TYPE_CHECKING:
    from ...data.counts import CountData
    from ..device import Device

NO_WIDTH = 80  # characters in a line of a terminal that does not say how many


def printable(text: str) -> str:
    """What no terminal should act on (line ends, escape sequences, halves of surrogates, in names) as Python writes it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Console:
    """`quiet`: only warnings and errors on stderr; `verbose`: 1 adds details, 2 tracebacks.

    Progress is a bar on a terminal, else a dated line about every `interval` seconds. `seconds`: {phase: wall time}.
    """

    def __init__(self, quiet: bool = False, verbose: int = 0, interval: float = 30.0):
        self.quiet, self.verbose, self.interval = quiet, verbose, interval
        self.seconds: dict[str, float] = {}
        self._started = time.monotonic()
        self._journal: Journal | None = None
        self._unrecorded: list[tuple] = []
        self._phase: Phase | None = None
        self._bar: Bar | None = None

    @property
    def width(self) -> int | None:
        """Characters in a line of results: the terminal's, None where stdout is none."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def result(self, text: str) -> None:
        """One line, or block of lines, of the result."""
        sys.stdout.write(text + "\n")

    def flush(self) -> None:
        """OSError where the result cannot be written."""
        sys.stdout.flush()

    def detail(self, text: str) -> None:
        self._say("detail", text, self.verbose > 0 and not self.quiet)

    def notice(self, text: str) -> None:
        self._say("notice", text, not self.quiet)

    def warning(self, text: str) -> None:
        self._say("warning", text, True)

    def tell(self, found: Device | CountData) -> None:
        """The notices and warnings of a device, or of data."""
        for text in found.notices:
            self.notice(text)
        for text in found.warnings.values():
            self.warning(text)

    def error(self, text: str) -> None:
        """For the one line of a failed command."""
        self._write(self._folded(f"scribe: error: {printable(text)}"))

    def block(self, text: str) -> None:
        """Several lines on stderr: a help text, a traceback."""
        self._write(text)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A named part of a run; phases follow one another."""
        self._phase = Phase(name)
        if self._journal:
            self._journal.enter(name)
        self._bar = Bar(name) if self._on_terminal() else None
        try:
            yield
        finally:
            if self._bar:
                self._bar.stop()
            phase, self._phase, self._bar = self._phase, None, None
            self.seconds[name] = self.seconds.get(name, 0.0) + phase.elapsed()
        fields = {**phase.fields(), "seconds": round(phase.elapsed(), 3)}
        self._say("phase", phase.closing(), not self.quiet, fields)

    def progress(self, step: int, total: int | None = None, loss: float | None = None, unit: str = "step") -> None:
        """How far the present phase is: `total` None where it ends by a rule, `loss` any number to follow."""
        phase = self._phase
        phase.advance(step, total, loss, unit)
        if self._bar:
            self._bar.update(phase)
        if phase.due(self.interval):
            text = f"{phase.text()}  memory {peak_memory_gb():.1f} GB"
            self._say("progress", text, not self.quiet and not self._bar, phase.fields())

    def spent(self, name: str) -> float:
        """Seconds in phases of this name so far, the present one included."""
        now = self._phase.elapsed() if self._phase and self._phase.name == name else 0.0
        return self.seconds.get(name, 0.0) + now

    def elapsed(self) -> float:
        """Seconds since the console was made."""
        return time.monotonic() - self._started

    @contextmanager
    def recorded(self, folder: Path, run_id: str, kept: dict | None = None) -> Iterator[Journal]:
        """Keep run.log, events.jsonl and status.json (with the fields `kept`) in `folder`, what was said before included."""
        with Journal(folder, run_id, kept) as journal:
            for entry in self._unrecorded:
                journal.event(*entry)
            self._unrecorded, self._journal = [], journal
            try:
                yield journal
            finally:
                self._journal = None

    @contextmanager
    def libraries_heard(self) -> Iterator[None]:
        """Warnings and log messages of libraries are details: in run.log, and on stderr with -v."""
        handler = _Details(self)
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)

    def _say(self, kind: str, text: str, shown: bool, fields: dict | None = None) -> None:
        text = printable(text)
        entry = (now(), kind, text, fields or {})
        if self._journal:
            self._journal.event(*entry)
        else:
            self._unrecorded.append(entry)
        if shown:
            label = {"warning": "warning: "}.get(kind, "")
            date = "" if self._on_terminal() else f"{entry[0]:%Y-%m-%d %H:%M:%S}  "
            self._write(self._folded(f"{date}{label}{text}"))

    def _folded(self, text: str) -> str:
        """For a terminal in lines of its width, broken between words; elsewhere a message is one line."""
        if not self._on_terminal():
            return text
        width = os.get_terminal_size(sys.stderr.fileno()).columns or NO_WIDTH
        return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)

    def _write(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _on_terminal(self) -> bool:
        return not self.quiet and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class _Details(logging.Handler):
    """A logging handler that speaks through a console."""

    def __init__(self, console: Console):
        super().__init__(logging.WARNING)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.detail(f"{record.name}: {' '.join(record.getMessage().split())}")
