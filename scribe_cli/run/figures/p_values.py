"""Predictive p-values of all genes, statistic by statistic: flat where the model is right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .style import BLACK, BLUE, WIDE, framed, picture, plain_ticks

BINS = 20


@picture
def p_values(by_statistic: Mapping[str, np.ndarray]) -> Figure:
    """{statistic in words: (genes,) P(replicate > observed) + P(equal)/2}, four of them or fewer."""
    figure = framed(WIDE, hspace=0.45, wspace=0.3)
    panels = figure.subplots(2, 2, sharex=True, squeeze=False)
    for axes, (name, p) in zip(panels.ravel(), by_statistic.items(), strict=False):
        axes.stairs(*np.histogram(p, BINS, (0, 1)), fill=True, color=BLUE)
        axes.axhline(len(p) / BINS, color=BLACK, linestyle="--", linewidth=1)
        axes.set_title(name)
        plain_ticks(axes.xaxis, axes.yaxis)
    for axes in panels[-1]:
        axes.set_xlabel("p")
    for axes in panels[:, 0]:
        axes.set_ylabel("genes")
    return figure
