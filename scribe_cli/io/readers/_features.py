"""Features of a 10x matrix: which of them are genes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ...data.source import Rows
from ...errors import listed

GENE_EXPRESSION = "Gene Expression"


def gene_expression(types: Sequence[str], n: int, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) which features are genes, and a notice of the others (antibodies, guides). All, if none is said to be one.

    types: of each feature, or none at all; where: the file's name.
    """
    if len(types) != n or GENE_EXPRESSION not in types:
        return np.ones(n, bool), ()
    keep = np.array(types, object) == GENE_EXPRESSION
    others = Counter(t for t in types if t != GENE_EXPRESSION)
    if not others:
        return keep, ()
    several = listed(f"{count:,} {kind}" for kind, count in sorted(others.items()))
    return keep, (f"features of {where} that are no genes are left out: {several}",)


@dataclass(frozen=True)
class Columns:
    """Some columns of Rows. keep: (genes of `rows`,) which."""

    rows: Rows
    keep: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape[0], int(self.keep.sum())

    @property
    def stored(self) -> int:
        return self.rows.stored

    def read(self, start: int, stop: int) -> csr_array:
        return self.rows.read(start, stop)[:, self.keep]
