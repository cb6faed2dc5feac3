"""Facts: what a program may know of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax

from .axes import CELL, GENE, SLOT

# which axis each array that a prior may name runs along
ARRAY_AXIS = {"log_library": CELL, "dataset_of_cell": CELL, "annotation": CELL, "log_mu_hat": GENE}

CODES = ("dataset_of_cell", "annotation")  # whole numbers


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Facts:
    """Sizes (static), arrays that priors name (traced), and a weight per row of the cell axis.

    `weight` is a number or (rows,): C/B in a minibatch, the multiplicity where equal cells share a row,
    0 for padding. It scales cell sites, their entropy, and the likelihood's cell terms.
    """

    sizes: Mapping[str, int]
    arrays: Mapping[str, Any] = field(default_factory=dict)
    weight: Any = 1.0

    def tree_flatten(self):
        return (dict(self.arrays), self.weight), tuple(sorted(self.sizes.items()))

    @classmethod
    def tree_unflatten(cls, sizes, children):
        return cls(dict(sizes), *children)

    def rows(self, index, weight) -> Facts:
        """The same facts on some rows of the cell axis."""
        arrays = {k: (v[index] if ARRAY_AXIS[k] == CELL else v) for k, v in self.arrays.items()}
        return Facts({**self.sizes, CELL: len(index)}, arrays, weight)

    def array3(self, name: str):
        """An array in its rank-3 slot."""
        shape = [1, 1, 1]
        shape[SLOT[ARRAY_AXIS[name]]] = -1
        return self.arrays[name].reshape(shape)

    def to_cells(self, value):
        """A rank-3 value with datasets in its middle slot, gathered to the cells; of one row as it is."""
        return value[..., self.arrays["dataset_of_cell"], :] if value.shape[-2] > 1 else value

    def weight3(self):
        """The weight, shaped to multiply a value with a cell axis."""
        return jax.numpy.reshape(jax.numpy.asarray(self.weight, float), (1, -1, 1))
