"""Source: one matrix of one input, as its reader found it. Values are raw: nothing is checked here but the shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

SMALLEST_BLOCK = 2048
BLOCK_VALUES = 2**22


class Rows(Protocol):
    """Where the numbers lie. shape: (cells, genes); stored: values the file holds (dense: all of them)."""

    shape: tuple[int, int]
    stored: int

    def read(self, start: int, stop: int) -> csr_array:
        """Cells start..stop as the file has them, its own dtype, indices checked against the shape."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Rows of a file that is not laid out by cell: loaded and turned once, when first read."""

    shape: tuple[int, int]
    stored: int
    load: Callable[[], csr_array]

    @cached_property
    def csr(self) -> csr_array:
        return self.load()

    def read(self, start: int, stop: int) -> csr_array:
        return self.csr[start:stop]


@dataclass(frozen=True)
class Source:
    """Shape, names, annotation and an iterator over chunks of cells.

    element: "X", "layers/<name>" or "raw/X"; elements: all there are; reopen: the same input at another one;
    obs and var: indexed by the names as the file has them, object dtype, never nullable strings;
    transposed: the file holds genes x cells where its format says cells x genes (--transpose);
    notices: what the reader did that a user should know; warnings: {name: text};
    parts: of several inputs joined, whose `path` then is their names with + between, for messages alone.
    """

    path: Path
    format: str
    element: str
    rows: Rows
    obs: pd.DataFrame
    var: pd.DataFrame
    elements: tuple[str, ...]
    reopen: Callable[[str], Source]
    transposed: bool = False
    notices: tuple[str, ...] = ()
    warnings: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape

    @property
    def cell_names(self) -> np.ndarray:
        return self.obs.index.to_numpy()

    @property
    def gene_names(self) -> np.ndarray:
        return self.var.index.to_numpy()

    @property
    def place(self) -> str:
        """File and matrix, for messages."""
        return f"{self.path} ({self.element})"

    @property
    def block(self) -> int:
        """Rows of a block of the plan, from the file alone."""
        return block_rows(self.shape[0], self.rows.stored)

    @property
    def files(self) -> tuple[Path, ...]:
        """The path of every input."""
        return tuple(part.source.path for part in self.parts) or (self.path,)

    def at(self, row: int, column: int) -> tuple[Source, int, int]:
        """The input that holds an entry, and where it stands in that."""
        for part in self.parts:
            if row < part.source.shape[0]:
                return part.source, row, int(part.columns[column])
            row -= part.source.shape[0]
        return self, row, column

    def alternatives(self) -> list[str]:
        return [e for e in self.elements if e != self.element]

    def read(self, start: int, stop: int) -> csr_array:
        return self.rows.read(start, stop)

    def chunks(self) -> Iterator[tuple[int, csr_array]]:
        """(first row, rows) of each block of the plan, in order."""
        for start, stop in blocks(self.shape[0], self.block):
            yield start, self.read(start, stop)


@dataclass(frozen=True)
class Part:
    """One of several inputs. columns: where it has each gene of the whole."""

    source: Source
    columns: np.ndarray

    @cached_property
    def whole(self) -> bool:
        return np.array_equal(self.columns, np.arange(self.source.shape[1]))

    def read(self, start: int, stop: int) -> csr_array:
        rows = self.source.read(start, stop)
        return rows if self.whole else rows[:, self.columns]


def block_rows(n_rows: int, stored: int) -> int:
    """2,048 x 2^j rows, the largest with a mean of at most 2^22 stored values (ENGINE.md, Statistics that merge).

    Float sums are bit-equal only under one plan, so it depends on the file and on nothing else.
    """
    rows = SMALLEST_BLOCK
    while rows < n_rows and 2 * rows * stored <= BLOCK_VALUES * n_rows:
        rows *= 2
    return rows


def blocks(n_rows: int, rows: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the blocks of `rows` rows."""
    for start in range(0, n_rows, rows):
        yield start, min(start + rows, n_rows)
