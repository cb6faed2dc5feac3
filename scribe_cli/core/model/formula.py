"""Formula: a value computed from named others, on the log scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Formula:
    """`function(*inputs)`; the axes of the result are the union of its inputs'. `text` is for equations."""

    inputs: tuple[str, ...]
    function: Callable
    text: str

    def __call__(self, values):
        return self.function(*(values[name] for name in self.inputs))
