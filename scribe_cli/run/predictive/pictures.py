"""The pictures of `scribe ppc`: statistics of all genes, totals of cells, and the histograms of a few genes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..fitting.misfit import STATISTICS

WORST, WELL = 6, 3  # genes whose histograms are drawn if none are named
MOST = 50  # histograms
GENES = ("mean_variance.png", "zero_fraction.png")
CELLS, P_VALUES = "cell_totals.png", "p_values.png"


def histogram_names(n: int) -> list[str]:
    """Of the pictures of n genes: their number, not their names, which are the data's."""
    return [f"histogram_{i + 1:02d}.png" for i in range(n)]


def names(n_histograms: int) -> list[str]:
    return [*GENES, CELLS, P_VALUES, *histogram_names(n_histograms)]


def made(
    genes: Mapping[str, np.ndarray],
    fails: np.ndarray,
    histogram: Mapping[str, np.ndarray],
    shown: Mapping[int, str],
    totals: Mapping[str, np.ndarray],
) -> dict[str, Callable[[Path], None]]:
    """{file: writes that picture}, each drawn when it is written.

    genes, histogram, totals: columns of the tables of some cells; shown: {place of a gene: its name}.
    """
    from ..figures import cell_totals, encode, histogram as of_gene, mean_variance, p_values, zero_fraction
    from ..figures.genes import GeneStatistic

    def statistic(name: str) -> GeneStatistic:
        return GeneStatistic(genes["mean_obs"], genes[f"{name}_obs"], genes[f"{name}_pred"], fails)

    def bands(place: int) -> of_gene.Bands:
        rows = histogram["gene"] == place
        columns = ("count_from", "count_to", "obs", "pred", "q05", "q95")
        return of_gene.Bands(*(histogram[c][rows] for c in columns))

    figures = {
        "mean_variance.png": lambda: mean_variance.mean_variance(statistic("var")),
        "zero_fraction.png": lambda: zero_fraction.zero_fraction(statistic("zero")),
        CELLS: lambda: cell_totals.cell_totals(totals["total_obs"], totals["total_q05"], totals["total_q95"]),
        P_VALUES: lambda: p_values.p_values({word: genes[f"{s}_p"] for s, word in STATISTICS.items()}),
    }
    for file, (place, name) in zip(histogram_names(len(shown)), shown.items(), strict=True):
        figures[file] = lambda place=place, name=name: of_gene.histogram(bands(place), name)
    return {file: lambda path, draw=draw: encode.save(draw(), path) for file, draw in figures.items()}
