"""The table of genes that a reason stands against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..fitting import choice
from ..fitting.misfit import FAILS, STATISTICS
from .material import Material

LISTED = 200


@dataclass(frozen=True)
class Row:
    """A gene of the table; p: {key}_ppc_p; worst: the statistic furthest from its predictions, in words."""

    name: str
    reasons: str
    mean: float
    predicted: float
    p: float
    worst: str


def flagged(m: Material) -> np.ndarray:
    """Indices of the genes with a reason, the worst first."""
    at = np.flatnonzero([bool(reasons) for reasons in m.reasons])
    return choice.worst_first(m.checks(), m.columns["ppc_p"], at)


def rows(m: Material, at: np.ndarray) -> list[Row]:
    checks, p = m.checks(), m.columns["ppc_p"]
    furthest = np.array(list(STATISTICS))[choice.distances(checks).argmax(0)]
    found = []
    for i in at:
        s = furthest[i]
        side = "above" if checks[f"{s}_obs"][i] > checks[f"{s}_pred"][i] else "below"
        word = f"{STATISTICS[s]} {side} the predictions" if p[i] < FAILS else ""
        reasons = ", ".join(m.reasons[i])
        found.append(Row(m.genes[i], reasons, checks["mean_obs"][i], checks["mean_pred"][i], p[i], word))
    return found
