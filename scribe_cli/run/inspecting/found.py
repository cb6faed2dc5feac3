"""Found: all that is known of an input once it has been looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...data.inspection import Tour
from ...data.selection import column_of
from ...data.source import Source
from . import columns
from .columns import Column
from .matrices import Matrix

QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}


@dataclass(frozen=True)
class Counts:
    """The matrix of counts. marked: {name: (G,)} sets of genes, as Tour sums them; dataset_key: as given, or None."""

    source: Source
    matrix: Matrix
    tour: Tour
    marked: dict[str, np.ndarray]
    columns: Sequence[Column]
    dataset_key: str | None

    @property
    def n_cells(self) -> int:
        return self.source.shape[0]

    @property
    def n_genes(self) -> int:
        return self.source.shape[1]

    @cached_property
    def library(self) -> dict[str, float]:
        return quantiles(self.tour.total)

    @property
    def empty_cells(self) -> int:
        return int((self.tour.total == 0).sum())

    @property
    def empty_genes(self) -> int:
        return int((self.tour.by_gene.total == 0).sum())

    def rare_genes(self, cells: int) -> int:
        """Genes seen in fewer cells."""
        return int((self.tour.by_gene.cells < cells).sum())

    def share(self, name: str) -> float:
        """Of all counts, those in the marked genes."""
        return float(self.tour.marked[name].sum() / self.tour.total.sum())

    @property
    def spread(self) -> float:
        """Library size of a rich cell (95 %) over that of a poor one (5 %), of cells with counts."""
        low, high = np.quantile(self.tour.total[self.tour.total > 0], [0.05, 0.95])
        return float(high / low)

    def of_kind(self, kind: str) -> list[Column]:
        return columns.of_kind(self.columns, kind)

    @cached_property
    def confounded(self) -> dict[str, str]:
        """{dataset column: the column of cell types that it coincides with}."""
        obs = self.source.obs
        return {
            d.name: t.name
            for d in self.of_kind("dataset")
            for t in reversed(self.of_kind("cell type"))
            if d.name != t.name and columns.confounded(obs, d, t)
        }


def columns_of(source: Source, tour: Tour, dataset_key: str | None) -> list[Column]:
    """Columns of obs that look like something, or are said to be the datasets. BadData for one that is not there."""
    # a true library size is larger than the totals of cells without what was added to them
    seen = columns.found(source.obs, tour.total - tour.marked["spike-in"])
    if dataset_key is None:
        return seen
    column_of(source.obs, dataset_key, str(source.path))
    return [columns.dataset_column(source.obs, dataset_key), *(c for c in seen if c.name != dataset_key)]


def quantiles(values: np.ndarray) -> dict[str, float]:
    return dict(zip(QUANTILES, map(float, np.quantile(values, list(QUANTILES.values()))), strict=True))


def twice(names: np.ndarray) -> list[str]:
    """Names that stand more than once."""
    return [name for name, n in Counter(names).items() if n > 1]
