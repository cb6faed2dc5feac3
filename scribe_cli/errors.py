"""Every error a user can meet, with its exit code (CONTRACT 4), and the did-you-mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ScribeError(Exception):
    """What is wrong, where, and what to do. `exit_code` is the process's exit code.

    `key` names the recipe key an error is about, dotted; run/ adds file, line and column to it.
    """

    exit_code = 1

    def __init__(self, message: str, *, key: str | None = None):
        super().__init__(message)
        self.key = key


class UsageError(ScribeError):
    exit_code = 2


class GateFailed(ScribeError):
    """All outputs are written, but a --fail-on gate did not hold."""

    exit_code = 3


class NumericalError(ScribeError):
    exit_code = 4


class BadData(ScribeError):
    exit_code = 65


class InputMissing(ScribeError):
    exit_code = 66


class DeviceUnavailable(ScribeError):
    exit_code = 69


class CannotCreate(ScribeError):
    exit_code = 73


class IOFailure(ScribeError):
    exit_code = 74


class BadRecipe(ScribeError):
    exit_code = 78


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean "x"?)' when one of `known` is close to `name`, else ''."""
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""


def listed(names: Iterable[object], limit: int = 10) -> str:
    """Names in a row, cut after `limit` with the number left out."""
    names = [str(n) for n in names]
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "") if names else "none"
