"""Which genes to look at closely: those that are fitted worst, and some that are fitted well. Light: plain arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .misfit import SEEN, STATISTICS

SHOWN = 6  # genes of each kind
WELL = 0.3  # {key}_ppc_p above which a gene is fitted well


def worst_first(checks: Mapping[str, np.ndarray], p: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Indices `at` of genes ordered by p, then by how far out the worst statistic is.

    checks: {<statistic>_obs|_pred|_q05|_q95: (genes,)}; p: (genes,) the p of a gene, of {key}_ppc_p.
    """
    return at[np.lexsort((-distances(checks).max(0)[at], p[at]))]


def worst(checks: Mapping[str, np.ndarray], p: np.ndarray, empty: np.ndarray, n: int = SHOWN) -> np.ndarray:
    """Indices of the n genes that are fitted worst, whether they fail or not; none without counts (`empty`)."""
    return worst_first(checks, p, np.flatnonzero(~empty))[:n]


def well(checks: Mapping[str, np.ndarray], p: np.ndarray, empty: np.ndarray, n: int = SHOWN) -> np.ndarray:
    """Indices of at most n genes that are fitted well, none of them among the worst, from rare to frequent."""
    good = (p > WELL) & ~empty
    good[worst(checks, p, empty, n)] = False
    at = np.flatnonzero(good)
    if not len(at):
        return at
    mean = checks["mean_obs"]
    at = at[np.argsort(mean[at], kind="stable")]
    most = mean[at[-1]]
    wanted = np.geomspace(min(SEEN, most), most, n)  # rarer ones are zeros alone
    return at[np.unique(np.searchsorted(mean[at], wanted * (1 - 1e-9)))]


def distances(checks: Mapping[str, np.ndarray]) -> np.ndarray:
    """(statistics, genes): how far each statistic is from its prediction, in widths of its band."""
    return np.stack([
        np.abs(checks[f"{s}_obs"] - checks[f"{s}_pred"])
        / np.maximum(checks[f"{s}_q95"] - checks[f"{s}_q05"], 1e-12 + 1e-6 * np.abs(checks[f"{s}_pred"]))
        for s in STATISTICS
    ])
