"""What an error means to the caller of the process: its exit code and its one line."""

from __future__ import annotations

import errno

from ...errors import ScribeError

LONGEST = 4000  # characters of a message


def exit_code(error: BaseException) -> int:
    """CONTRACT section 4. An error nobody foresaw is 1, a bug."""
    if isinstance(error, ScribeError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if out_of_memory(error):
        return 137
    return 74 if isinstance(error, OSError) else 1


def message(error: BaseException) -> str:
    """What is wrong, where and what to do, in one line."""
    text = _cut(" ".join(str(error).split()))
    if isinstance(error, ScribeError):
        return text
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if out_of_memory(error):
        return f"out of memory ({text[:200] or 'in Python'}): ask for more, or fit fewer genes or cells at a time"
    if isinstance(error, OSError):
        return _of_the_system(error)
    return f"{type(error).__name__}: {text[:500]} (a bug of scribe: the same command with -vv shows where)"


def _of_the_system(error: OSError) -> str:
    """An error of reading or writing that nobody caught where it arose."""
    reason, place = error.strerror or _cut(" ".join(str(error).split())), error.filename
    remedy = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the disk and the permissions"
    where = "reading or writing" if place is None else f"{place}: reading or writing it"
    return f"{where} failed ({reason}); {remedy}, then run the same command"


def _cut(text: str) -> str:
    """A message that quotes a name without end: its beginning and its end."""
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[: LONGEST // 2]} ({left:,} characters left out) {text[-LONGEST // 2 :]}"


def is_bug(error: BaseException) -> bool:
    return exit_code(error) == 1


def out_of_memory(error: BaseException) -> bool:
    """Python's own, or XLA's, which has no type of its own."""
    return isinstance(error, MemoryError) or isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
