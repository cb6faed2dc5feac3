"""Which predictive checks fail, counted. Light: the report counts them again from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc

# the statistics of a gene's counts that are checked, in words
STATISTICS = {"mean": "mean", "var": "variance", "zero": "share of zeros", "max": "largest count"}
FAILS = 0.01  # smallest two-sided p of the four, times four; of a cell's total two-sided p
SEEN = 0.1  # mean count of a gene below which the checks see little


@dataclass(frozen=True)
class Misfit:
    """Of `genes` genes with counts `failed` fail in some statistic; above, below: {statistic: in how many it fails

    because it is larger, or smaller, than the model's predictions}. share: of those that fail among the genes seen
    often enough to fail, with a mean count above SEEN, or among all where there are none. chance: that as many of these
    fail where the model is right.
    """

    genes: int
    failed: int
    share: float
    chance: float
    above: Mapping[str, int]
    below: Mapping[str, int]

    def both(self, statistic: str) -> int:
        return self.above[statistic] + self.below[statistic]


def of_genes(columns: Mapping[str, np.ndarray], empty: np.ndarray) -> Misfit:
    """columns: {<statistic>_p: (genes,) P(replicate > observed) + P(equal)/2, mean_obs: (genes,)}.

    empty: (genes,) whether a gene has no counts.
    """
    limit = FAILS / (2 * len(STATISTICS))
    p = {s: columns[f"{s}_p"][~empty] for s in STATISTICS}
    above, below = {s: v < limit for s, v in p.items()}, {s: 1 - v < limit for s, v in p.items()}
    failed = np.any([*above.values(), *below.values()], axis=0)
    often = columns["mean_obs"][~empty] > SEEN
    seen = failed[often] if often.any() else failed
    share = float(seen.mean()) if len(seen) else 0.0
    chance = float(bdtrc(seen.sum() - 1, len(seen), FAILS)) if seen.any() else 1.0
    count = lambda masks: {s: int(m.sum()) for s, m in masks.items()}  # noqa: E731
    return Misfit(len(failed), int(failed.sum()), share, chance, count(above), count(below))


def of_cells(total_p: np.ndarray) -> float:
    """The share of cells whose total is not as predicted; 1 % where the model is right. total_p: (cells,) as above."""
    return float((2 * np.minimum(total_p, 1 - total_p) < FAILS).mean())


def in_words(misfit: Misfit) -> str:
    """The statistics that fail most, each with where it lies: "variance above in 120 genes and below in 3"."""
    worst = sorted((s for s in STATISTICS if misfit.both(s)), key=misfit.both, reverse=True)
    parts = []
    for s in worst:
        sides = [f"{word} in {n:,}" for word, n in (("above", misfit.above[s]), ("below", misfit.below[s])) if n]
        parts.append(f"{STATISTICS[s]} {' and '.join(sides)}")
    return ", ".join(parts)
