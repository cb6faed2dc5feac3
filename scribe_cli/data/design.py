"""Design: which dataset a cell is of, and which component its label speaks for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Design:
    """datasets, components: their unique names; dataset_of_cell: (cells,) codes of datasets, None where there are none;

    annotation: (cells,) codes of components, -1 for a cell without a label, None where nothing is labelled.
    """

    datasets: tuple[str, ...] = ()
    dataset_of_cell: np.ndarray | None = None
    components: tuple[str, ...] = ()
    annotation: np.ndarray | None = None

    def of_cells(self, index: np.ndarray) -> Design:
        """Of some of the cells."""
        dataset, annotation = (None if v is None else v[index] for v in (self.dataset_of_cell, self.annotation))
        return replace(self, dataset_of_cell=dataset, annotation=annotation)

    @property
    def coinciding(self) -> list[tuple[str, str]]:
        """(dataset, component) of which the cells of the one are the cells with the label of the other."""
        if self.dataset_of_cell is None or self.annotation is None:
            return []
        both = np.zeros((len(self.datasets), len(self.components) + 1), np.int64)
        np.add.at(both, (self.dataset_of_cell, self.annotation), 1)
        n = both.sum(1)
        same = [(d, k) for d, k in zip(*np.nonzero(both[:, :-1]), strict=True) if both[d, k] == n[d] == both[:, k].sum()]
        return [(self.datasets[d], self.components[k]) for d, k in same]
