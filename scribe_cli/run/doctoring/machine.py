"""What a machine gives a run: cores, memory, disk, and what a scheduler or a container leaves of them."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..device import asked_threads, cache_root
from ..options import Machine
from .finding import PROBLEM, WARNING, Finding

CGROUP = Path("/sys/fs/cgroup")
LITTLE_MEMORY = 4e9
LITTLE_DISK = 2e9
GB = 1e9


def findings(machine: Machine) -> Iterator[Finding]:
    yield _threads(machine)
    yield _memory()
    yield _cache()
    yield from _disk()
    yield _output()


def _threads(machine: Machine) -> Finding:
    """Those a run will use, beside what it may: more threads than cores is slower than as many."""
    cores, limit, asked = _cores(), cpu_limit(), asked_threads(machine)
    parts = [f"{cores} cores"] + ([f"{limit:.3g} by the cgroup"] if limit is not None else [])
    parts += [f"{asked} asked for"] if asked is not None else []
    usable = cores if limit is None else min(cores, max(1, round(limit)))
    found, used = ", ".join(parts), asked or cores
    if used > usable:
        return Finding(
            "threads", found, WARNING, f"runs would start {used} threads: --threads {usable}, or SCRIBE_THREADS"
        )
    return Finding("threads", found)


def _cores() -> int:
    """Those the process may run on; macOS has no affinity."""
    return len(psutil.Process().cpu_affinity()) if psutil.LINUX or psutil.WINDOWS else psutil.cpu_count()


def _memory() -> Finding:
    memory, limit = psutil.virtual_memory(), memory_limit()
    parts = [f"{memory.available / GB:.1f} GB free of {memory.total / GB:.1f}"]
    free = memory.available
    if limit is not None and limit < memory.total:
        parts.append(f"{limit / GB:.1f} GB by the cgroup")
        free = min(free, limit)
    if free < LITTLE_MEMORY:
        return Finding("memory", ", ".join(parts), WARNING, "only small data will fit; ask for more (Slurm: --mem)")
    return Finding("memory", ", ".join(parts))


def cpu_limit(root: Path = CGROUP) -> float | None:
    """Cores that the cgroup allows (v2, v1), None without a limit."""
    if v2 := _words(_own(root, "cpu.max")):
        return None if v2[0] == "max" else int(v2[0]) / int(v2[1])
    quota, period = (_words(root / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    if not quota or not period or int(quota[0]) < 0:
        return None
    return int(quota[0]) / int(period[0])


def memory_limit(root: Path = CGROUP) -> int | None:
    """Bytes that the cgroup allows (v2, v1), None without a limit."""
    words = _words(_own(root, "memory.max")) or _words(root / "memory" / "memory.limit_in_bytes")
    return int(words[0]) if words and words[0] != "max" else None


def _own(root: Path, name: str) -> Path:
    """The file in the process's own group, else in the root of what a container sees."""
    lines = _lines(Path("/proc/self/cgroup"))
    group = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    own = root / group / name
    return own if root == CGROUP and own.exists() else root / name


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _cache() -> Finding:
    root = cache_root()
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("cache", f"{root} cannot be written", WARNING, "set SCRIBE_CACHE_DIR to a writable folder")
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file())
    return Finding("cache", f"{root}, {size / GB:.2f} GB in it, {_free(root) / GB:.0f} GB free")


def _disk() -> Iterator[Finding]:
    here = Path.cwd()
    if not os.access(here, os.W_OK | os.X_OK):
        yield Finding("disk here", f"{here} cannot be written", WARNING, "give -o a folder that can")
    else:
        yield _room("disk here", here, "make room: a fit copies its input (output.data: results does not)")
    try:
        yield _room("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder with more room")
    except FileNotFoundError:
        yield Finding("temporary files", "no folder for them can be written", PROBLEM, "set TMPDIR to one that can")


def _room(what: str, folder: Path, remedy: str) -> Finding:
    free = _free(folder)
    found = f"{folder}, {free / GB:.1f} GB free"
    return Finding(what, found) if free >= LITTLE_DISK else Finding(what, found, WARNING, remedy)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _output() -> Finding:
    encoding = (sys.stdout.encoding or "none").lower()
    colour = "no colour" if os.environ.get("NO_COLOR") or os.environ.get("TERM") in (None, "dumb") else "colour"
    found = f"{encoding}, {'a terminal' if sys.stdout.isatty() else 'not a terminal'}, {colour}"
    if "utf" not in encoding.replace("-", ""):
        return Finding("output", found, WARNING, "not all names can be printed: set PYTHONUTF8=1, or a UTF-8 locale")
    return Finding("output", found)
