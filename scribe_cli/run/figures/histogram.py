"""The counts of one gene: observed cells against the predictive band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLACK, BLUE, SKY, SMALL, one, picture, plain_ticks

LINEAR = 10  # counts up to which a long axis is linear; logarithmic beyond
FEW = 30  # largest count up to which all of it is linear
SPAN = 8  # and so is an axis that ends at less than so many times its start


@dataclass(frozen=True)
class Bands:
    """(bins,) each, of one gene: the counts first..last of a bin; the numbers of cells in it."""

    first: np.ndarray
    last: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def reached(self) -> Bands:
        """Without the bins before the first that any cell reaches, where that one is not near zero anyway."""
        start = int(np.argmax((self.observed > 0) | (self.high > 0)))
        return self if self.first[start] <= LINEAR else Bands(*(v[start:] for v in vars(self).values()))


@picture
def histogram(bands: Bands, title: str = "") -> Figure:
    """Numbers of cells per count on a square-root axis, on which they scatter alike everywhere."""
    figure, axes = one(SMALL, "count", "cells", title)
    bands = bands.reached()
    edges = np.append(bands.first, bands.last[-1] + 1) - 0.5
    width = bands.last - bands.first + 1
    low, high, predicted, observed = (v / width for v in (bands.low, bands.high, bands.predicted, bands.observed))
    if (width > 1).any():
        axes.set_ylabel("cells per count")
    axes.set_yscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    axes.stairs(high, edges, baseline=low, fill=True, color=SKY, alpha=0.6, label="5 to 95 %")
    axes.stairs(predicted, edges, color=BLUE, baseline=None, label="predicted")
    axes.plot((bands.first + bands.last) / 2, observed, ".", color=BLACK, markersize=5, label="observed")
    _counts(axes, edges)
    _cells(axes, 1.05 * max(high.max(), observed.max(), predicted.max(), 1e-9))
    axes.legend(loc="best", fontsize=8, handlelength=1.2)
    return figure


def _counts(axes, edges: np.ndarray) -> None:
    """The horizontal axis: linear where it is short."""
    start, end = edges[0], edges[-1]
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if end > max(FEW, SPAN * start):
        axes.set_xscale("symlog", linthresh=LINEAR, linscale=1.0)
        axes.minorticks_off()
        decades = range(1, int(np.log10(end)) + 1)
        axes.set_xticks([t for t in (0, 5, *(t for k in decades for t in (10**k, 3 * 10**k))) if start <= t <= end])
    axes.set_xlim(start, end)
    plain_ticks(axes.xaxis)


def _cells(axes, top: float) -> None:
    """The vertical axis: ticks that stand apart on the scale of roots."""
    digits = 1 - int(np.ceil(np.log10(top)))
    axes.set_ylim(0, top)
    axes.set_yticks(sorted({round(top * share**2, digits) for share in (0, 0.3, 0.65, 0.95)}))
    plain_ticks(axes.yaxis)
