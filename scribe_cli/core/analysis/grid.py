"""The counts at which predictive distributions are tabulated: columns, and the wider bins that are reported.

Every count up to 127 is a column of its own; above, columns are 1/64 of their count wide, narrower than an overdispersed
law there. For laws that are narrower still there is a grid of columns 1/1024 wide. The reported bins of both are the
same. A gene takes as many of the leading columns as its draws reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SINGLE = 10  # counts below it are bins of their own; a bin above is a quarter of its first count wide
COARSE, FINE = 64, 1024  # parts of their first count that columns are wide
FEWEST, LARGEST = 8, 2**40
GAUSS2 = 0.5 / np.sqrt(3.0)  # the two points of Gauss-Legendre, from the middle of a unit interval


@dataclass(frozen=True)
class Grid:
    """low, high: (columns,) first and last count of each column; bin: (columns,) the reported bin it lies in."""

    low: np.ndarray
    high: np.ndarray
    bin: np.ndarray

    @cached_property
    def width(self) -> np.ndarray:
        return (self.high - self.low + 1).astype(float)

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @cached_property
    def n_single(self) -> int:
        """Leading columns of one count."""
        return int(np.append(np.flatnonzero(self.width > 1), len(self.low))[0])

    @property
    def n_bins(self) -> int:
        return int(self.bin[-1]) + 1

    def first(self, columns: int) -> Grid:
        return Grid(self.low[:columns], self.high[:columns], self.bin[:columns])

    @cached_property
    def points(self) -> np.ndarray:
        """Where a law is evaluated: every single count, then two points of each wider column."""
        wide = slice(self.n_single, None)
        shift = GAUSS2 * self.width[wide, None] * np.array([-1.0, 1.0])
        return np.concatenate([self.low[: self.n_single].astype(float), (self.middle[wide, None] + shift).ravel()])

    def column_of(self, count: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.low, count, side="right") - 1

    def bin_of(self, count: np.ndarray) -> np.ndarray:
        """The reported bin that each count lies in."""
        return self.bin[self.column_of(count)]

    @cached_property
    def slices(self) -> list[slice]:
        """The columns of each reported bin."""
        edges = np.append(np.flatnonzero(np.diff(self.bin, prepend=-1)), len(self.bin))
        return [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """(first count, last count) of every reported bin."""
        return np.array([self.low[s][0] for s in self.slices]), np.array([self.high[s][-1] for s in self.slices])

    def in_bin(self) -> np.ndarray:
        """(columns, bins): 1 where a column lies in a bin."""
        return (self.bin[:, None] == np.arange(self.n_bins)).astype(float)


def sized(grid: Grid, count: np.ndarray) -> np.ndarray:
    """The number of columns, FEWEST or more, up to the end of the bin that each count lies in, or of the last bin."""
    stops = np.array([s.stop for s in grid.slices])
    bins = np.searchsorted(grid.bins()[1], count)
    return np.maximum(stops[np.minimum(bins, len(stops) - 1)], FEWEST)


def sizes(grid: Grid) -> list[int]:
    """Numbers of columns that genes may take: each half as many again as the one before, and where a bin ends."""
    ends = [b.stop for b in grid.slices]
    found = [next(e for e in ends if e >= FEWEST)]
    while found[-1] < ends[-1]:
        found.append(next((e for e in ends if e >= 1.5 * found[-1]), ends[-1]))
    return found


def _all(parts: int) -> Grid:
    columns, count, owner = [], 0, 0
    while count <= LARGEST:
        last = count if count < SINGLE else count + count // 4 - 1
        while count <= last:
            stop = min(count + max(1, count // parts) - 1, last)
            columns.append((count, stop, owner))
            count = stop + 1
        owner += 1
    return Grid(*np.array(columns).T)


ALL, NARROW = _all(COARSE), _all(FINE)
