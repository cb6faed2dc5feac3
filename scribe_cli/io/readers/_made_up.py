"""Names for cells or genes of a file that gives none."""

from __future__ import annotations


def made_up(kind: str, n: int) -> list[str]:
    return [f"{kind}_{i + 1}" for i in range(n)]


def notice(file: str, kind: str) -> str:
    return f"{file} gives no names of {kind}s: they are called {kind}_1, {kind}_2 and so on"
