"""Natural: a model at one point, as lanes see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from ..axes import DATASET


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Natural:
    """Core coordinates {coord: rank 3}, capture, gate and weights apart, None where the model has none.

    `row` says what sits in the core's middle slot: "cell", "dataset" or None. Gathering datasets to cells is the
    lane's business.
    """

    core: dict[str, Any]
    log_nu: Any = None
    logit_gate: Any = None
    log_weights: Any = None
    row: str | None = None

    def tree_flatten(self):
        return (self.core, self.log_nu, self.logit_gate, self.log_weights), self.row

    @classmethod
    def tree_unflatten(cls, row, children):
        return cls(*children, row)

    def at_cells(self, kernel, facts):
        """(thinned core coordinates, logit gate) with datasets gathered to the cells of `facts`."""

        def gather(v):
            in_dataset = self.row == DATASET and v is not None and v.shape[-2] > 1
            return v[..., facts.arrays["dataset_of_cell"], :] if in_dataset else v

        core = {k: gather(v) for k, v in self.core.items()}
        return core if self.log_nu is None else kernel.thin(core, self.log_nu), gather(self.logit_gate)
