"""Sizes and arrays filled up, so that data of similar size have the same shapes and with them the same compiled programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from .axes import CELL, GENE, SLOT, Axes

STEPS = 4  # sizes between two powers of two
LARGE = 2**15
MANY = 2**22  # entries of sparse matrices, of which those that fill up are never visited and cost but their memory
FALL = 1.8  # how the genes with a count of j or more fall with j: in 10x data from 1.5 to 2
ROWS = 2**9  # three times so many at least, where cells share a row: small data differ most in that, and fewer save no time


def ladder(n: int, steps: int = STEPS) -> int:
    """The least of {1, 1.25, 1.5, 1.75} x 2^k, or those of as many `steps`, that is a whole number and at least n; 0 for 0."""
    if n <= steps:
        return n
    step = 2 ** ((n - 1).bit_length() - 1) // steps
    return math.ceil(n / step) * step if step else n


def octave(n: int, least: int = 0, large: int = LARGE) -> int:
    """The power of two above it, for sizes that nobody chose, such as the number of distinct totals: like data seldom lie to

    either side of one. Past `large` work counts for more than compiling, and it is the ladder's; 0 for 0, else at least `least`.
    """
    if n > large:
        return ladder(n)
    return max(1 << (n - 1).bit_length(), least) if n else 0


def filled(values, n: int, axis: int = -1, value=None) -> np.ndarray:
    """`values` (NumPy) with `n` along an axis: what is added is `value`, or a copy of the last."""
    values = np.asarray(values)
    missing = n - values.shape[axis]
    if missing == 0:
        return values
    width = [(0, missing if i == axis % values.ndim else 0) for i in range(values.ndim)]
    return np.pad(values, width, mode="edge") if value is None else np.pad(values, width, constant_values=value)


def filled_cells_and_genes(values, axes: Axes, sizes: Mapping[str, int], lead: int = 0) -> np.ndarray:
    """A rank-3 value (behind `lead` axes, before others) with these axes, as long along cells and genes as `sizes` are."""
    for axis in {CELL, GENE} & set(axes):
        values = filled(values, sizes[axis], lead + 3 + SLOT[axis])
    return np.asarray(values)


def of_kinds(n: int) -> int:
    """Rows for n distinct kinds of cells, three times a power of two: some thousands of cells have near such a power of totals."""
    return 3 * octave(-(-n // 3), ROWS)


def profile(sizes, n: int) -> list[int]:
    """Sizes of a falling row, such as how many of n genes have a count of 1 or more, of 2 or more, ..., each at least as large:

    n times the least power law (s/j)^FALL that is nowhere below them, s being one of few. One number then makes the shapes.
    """
    if not n:
        return [0] * len(sizes)
    place = np.arange(1, len(sizes) + 1)
    needed = (place * (np.asarray(sizes) / n) ** (1.0 / FALL)).max()
    steps = STEPS * FALL  # of s between two powers of two: so many of the sizes
    spread = 2.0 ** (math.ceil(steps * math.log2(max(needed, 1.0)) - 1e-9) / steps)
    return [math.ceil(n * min(1.0, (spread / j) ** FALL)) for j in place]


def on_ladder(values) -> np.ndarray:
    """An array with every axis filled up by zeros."""
    for axis, n in enumerate(np.shape(values)):
        values = filled(values, ladder(n), axis, 0.0)
    return np.asarray(values)


def each(function: Callable, values) -> np.ndarray:
    """A compiled function of every value by itself, of (rows,) values."""
    n = len(values)
    return np.asarray(function(filled(values, of_kinds(n))))[:n]


def cut(values, shape) -> np.ndarray:
    """The first `shape` of the last axes of an array."""
    return np.asarray(values)[(..., *(slice(n) for n in shape))]
