"""Natural: a model at one point, as lanes see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

from ..axes import DATASET
from . import mixture


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Natural:
    """Core coordinates {coord: rank 3}, capture, gate and weights apart, None where the model has none.

    `row` says what sits in the middle slot of core, gate and weights: "cell", "dataset" or None. Gathering datasets to
    cells is the lane's business. confidence: in the labels of cells, if the facts hold any (`annotation`).
    """

    core: dict[str, Any]
    log_nu: Any = None
    logit_gate: Any = None
    log_weights: Any = None
    row: str | None = None
    confidence: float = 0.0

    def tree_flatten(self):
        return (self.core, self.log_nu, self.logit_gate, self.log_weights), (self.row, self.confidence)

    @classmethod
    def tree_unflatten(cls, still, children):
        return cls(*children, *still)

    def at_cells(self, kernel, facts):
        """(thinned core coordinates, logit gate, log weights) with datasets gathered to the cells of `facts`."""

        def gather(v):
            return v if v is None or self.row != DATASET else facts.to_cells(v)

        core = {k: gather(v) for k, v in self.core.items()}
        core = core if self.log_nu is None else kernel.thin(core, self.log_nu)
        return core, gather(self.logit_gate), self.weights(gather(self.log_weights), facts)

    def weights(self, log_weights, facts):
        """Log weights (component, cell or 1, 1) with what the labels of cells say."""
        if log_weights is None or self.confidence == 0.0 or "annotation" not in facts.arrays:
            return log_weights
        return mixture.guided(log_weights, facts.arrays["annotation"], self.confidence)
