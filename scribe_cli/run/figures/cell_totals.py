"""The total count of each cell against what the model predicts for it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLACK, MANY, SKY, WIDE, log_axis, one, picture, plain_ticks

MOST = 1500  # cells drawn; of more, evenly spaced ones
FOOT = 0.5  # where a total of zero stands on a logarithmic axis


@picture
def cell_totals(observed: np.ndarray, low: np.ndarray, high: np.ndarray) -> Figure:
    """(cells,) each: the total, and its predictive 5 and 95 %. Cells stand in the order of their totals."""
    figure, axes = one(WIDE, "cells, from the smallest total to the largest", "total count of the cell")
    order = np.argsort(observed, kind="stable")
    order = order[np.linspace(0, len(order) - 1, min(MOST, len(order))).round().astype(int)]
    at = np.arange(len(order)) * (len(observed) - 1) / max(1, len(order) - 1) + 1
    low, high, observed = (np.maximum(values[order], FOOT) for values in (low, high, observed))
    log_axis(axes.yaxis, observed)
    band = {"step": "mid", "color": SKY, "linewidth": 0, "label": "predicted, 5 to 95 %"}
    axes.fill_between(at, low, high, rasterized=len(at) > MANY, **band)
    axes.plot(at, observed, "-" if len(at) > MANY else ".", color=BLACK, label="observed")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    plain_ticks(axes.xaxis)
    axes.legend(loc="upper left")
    return figure
