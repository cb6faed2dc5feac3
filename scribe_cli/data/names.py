"""Cell and gene names: where they repeat, and how they are made unique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..errors import listed


def unique(names: Iterable[str]) -> np.ndarray:
    """Names with -1, -2, ... after the second, third, ... of a kind, passing over names that exist."""
    names = list(names)
    taken = set(names)
    if len(taken) == len(names):
        return np.array(names, object)
    seen, last = set(), Counter()
    for i, name in enumerate(names):
        if name in seen:
            names[i] = _suffixed(name, last, taken)
        seen.add(name)
    return np.array(names, object)


def _suffixed(name: str, last: Counter, taken: set[str]) -> str:
    while True:
        last[name] += 1
        candidate = f"{name}-{last[name]}"
        if candidate not in taken:
            taken.add(candidate)
            return candidate


def repeated(names: Iterable[str], kind: str) -> str | None:
    """A warning that lists the names that stand more than once, or None."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if not twice:
        return None
    verb = "name stands" if len(twice) == 1 else "names stand"
    return (
        f"{len(twice)} {kind} {verb} more than once: {listed(twice)}; "
        "where unique names are needed -1, -2, ... is appended"
    )
