"""python -m tests.fuzz [TARGET...]: FUZZ_SECONDS (600) of each target; the seed is printed, FUZZ_SEED gives it back.

An input must be read, or end in an error that the target allows, in one line, within its seconds. The first that does
not is made small, kept in FUZZ_OUT (the present folder) and shown; the exit code is then 1.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, given, seed, settings

from scribe_cli.run.terminal import failure

from .targets import TARGETS, Target

EXAMPLES = 2000  # of a round; each has a seed of its own
CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large, HealthCheck.large_base_example]


class Finding(AssertionError):
    """An input that ended as none may."""


def judged(target: Target, folder: Path, content: bytes) -> str:
    """How the input ended: "read", or the error's name. Finding if it may not end so."""
    start = time.perf_counter()
    try:
        target.run(folder, content)
        ended = "read"
    except target.allowed as error:
        ended = type(error).__name__
        text = failure.message(error)
        if failure.exit_code(error) not in (65, 66, 78) or "\n" in text or not text:
            raise Finding(f"exit code {failure.exit_code(error)}: {text!r}") from error
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}") from error
    if (seconds := time.perf_counter() - start) > target.seconds:
        raise Finding(f"took {seconds:.1f} s")
    return ended


def round_of(target: Target, number: int, endings: Counter, last: dict) -> None:
    """One round of examples. Finding for the smallest input that ends as none may."""

    @seed(number)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=False, suppress_health_check=CHECKS)
    @given(target.inputs)
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=last["scratch"]) as folder:
            last["content"] = content
            endings[judged(target, Path(folder), content)] += 1

    check()


def fuzz(name: str, seconds: float, first: int) -> bool:
    """A target for so long; whether nothing was found."""
    endings, number, end = Counter(), first, time.monotonic() + seconds
    last = {"scratch": tempfile.mkdtemp(prefix="scribe-fuzz-")}
    try:
        while time.monotonic() < end:
            round_of(TARGETS[name], number, endings, last)
            number += 1
    except Finding as finding:
        kept = Path(os.environ.get("FUZZ_OUT", ".")) / f"fuzz-{name}-{number}.bin"
        kept.write_bytes(last["content"])
        print(
            f"{name}: {finding}\n  input {last['content'][:300]!r}, kept in {kept}; FUZZ_SEED={number} finds it again"
        )
        return False
    finally:
        shutil.rmtree(last["scratch"], ignore_errors=True)
        told = ", ".join(f"{n:,} {ending}" for ending, n in endings.most_common())
        print(f"{name}: {endings.total():,} inputs of rounds {first} to {number}: {told}", flush=True)
    return True


def main(names: list[str]) -> int:
    seconds = float(os.environ.get("FUZZ_SECONDS", "600"))
    first = int(os.environ.get("FUZZ_SEED", "0")) or secrets.randbelow(10**9)
    print(f"hypothesis {hypothesis.__version__}, {seconds:g} s a target, FUZZ_SEED={first}", flush=True)
    return 0 if all([fuzz(name, seconds, first) for name in names or TARGETS]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
