"""Which lane a model takes: the cheapest legal one, or the dense one for audits."""

from __future__ import annotations

from . import lanes
from .lanes import Lane


def legal(spec) -> list[Lane]:
    """All lanes that sum this model, cheapest first."""
    return sorted((lane for lane in lanes.load().values() if lane.legal(spec)), key=lambda lane: lane.cost)


def choose(spec, engine: str = "auto") -> Lane:
    """`engine` auto: the cheapest; dense: the reference."""
    return legal(spec)[0] if engine == "auto" else lanes.load()[engine]
