"""Finding: one line of what the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """state: ok, warning (runs will do) or problem (they will not); remedy: what to do about it."""

    what: str
    found: str
    state: str = OK
    remedy: str = ""
