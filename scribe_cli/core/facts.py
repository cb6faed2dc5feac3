"""Facts: what a program may know of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from .axes import CELL, GENE, SLOT
from .padding import filled, ladder, octave

# which axis each array that a prior may name runs along
ARRAY_AXIS = {"log_library": CELL, "dataset_of_cell": CELL, "annotation": CELL, "log_mu_hat": GENE}

CODES = ("dataset_of_cell", "annotation")  # whole numbers


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Facts:
    """Sizes (static), arrays that priors name (traced), and a weight per row of the cell axis.

    `weight` is a number or (rows,): C/B in a minibatch, the multiplicity where equal cells share a row,
    0 for padding. It scales cell sites, their entropy, and the likelihood's cell terms. `present` (genes,) is likewise
    1 for a gene and 0 for padding, None where all are genes.
    """

    sizes: Mapping[str, int]
    arrays: Mapping[str, Any] = field(default_factory=dict)
    weight: Any = 1.0
    present: Any = None

    def tree_flatten(self):
        return (dict(self.arrays), self.weight, self.present), tuple(sorted(self.sizes.items()))

    @classmethod
    def tree_unflatten(cls, sizes, children):
        return cls(dict(sizes), *children)

    def rows(self, index, weight) -> Facts:
        """The same facts on some rows of the cell axis."""
        arrays = {k: (v[index] if ARRAY_AXIS[k] == CELL else v) for k, v in self.arrays.items()}
        return Facts({**self.sizes, CELL: len(index)}, arrays, weight, self.present)

    def filled(self, size: Callable[[int], int] = octave) -> Facts:
        """The same facts (of NumPy arrays) with rows and genes that count for nothing, up to sizes that data often share: `size`

        of the rows.
        """
        n = {CELL: size(self.sizes[CELL]), GENE: ladder(self.sizes[GENE])}
        arrays = {k: filled(v, n[ARRAY_AXIS[k]]) for k, v in self.arrays.items()}
        weight = np.broadcast_to(np.asarray(self.weight, float), (self.sizes[CELL],))
        present = np.arange(n[GENE]) < self.sizes[GENE]
        return Facts({**self.sizes, **n}, arrays, filled(weight, n[CELL], value=0.0), present.astype(float))

    def array3(self, name: str):
        """An array in its rank-3 slot."""
        shape = [1, 1, 1]
        shape[SLOT[ARRAY_AXIS[name]]] = -1
        return self.arrays[name].reshape(shape)

    def to_cells(self, value):
        """A rank-3 value with datasets in its middle slot, gathered to the cells; of one row as it is."""
        return value[..., self.arrays["dataset_of_cell"], :] if value.shape[-2] > 1 else value

    def weight_of(self, axes):
        """What each element of a site with these axes counts for, shaped to multiply it."""
        weight = self.weight3() if CELL in axes else 1.0
        return weight * self.present[None, None] if GENE in axes and self.present is not None else weight

    def sum_of_genes(self, value):
        """A value's sum over its last slot, genes, kept as one of size 1; padding left out."""
        return (value if self.present is None else value * self.present[None, None]).sum(-1, keepdims=True)

    def weight3(self):
        """The weight, shaped to multiply a value with a cell axis."""
        return jax.numpy.reshape(jax.numpy.asarray(self.weight, float), (1, -1, 1))
