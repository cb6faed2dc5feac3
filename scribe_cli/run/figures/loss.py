"""The loss of an optimisation, step by step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .style import BLACK, SKY, WIDE, legend, one, picture, plain_ticks

MOST = 1500  # points drawn
WINDOW = 0.02  # of the steps that a smoothed value is the mean of


@picture
def loss(losses: np.ndarray) -> Figure:
    """(steps,) minus the ELBO, noisy, in nats above the lowest smoothed value."""
    figure, axes = one(WIDE, "step", "loss above its lowest (nats)")
    width = max(1, int(WINDOW * len(losses)))
    smooth = np.convolve(losses, np.ones(width) / width, "valid")
    above, smooth = losses - smooth.min(), smooth - smooth.min()
    at = np.unique(np.linspace(0, len(losses) - 1, min(MOST, len(losses))).astype(int))
    axes.plot(at + 1, above[at], ".", color=SKY, markersize=3, label="each step", rasterized=True)
    axes.plot(np.arange(len(smooth)) + 1 + (width - 1) / 2, smooth, color=BLACK, label="smoothed")
    # the first steps may lie far above all others
    low, high = np.quantile(above, [0.0, 0.99])
    axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.1 * (high - low) + 1e-9)
    plain_ticks(axes.xaxis, axes.yaxis)
    legend(axes, "upper right")
    return figure
