"""Points: draws of a model's natural coordinates, on the cells and genes that are asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import jax
import numpy as np

from ..axes import CELL, GENE
from ..facts import Facts
from ..inference.posterior import blocks
from ..model import program
from ..model.spec import ModelSpec
from ..numerics import mixture
from ..padding import filled_cells_and_genes


@dataclass(frozen=True)
class Points:
    """Draws of a model's natural coordinates. Cells are of kinds: of a dataset, and with a label where labels guide.

    core: {coordinate: (draws, components or 1, kinds or 1, genes or 1)}, before capture; logit_gate: the same or None;
    log_weights: (draws, components, kinds or 1), None of one component; log_nu: (draws, cells) or None;
    kind_of_cell: (cells,), None where there is one kind.
    """

    core: dict[str, np.ndarray]
    logit_gate: np.ndarray | None = None
    log_weights: np.ndarray | None = None
    log_nu: np.ndarray | None = None
    kind_of_cell: np.ndarray | None = None

    @property
    def n_draws(self) -> int:
        return len(next(iter(self.core.values())))

    @property
    def n_components(self) -> int:
        return 1 if self.log_weights is None else self.log_weights.shape[1]

    @property
    def n_genes(self) -> int:
        return max(v.shape[3] for v in self._laws())

    @property
    def kinds(self) -> np.ndarray:
        """Those that have cells."""
        return np.zeros(1, int) if self.kind_of_cell is None else np.unique(self.kind_of_cell)

    def share(self, kind: int) -> float:
        """Of the cells that are of this kind."""
        return 1.0 if self.kind_of_cell is None else float((self.kind_of_cell == kind).mean())

    def genes(self, index) -> Points:
        """Some of the genes."""
        return self._taken(3, index)

    def cells(self, index) -> Points:
        """Some of the cells."""
        log_nu = None if self.log_nu is None else self.log_nu[:, index]
        kind = None if self.kind_of_cell is None else self.kind_of_cell[index]
        return replace(self, log_nu=log_nu, kind_of_cell=kind)

    def draws(self, index) -> Points:
        """Some of the draws."""
        weights, log_nu = (None if v is None else v[index] for v in (self.log_weights, self.log_nu))
        return replace(self._taken(0, index), log_weights=weights, log_nu=log_nu)

    def component(self, k: int) -> Points:
        """Cells that are all of one component."""
        return replace(self._taken(1, slice(k, k + 1)), log_weights=None)

    def of_kind(self, kind: int) -> Points:
        """The cells of one kind, as a model that knows no other has them."""
        if self.kind_of_cell is None:
            return self
        part = self._taken(2, slice(kind, kind + 1)).cells(self.kind_of_cell == kind)
        weights = part.log_weights
        kept = weights if weights is None or weights.shape[2] == 1 else weights[:, :, kind : kind + 1]
        return replace(part, log_weights=kept, kind_of_cell=None)

    def biological(self) -> Points:
        """Of counts before capture, without the gate."""
        return replace(self, logit_gate=None, log_nu=None)

    def with_kinds(self, kind_of_cell: np.ndarray | None) -> Points:
        """Of other cells, of these kinds; as it is where there is but one."""
        return self if self.kind_of_cell is None else replace(self, kind_of_cell=kind_of_cell)

    def singles(self) -> Iterator[Points]:
        """One component and one kind of cells at a time."""
        for kind in self.kinds:
            cells = self.of_kind(kind)
            yield from (cells.component(k) for k in range(self.n_components))

    def weight(self, k: int) -> np.ndarray | None:
        """(draws, 1) the weight of a component in the one kind of cells; None if there is no other component."""
        return None if self.log_weights is None else np.exp(self.log_weights[:, k])

    def _laws(self) -> list[np.ndarray]:
        return [*self.core.values(), *([] if self.logit_gate is None else [self.logit_gate])]

    def _taken(self, axis: int, index) -> Points:
        def take(v):
            return v if v.shape[axis] == 1 else v[(slice(None),) * axis + (index,)]

        gate = None if self.logit_gate is None else take(self.logit_gate)
        return replace(self, core={name: take(v) for name, v in self.core.items()}, logit_gate=gate)


def points_of(spec: ModelSpec, facts: Facts, draws: Mapping[str, np.ndarray]) -> Points:
    """Natural coordinates of draws, {parameter: (draws, rank-3 theta)}; facts: of all cells, a row each."""
    n = _natural(spec, facts, draws)
    of_genes = lambda v: v[..., : facts.sizes[GENE]]  # noqa: E731
    points = Points(
        core={name: of_genes(v) for name, v in n.core.items()},
        logit_gate=_if_any(n.logit_gate, of_genes),
        log_weights=_if_any(n.log_weights, lambda v: np.asarray(v)[..., 0]),
        log_nu=_if_any(n.log_nu, lambda v: np.asarray(v)[:, 0, : facts.sizes[CELL], 0]),
        kind_of_cell=_if_any(facts.arrays.get("dataset_of_cell"), np.asarray),
    )
    label = facts.arrays.get("annotation")
    return points if label is None else _guided(points, np.asarray(label), spec.annotation_confidence)


def _natural(spec: ModelSpec, facts: Facts, draws: Mapping[str, np.ndarray]):
    """Natural coordinates with an axis of draws, genes and cells filled up; some draws at a time."""
    sizes, parts = facts.filled().sizes, []
    at = jax.jit(jax.vmap(lambda thetas: program.natural(spec, program.from_thetas(spec, thetas))))
    for part in blocks(draws):
        some = {p.name: filled_cells_and_genes(draws[p.name][part], p.axes, sizes, 1) for p in spec.params}
        parts.append(jax.tree.map(np.asarray, at(some)))
    return jax.tree.map(lambda *v: np.concatenate(v), *parts)


def _guided(points: Points, label: np.ndarray, confidence: float) -> Points:
    """Kinds of cells by their labels too, the weights of each as the labels guide them; -1: of a cell without one."""
    n = points.n_components + 1
    every = np.tile(np.arange(-1, n - 1), points.log_weights.shape[2])
    guided = jax.vmap(lambda w: mixture.guided(w, every, confidence))(np.repeat(points.log_weights, n, 2)[..., None])
    spread = lambda v: v if v is None or v.shape[2] == 1 else np.repeat(v, n, 2)  # noqa: E731
    dataset = 0 if points.kind_of_cell is None else points.kind_of_cell
    core, gate = {name: spread(v) for name, v in points.core.items()}, spread(points.logit_gate)
    weights = np.asarray(guided)[..., 0]
    if points.kind_of_cell is not None and points.log_weights.shape[2] == 1:
        weights = np.tile(weights, points.kind_of_cell.max() + 1)
    return replace(points, core=core, logit_gate=gate, log_weights=weights, kind_of_cell=dataset * n + label + 1)


def _if_any(value, change: Callable):
    return None if value is None else change(value)
