"""How far a phase of a run is: numbers, text, and the bar on a terminal."""

from __future__ import annotations

import math
import time

BAR_WIDTH = 16  # characters: what it stands beside fits into 80


class Phase:
    """The state of one phase: step of total, loss (smoothed by who reports it), time spent and left."""

    def __init__(self, name: str):
        self.name = name
        self.step, self.total, self.loss, self.unit = 0, None, None, "step"
        self._start = self._said = time.monotonic()

    def advance(self, step: int, total: int | None, loss: float | None, unit: str) -> None:
        self.step, self.total, self.unit = step, total, unit
        if loss is not None:
            self.loss = float(loss)

    def due(self, interval: float) -> bool:
        """Whether `interval` seconds have gone by since the last time this was true."""
        if time.monotonic() - self._said < interval:
            return False
        self._said = time.monotonic()
        return True

    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def seconds_left(self) -> float | None:
        """At the mean speed so far; None where the end is not known."""
        if not self.total or not self.step:
            return None
        return self.elapsed() * (self.total - self.step) / self.step

    def text(self) -> str:
        """`fit  step 1,400 of 5,000  loss 4,512,345.2  ETA 1m05s`"""
        parts = [self.name]
        if self.step:
            parts.append(f"{self.unit} {self.step:,}" + (f" of {self.total:,}" if self.total else ""))
        if self.loss is not None:
            parts.append(f"loss {self.loss:,.1f}")
        if (left := self.seconds_left()) is not None:
            parts.append(f"ETA {duration(left)}")
        return "  ".join(parts)

    def closing(self) -> str:
        """`fit 12.3 s  step 1,400  loss 4,512,345.2`"""
        parts = [f"{self.name} {self.elapsed():.1f} s"]
        if self.step:
            parts.append(f"{self.unit} {self.step:,}")
        if self.loss is not None:
            parts.append(f"loss {self.loss:,.1f}")
        return "  ".join(parts)

    def fields(self) -> dict:
        """The same as numbers, for events.jsonl."""
        left = self.seconds_left()
        known = {"step": self.step or None, "total": self.total, "loss": self.loss, "eta_seconds": left and round(left, 1)}
        return {"phase": self.name, **{k: v for k, v in known.items() if v is not None and math.isfinite(v)}}


class Bar:
    """A progress bar on stderr, gone when the phase ends. rich honours NO_COLOR itself."""

    def __init__(self, name: str):
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        in_one_line = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
        columns = (SpinnerColumn(), BarColumn(BAR_WIDTH), in_one_line, TimeElapsedColumn())
        self._bar = Progress(*columns, console=Terminal(stderr=True), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task(name, total=None)
        self._bar.start()

    def update(self, phase: Phase) -> None:
        self._bar.update(self._task, description=phase.text(), completed=phase.step, total=phase.total)

    def stop(self) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """`48s`, `1m05s`, `3h02m`"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
