"""A room of a kind of thing: one file adds one thing, its `MEMBER`."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from pathlib import Path


def names(package: str) -> list[str]:
    """The modules of a room, from its files alone: nothing is imported."""
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0])
    return sorted(f.stem for f in folder.glob("*.py") if not f.stem.startswith("_"))


@functools.cache
def load(package: str) -> dict[str, object]:
    """{MEMBER.name: MEMBER} of every module of `package`."""
    members = [importlib.import_module(f"{package}.{name}").MEMBER for name in names(package)]
    return {m.name: m for m in members}
