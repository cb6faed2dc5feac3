"""python -m tests.hostile [PART OF A NAME]: every hostile input, and how the command that is given it ends.

One line each: exit code, seconds of the processor, memory beyond that of the program itself, what it said. With --json, an object a line, for the test.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from scribe_cli.cli.main import main

from . import CASES
from .case import Case

PATIENCE = 60  # seconds on the clock, until the process is ended by the alarm


def contents(folder: Path) -> list[tuple[str, int, int]]:
    """Every name in a folder with its kind, size and time; nothing is opened."""
    seen = ((p, p.lstat()) for p in sorted(folder.rglob("*")))
    return [(str(p), s.st_mode, 0 if p.is_dir() else s.st_size) for p, s in seen]


def peak_mb() -> float:
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024


def outcome(case: Case, folder: Path) -> dict:
    """Make the input in a fresh folder, run the command there with its output in files, look at what is left."""
    temporary = folder / "tmp"
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    here = folder / "here"
    for made in (temporary, here):
        made.mkdir(parents=True)
    os.chdir(here)
    args = case.make(here)
    before = contents(folder)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    base = peak_mb()
    signal.alarm(PATIENCE)
    start = time.process_time()  # of the processor: a neighbour at work is no fault of the input
    code, out, err = captured(args)
    seconds = time.process_time() - start
    signal.alarm(0)
    return {
        "code": code,
        "seconds": round(seconds, 2),
        "mb": round(peak_mb() - base),
        "out": out,
        "err": err,
        "left": [name for name, *_ in set(contents(folder)) ^ set(before)],
    }


def captured(args: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, those of C libraries too."""
    with tempfile.TemporaryFile(dir="/tmp") as out, tempfile.TemporaryFile(dir="/tmp") as err:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            code = main(args)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
        for stream in (out, err):
            stream.seek(0)
        return code, *(s.read().decode("utf-8", "replace") for s in (out, err))


def run(part: str, as_json: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="scribe-hostile-", dir="/tmp") as scratch:
        for i, (name, case) in enumerate(CASES.items()):
            if part not in name:
                continue
            print(f"{name}: ", end="", file=sys.stderr, flush=True)
            found = outcome(case, Path(scratch) / str(i))
            print(file=sys.stderr)
            os.chdir(scratch)
            if as_json:
                print(json.dumps({"name": name, **found}), flush=True)
            else:
                right = found["code"] == case.code and case.said in found["err"] and found["err"].count("\n") == 1
                mark = "  " if right and not found["left"] and not found["out"] else "!!"
                cost = f"{found['seconds']:5.2f}s {found['mb']:5} MB"
                print(f"{mark} {found['code']:3} {cost}  {name}: {found['err'].rstrip()}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--json"]
    run(words[0] if words else "", "--json" in sys.argv)
