"""The chains of one parameter: where they were, and how evenly they share its values."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from .style import BLACK, CHAINS, WIDE, framed, picture, plain, plain_ticks

MOST = 400  # draws drawn of each chain
BINS = 20


@picture
def chains(draws: np.ndarray, diverging: np.ndarray, title: str = "") -> Figure:
    """draws, diverging: (chain, draw). Above the traces, divergent draws marked; below the ranks."""
    figure = framed(WIDE, hspace=0.75)
    trace, ranks = figure.subplots(2, 1, height_ratios=(3, 2))
    n_chains, n = draws.shape
    at = np.unique(np.linspace(0, n - 1, min(MOST, n)).astype(int))
    ranked = np.argsort(np.argsort(draws, axis=None, kind="stable"), kind="stable").reshape(draws.shape)
    for i in range(n_chains):
        colour = CHAINS[i % len(CHAINS)]
        trace.plot(at + 1, draws[i, at], color=colour, linewidth=0.6, alpha=0.8)
        ranks.stairs(*np.histogram(ranked[i], BINS, (0, draws.size)), color=colour, label=f"chain {i + 1}")
    chain, draw = np.nonzero(diverging)
    trace.plot(draw + 1, draws[chain, draw], "x", color=BLACK, markersize=4, rasterized=len(draw) > MOST)
    trace.set(title=plain(title), xlabel="draw")
    ranks.axhline(n / BINS, color=BLACK, linestyle="--", linewidth=1)
    ranks.set(xlabel="rank among all draws", ylabel="draws", ylim=(0, None))
    if n_chains <= 4:
        ranks.legend(loc="lower center", ncols=n_chains, fontsize=8, handlelength=1.0)
    plain_ticks(trace.xaxis, trace.yaxis, ranks.xaxis, ranks.yaxis)
    return figure
