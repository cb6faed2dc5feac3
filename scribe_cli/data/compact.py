"""Counts kept in types no wider than they need: three to eight bytes a non-zero, where SciPy's own take eight or more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from .checks import index_type


@dataclass(frozen=True)
class Compact:
    """Counts (cells, genes) by rows, in order of gene, no zeros stored.

    pointers: (cells + 1,) int64; gene: (nnz,) uint16 or int32; count: (nnz,) uint8, uint16 or int32.
    """

    pointers: np.ndarray
    gene: np.ndarray
    count: np.ndarray
    n_genes: int

    @classmethod
    def of(cls, csr: csr_array) -> Compact:
        largest = int(csr.data.max(initial=0))
        count = next(kind for kind in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(kind).max)
        gene = np.uint16 if csr.shape[1] <= 1 << 16 else np.int32
        return cls(csr.indptr.astype(np.int64), csr.indices.astype(gene), csr.data.astype(count), csr.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.pointers) - 1, self.n_genes

    @cached_property
    def empty_genes(self) -> np.ndarray:
        """(genes,) whether a gene has no count."""
        seen = np.zeros(self.n_genes, bool)
        seen[self.gene] = True
        return ~seen

    @property
    def nnz(self) -> int:
        return int(self.pointers[-1])

    def release(self) -> None:
        """Give the memory of the counts back while others still hold this: how many there are is known on, the counts are not."""
        for name in ("gene", "count"):
            object.__setattr__(self, name, None)

    def csr(self) -> csr_array:
        """All of it as SciPy has it, int32 counts."""
        return self.rows(0, self.shape[0])

    def rows(self, start: int, stop: int) -> csr_array:
        """Cells start..stop as SciPy has them."""
        pointers = self.pointers[start : stop + 1]
        here = slice(pointers[0], pointers[-1])
        return self._csr(self.count[here], self.gene[here], pointers - pointers[0])

    def some(self, cells: np.ndarray) -> csr_array:
        """These cells, in this order, as SciPy has them."""
        size = np.diff(self.pointers)[cells]
        pointers = np.append(0, np.cumsum(size))
        at = np.arange(pointers[-1]) + np.repeat(self.pointers[cells] - pointers[:-1], size)
        return self._csr(self.count[at], self.gene[at], pointers)

    def _csr(self, count: np.ndarray, gene: np.ndarray, pointers: np.ndarray) -> csr_array:
        index = index_type(len(count))
        parts = count.astype(np.int32), gene.astype(index), pointers.astype(index)
        csr = csr_array(parts, shape=(len(pointers) - 1, self.n_genes))
        csr.has_canonical_format = True
        return csr


def stacked(parts: list[Compact]) -> Compact:
    """One below the other. `parts` is emptied while it is copied, so that the counts are never in memory twice."""
    if len(parts) == 1:
        return parts.pop()
    n_genes, nnz = parts[0].n_genes, sum(part.nnz for part in parts)
    pointers = np.append(0, np.cumsum(np.concatenate([np.diff(part.pointers) for part in parts])))
    gene = np.empty(nnz, parts[0].gene.dtype)
    count = np.empty(nnz, np.result_type(*(part.count.dtype for part in parts)))
    at = 0
    for part in _taken(parts):
        here = slice(at, at + part.nnz)
        gene[here], count[here], at = part.gene, part.count, here.stop
    return Compact(pointers, gene, count, n_genes)


def _taken(parts: list[Compact]) -> Iterable[Compact]:
    """The parts in order, each forgotten once the next is asked for."""
    parts.reverse()
    while parts:
        yield parts.pop()
