"""The counts at which predictive distributions are tabulated: columns, and the wider bins that are reported.

Every count up to 127 is a column of its own; above, columns are 1/64 of their count wide, far narrower than any
overdispersed law there. A gene takes as many of the leading columns as its draws reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SINGLE = 10  # counts below it are bins of their own; a bin above is a quarter of its first count wide
FINE = 64  # a column is 1/FINE of its first count wide
NARROWEST, LARGEST = 8, 2**40
GAUSS2 = 0.5 / np.sqrt(3.0)  # the two points of Gauss-Legendre, from the middle of a unit interval


@dataclass(frozen=True)
class Grid:
    """low, high: (columns,) first and last count of each column; bin: (columns,) the reported bin it lies in."""

    low: np.ndarray
    high: np.ndarray
    bin: np.ndarray

    @property
    def width(self) -> np.ndarray:
        return (self.high - self.low + 1).astype(float)

    @property
    def middle(self) -> np.ndarray:
        return 0.5 * (self.low + self.high)

    @property
    def n_single(self) -> int:
        """Columns of one count."""
        return int((self.width == 1).sum())

    @property
    def n_bins(self) -> int:
        return int(self.bin[-1]) + 1

    def first(self, columns: int) -> Grid:
        return Grid(self.low[:columns], self.high[:columns], self.bin[:columns])

    def points(self) -> np.ndarray:
        """Where a law is evaluated: every single count, then two points of each wider column."""
        wide = slice(self.n_single, None)
        shift = GAUSS2 * self.width[wide, None] * np.array([-1.0, 1.0])
        return np.concatenate([self.low[: self.n_single].astype(float), (self.middle[wide, None] + shift).ravel()])

    def column_of(self, count: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.low, count, side="right") - 1

    def bins(self) -> tuple[np.ndarray, np.ndarray]:
        """(first count, last count) of every reported bin."""
        start = np.flatnonzero(np.diff(self.bin, prepend=-1))
        return self.low[start], self.high[np.append(start[1:] - 1, len(self.low) - 1)]

    def in_bin(self) -> np.ndarray:
        """(columns, bins): 1 where a column lies in a bin."""
        return (self.bin[:, None] == np.arange(self.n_bins)).astype(float)


def widths() -> list[int]:
    """Numbers of columns that genes may take: about 8 x 2^i, each the end of a reported bin."""
    ends = np.append(np.flatnonzero(np.diff(ALL.bin)) + 1, len(ALL.bin))
    wanted = NARROWEST * 2 ** np.arange(int(np.log2(len(ALL.bin) / NARROWEST)) + 1)
    return sorted({int(ends[np.searchsorted(ends, w)]) for w in wanted} | {len(ALL.bin)})


def _all() -> Grid:
    columns, count, owner = [], 0, 0
    while count <= LARGEST:
        last = count if count < SINGLE else count + count // 4 - 1
        while count <= last:
            stop = min(count + max(1, count // FINE) - 1, last)
            columns.append((count, stop, owner))
            count = stop + 1
        owner += 1
    return Grid(*np.array(columns).T)


ALL = _all()
