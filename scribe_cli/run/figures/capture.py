"""The capture probability of each cell against its library size."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from .style import BLUE, GREY, WIDE, legend, log_axis, one, picture, points


@picture
def capture(library: np.ndarray, low: np.ndarray, mid: np.ndarray, high: np.ndarray) -> Figure:
    """(cells,) each: counts in the cell, and the 5 %, middle and 95 % of its capture probability."""
    figure, axes = one(WIDE, "library size (counts of the cell)", "capture probability")
    seen = (library > 0) & (mid > 0)
    log_axis(axes.xaxis, library[seen])
    log_axis(axes.yaxis, mid[seen])
    if seen.any():
        _bars(axes, library[seen], low[seen], high[seen])
        points(axes, library[seen], mid[seen], BLUE, label="a cell: middle, and 5 to 95 %")
        legend(axes, "upper left")
    return figure


def _bars(axes: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Vertical lines. `Axes.vlines` measures each of thousands by itself, in a second."""
    ends = np.stack([np.column_stack([x, low]), np.column_stack([x, high])], 1)
    axes.add_collection(LineCollection(ends, color=GREY, linewidth=0.5, alpha=0.5, rasterized=True), autolim=False)
    axes.update_datalim(ends.reshape(-1, 2))
    axes.autoscale_view()
