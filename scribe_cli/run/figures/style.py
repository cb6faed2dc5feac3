"""What all pictures share: colours that colour-blind people can tell apart, sizes, axes, words safe to draw."""

from __future__ import annotations

import functools
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Okabe and Ito (2008); every colour comes with a shape, a line style or a word of its own
BLUE, VERMILLION, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "#737373"
SKY, GREEN, ORANGE, PURPLE = "#56B4E9", "#009E73", "#E69F00", "#CC79A7"
CHAINS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, GREY)
WIDE, SMALL = (4.6, 3.3), (3.1, 2.3)  # inches
MANY = 200  # points beyond which they are drawn as an image
RC = {
    "text.parse_math": False,  # a gene may be called $x_1
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.dpi": 100,
    "lines.linewidth": 1.4,
}
SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def picture(function: Callable[..., Figure]) -> Callable[..., Figure]:
    """A function that draws, in the style of the house whatever the user's own settings are."""

    @functools.wraps(function)
    def styled(*args, **kwargs) -> Figure:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(RC)
            return function(*args, **kwargs)

    return styled


def one(size: tuple[float, float], x: str, y: str, title: str = "") -> tuple[Figure, Axes]:
    """A figure with one set of axes."""
    figure = framed(size, top=0.3 if title else 0.12)
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=plain(title))
    return figure, axes


def framed(size: tuple[float, float], top: float = 0.3, **between: float) -> Figure:
    """An empty figure with room for labels: a fixed frame costs a third less time than one that is measured.

    top: inches; between: hspace, wspace.
    """
    figure, (width, height) = Figure(figsize=size), size
    figure.subplots_adjust(0.68 / width, 0.52 / height, 1 - 0.12 / width, 1 - top / height, **between)
    return figure


def plain(text: str) -> str:
    """A name as it can be drawn: in one line, without control characters, not longer than the picture."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return shown if len(shown) <= 40 else f"{shown[:39]}\u2026"


def number(value: float, _=None) -> str:
    """A tick's number in few letters: 0.01, 1, 30, 2k, 1.5M."""
    for size, suffix in SUFFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}".replace("-", "\u2212")


def plain_ticks(*axes) -> None:
    """Numbers without offsets or powers on axes that are not logarithmic."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(number))


def log_axis(axis, values: np.ndarray) -> None:
    """A logarithmic axis for these positive values whose ticks are plain numbers."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    close = values.size > 0 and values.max() < 100 * values.min()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if close else (1,), numticks=7))
    axis.set_major_formatter(FuncFormatter(number))
    axis.set_minor_formatter(NullFormatter())


def points(axes: Axes, x: np.ndarray, y: np.ndarray, colour: str, marker: str = ".", label: str = "") -> None:
    """A cloud of points; many of them are smaller, and an image in the file."""
    many = len(x) > MANY
    size = 2.5 if many else 5.0
    axes.plot(x, y, marker, color=colour, markersize=size, markeredgewidth=0.8, label=label, rasterized=many, alpha=0.7)


def legend(axes: Axes, place: str) -> None:
    """The legend of a cloud, with marks that can be seen however small the points are."""
    for handle in axes.legend(loc=place, markerscale=2.0).legend_handles:
        handle.set_alpha(1.0)
