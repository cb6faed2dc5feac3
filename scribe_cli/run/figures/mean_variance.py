"""Variance against mean, gene by gene."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .genes import GeneStatistic, clouds
from .style import GREY, WIDE, legend, log_axis, one, picture


@picture
def mean_variance(genes: GeneStatistic) -> Figure:
    """The statistic is the variance of the counts. Genes without counts are not drawn: both axes are logarithmic."""
    figure, axes = one(WIDE, "mean count", "variance of the count")
    seen = (genes.mean > 0) & (genes.observed > 0)
    log_axis(axes.xaxis, genes.mean[seen])
    log_axis(axes.yaxis, genes.observed[seen])
    if seen.any():
        ends = np.array([genes.mean[seen].min(), genes.mean[seen].max()])
        axes.plot(ends, ends, "--", color=GREY, label="variance = mean (Poisson)", linewidth=1)
        clouds(axes, genes, seen)
        legend(axes, "upper left")
    return figure
