"""Problem: a model on data, ready for any engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..axes import CELL, GENE
from ..facts import Facts
from ..model import program
from ..model.spec import ModelSpec
from ..numerics import mixture
from ..numerics.lanes import Lane
from ..padding import filled_cells_and_genes


@dataclass(frozen=True)
class Minibatch:
    """How a lane that takes some of the cells gets them: `read(rows)` gives counts (rows, genes) of those cells."""

    size: int
    read: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """A log density of thetas, `log_joint(thetas, facts, stats)`, and what it is evaluated on.

    complete_joint: the same with the components of cells held at their probabilities, for curvatures; halves: where the
    log-likelihood is linear in two halves, these and the log prior (program.halves), else None.

    facts, stats: of the rows that inference runs on; cells: the facts of all cells, one row each;
    row_of_cell: (cells,) the row each cell shares, or None where every cell is its own row; where rows are shared, rows and
    genes are filled up with some that count for nothing (Facts.filled).
    centred: whether the z of hierarchies stand for the values around their locations (program.Context);
    minibatch: where the whole is never evaluated at once, then `stats` is empty.
    """

    spec: ModelSpec
    lane: Lane
    facts: Facts
    stats: Any
    cells: Facts
    row_of_cell: np.ndarray | None = None
    minibatch: Minibatch | None = None
    centred: bool = False
    log_joint: Callable = field(init=False)
    complete_joint: Callable = field(init=False)
    halves: Callable | None = field(init=False)
    sites: dict = field(init=False)

    def __post_init__(self):
        joint = lambda mix: jax.jit(program.log_joint(self.spec, self.lane, mix, self.centred))  # noqa: E731
        halves = program.halves(self.spec, self.lane, self.centred)
        object.__setattr__(self, "log_joint", joint(mixture.marginal))
        object.__setattr__(self, "complete_joint", joint(mixture.complete) if self.spec.mixed else self.log_joint)
        object.__setattr__(self, "halves", halves and jax.jit(halves))
        object.__setattr__(self, "sites", program.sites(self.spec, self.facts))

    def has_cells(self, site: str) -> bool:
        return CELL in self.sites[site].axes

    def weight_of(self, site: str):
        """What each element of a site counts for, to multiply it: multiplicities of cells, 0 for padding."""
        return self.facts.weight_of(self.sites[site].axes)

    def weights(self, values: dict) -> dict:
        """`weight_of` each site as large as its values, {site: array}."""
        return {site: jnp.broadcast_to(self.weight_of(site), v.shape) for site, v in values.items()}

    @property
    def apart(self) -> bool:
        """Whether each cell has a row of its own."""
        return self.row_of_cell is None or len(np.unique(self.row_of_cell)) == self.cells.sizes[CELL]

    def filled(self, values: dict) -> dict:
        """Site arrays of the rows and genes there are, as long as those of the problem."""
        fill = lambda name, v: filled_cells_and_genes(v, self.sites[name].axes, self.facts.sizes)  # noqa: E731
        return {name: jnp.asarray(fill(name, v)) for name, v in values.items()}

    def by_cell(self, values: dict) -> dict:
        """Site arrays on rows, spread to one row per cell; padding left out."""
        if self.row_of_cell is None:
            return dict(values)
        n_genes = self.cells.sizes[GENE]
        spread = {n: (np.asarray(v)[:, self.row_of_cell] if self.has_cells(n) else v) for n, v in values.items()}
        return {n: (np.asarray(v)[:, :, :n_genes] if GENE in self.sites[n].axes else v) for n, v in spread.items()}


def purpose_key(seed: int, purpose: str):
    """A key of its own for each purpose, never a carried split."""
    number = int.from_bytes(purpose.encode()[:4].ljust(4, b"\0"), "big") & 0x7FFFFFFF
    return jax.random.fold_in(jax.random.PRNGKey(seed), number)


def normals(key, shapes: dict[str, tuple[int, ...]]) -> dict:
    """{name: standard normal draws}. One vector for all of them: a random program of each would take long to compile."""
    names = sorted(shapes)
    ends = np.cumsum([math.prod(shapes[name]) for name in names])
    parts = jnp.split(jax.random.normal(key, (int(ends[-1]),)), ends[:-1])
    return {name: part.reshape(shapes[name]) for name, part in zip(names, parts, strict=True)}
