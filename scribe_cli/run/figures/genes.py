"""A statistic of each gene against its mean: what was counted, and what the model predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from .style import BLACK, BLUE, VERMILLION, points


@dataclass(frozen=True)
class GeneStatistic:
    """(genes,) each: the observed mean, the statistic observed and predicted, and whether the gene fails its checks."""

    mean: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    fails: np.ndarray


def clouds(axes: Axes, genes: GeneStatistic, seen: np.ndarray) -> None:
    """Observations, with predictions above them; those that fail have their own mark. seen: which are drawn."""
    good, bad = seen & ~genes.fails, seen & genes.fails
    for mask, values, colour, marker, label in (
        (good, genes.observed, BLUE, ".", "observed"),
        (bad, genes.observed, VERMILLION, "x", "observed, check failed"),
        (seen, genes.predicted, BLACK, "_", "predicted"),
    ):
        if mask.any():
            points(axes, genes.mean[mask], values[mask], colour, marker, label)
