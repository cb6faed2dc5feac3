"""The running record of one run in OUT: run.log, events.jsonl and status.json."""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from datetime import datetime
from pathlib import Path

from ...errors import CannotCreate
from . import failure


def now() -> datetime:
    return datetime.now().astimezone()


class Journal:
    """Open while a run works in `folder`; leaving it writes how the run ended.

    run.log is for people, events.jsonl one object a line for programs, status.json the present state:
    {state: running | done | failed, phase, run_id, exit_code}. `code` is what a run that ends by itself exits
    with: 0, or 3 where a gate failed. `kept`: further fields of status.json.
    """

    def __init__(self, folder: Path, run_id: str, kept: dict | None = None):
        self.folder, self.run_id, self.phase, self.kept = folder, run_id, "start", kept or {}
        self.code = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._log = open(folder / "run.log", "w", encoding="utf-8")
            self._events = open(folder / "events.jsonl", "w", encoding="utf-8")
        except OSError as error:
            raise CannotCreate(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error

    def __enter__(self) -> Journal:
        self._status("running", None)
        return self

    def __exit__(self, kind, error, trace) -> None:
        if error is None:
            self._end("done", self.code)
        else:
            self._fail(error)
        self._log.close()
        self._events.close()

    def event(self, when: datetime, kind: str, text: str, fields: dict) -> None:
        """One line in each file; `kind` is phase, progress, notice, warning, error, detail or end."""
        self._log.write(f"{when:%Y-%m-%d %H:%M:%S} {kind:<8} {text}\n")
        self._log.flush()
        entry = {"time": when.isoformat(timespec="milliseconds"), "event": kind, "text": text, **fields}
        self._events.write(json.dumps(entry) + "\n")
        self._events.flush()

    def enter(self, phase: str) -> None:
        self.phase = phase
        self._status("running", None)

    def _end(self, state: str, exit_code: int) -> None:
        self.event(now(), "end", state, {"state": state, "exit_code": exit_code})
        self._status(state, exit_code)

    def _fail(self, error: BaseException) -> None:
        code = failure.exit_code(error)
        self.event(now(), "error", failure.message(error), {"exit_code": code})
        if failure.is_bug(error):
            self._log.write("".join(traceback.format_exception(error)))
        self._end("failed", code)

    def _status(self, state: str, exit_code: int | None) -> None:
        write_status(self.folder, status(state, self.phase, self.run_id, exit_code, self.kept))


def status(state: str, phase: str, run_id: str, exit_code: int | None, kept: dict) -> str:
    """The text of status.json; `kept` are further fields."""
    entry = {"state": state, "phase": phase, "run_id": run_id, "exit_code": exit_code, **kept}
    return json.dumps(entry, indent=1) + "\n"


def write_status(folder: Path, text: str) -> None:
    """Replace status.json by rename, so that a reader never sees half of it; one that says the same is left."""
    path = folder / "status.json"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = folder / ".tmp" / f"status-{os.getpid()}.json"
    fresh.parent.mkdir(exist_ok=True)
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
    with contextlib.suppress(OSError):  # something of ours or another run's is still in it
        fresh.parent.rmdir()
