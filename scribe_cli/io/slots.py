"""Whose a name in an AnnData is: of a fit under one key, of a fit under another, or of somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MARKS = ("schema_version", "run_id")  # in uns[key] of every fit


@dataclass(frozen=True)
class Slots:
    """The names of one fit. others: keys of further fits in the same AnnData; earlier: whether this key is one's too."""

    key: str
    others: tuple[str, ...] = ()
    earlier: bool = False

    def own(self, name: str) -> bool:
        """Of two keys of which one begins the other, a name is the longer one's."""
        longer = (key for key in self.others if key.startswith(f"{self.key}_"))
        return _under(name, self.key) and not any(_under(name, key) for key in longer)


def slots_in(uns: Mapping[str, Any], key: str) -> Slots:
    """uns: of an AnnData in memory or on disk."""
    fits = [name for name in uns if is_fit(uns[name])]
    return Slots(key, tuple(name for name in fits if name != key), key in fits)


def is_fit(element: Any) -> bool:
    return isinstance(element, Mapping) and all(mark in element for mark in MARKS)


def _under(name: str, key: str) -> bool:
    return name.startswith(f"{key}_") or name == f"X_{key}"
