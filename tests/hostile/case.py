"""A hostile or malformed input: how it is made, and how the command that is given it must end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """make(folder): makes the input there, the present folder too, and returns the arguments; code: the exit code;
    said: what the one line on stderr must hold."""

    make: Callable[[Path], list[str]]
    code: int
    said: str


def fit(data: str | Path, *more: str, recipe: str = "nbdm") -> list[str]:
    return ["fit", str(data), "--recipe", recipe, "--device", "cpu", "-q", *more]


def file(name: str, content: str | bytes, *more: str) -> Callable[[Path], list[str]]:
    """A fit of a file of this content."""

    def make(folder: Path) -> list[str]:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return fit(name, *more)

    return make
