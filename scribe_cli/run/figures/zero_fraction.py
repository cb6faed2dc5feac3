"""Share of cells without a count against mean, gene by gene."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .genes import GeneStatistic, clouds
from .style import GREY, WIDE, legend, log_axis, one, picture

SPARSE = 0.2  # mean of the rarest gene below which there are points at the top left, not at the foot


@picture
def zero_fraction(genes: GeneStatistic) -> Figure:
    """The statistic is the fraction of zeros. Genes without counts are not drawn."""
    figure, axes = one(WIDE, "mean count", "share of cells without a count")
    seen = genes.mean > 0
    log_axis(axes.xaxis, genes.mean[seen])
    axes.set_ylim(-0.03, 1.03)
    if seen.any():
        means = np.geomspace(genes.mean[seen].min(), genes.mean[seen].max(), 100)
        axes.plot(means, np.exp(-means), "--", color=GREY, label="Poisson", linewidth=1)
        clouds(axes, genes, seen)
        legend(axes, "lower left" if means[0] < SPARSE else "upper right")
    return figure
