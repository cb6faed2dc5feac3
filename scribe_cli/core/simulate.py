"""Counts from a model: parameters drawn from the priors, or given, and counts cell by cell (CONTRACT 1, simulate)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from numpyro import handlers
from scipy.sparse import csr_array

from .analysis import parameters, sampling
from .axes import CELL, DATASET, GENE, Axes, squeezed
from .facts import Facts
from .inference.problem import purpose_key
from .model import derive, program
from .model.spec import ModelSpec, Prior
from .numerics.natural import Natural

LIBRARY_SHARE = 0.05  # of M_0: the library size of a cell where there are no data (MODELS.md 3)


@dataclass(frozen=True)
class Truth:
    """A parameter that a simulation used, sampled or derived: its axes and its value in its natural domain."""

    axes: Axes
    value: np.ndarray


@dataclass(frozen=True)
class Simulation:
    """A model at one point, x: {sampled parameter: log-scale value}. `counts` may be called again: the seed fixes them,

    whatever the chunks and threads.
    """

    spec: ModelSpec
    facts: Facts
    natural: Natural
    x: Mapping[str, Any]
    seed: int

    def truth(self) -> dict[str, Truth]:
        """{parameter: Truth} of everything the model reports."""
        values = derive.values(self.spec, self.x)
        axes = {row.name: row.axes for row in derive.reported(self.spec)}
        sizes = self.facts.sizes
        return {n: Truth(axes[n], np.asarray(v).reshape(squeezed(axes[n], sizes))) for n, v in values.items()}

    def components(self) -> np.ndarray | None:
        """(cells,) the component of each cell; None of a model that is no mixture."""
        return sampling.components(self.spec, self.natural, self.facts, self.seed)

    def counts(self, cells: int = 2048, threads: int = 1) -> Iterator[tuple[int, csr_array]]:
        """(first cell, int32 counts, cells x genes) of about `cells` cells at a time."""
        return sampling.chunks(self.spec, self.natural, self.facts, self.seed, cells, threads)


def from_priors(spec: ModelSpec, facts: Facts, seed: int) -> Simulation:
    """Parameters drawn once from their priors."""
    key = purpose_key(seed, "simulate")
    x = jax.jit(lambda key, facts: handlers.seed(lambda: program.draw(spec, facts), key)())(key, facts)
    return Simulation(spec, facts, jax.tree.map(np.asarray, program.natural(spec, x)), x, seed)


def from_parameters(spec: ModelSpec, facts: Facts, given: Mapping[str, object], seed: int) -> Simulation:
    """Parameters as given, {name: array in its natural domain}. Errors: BadData (parameters.natural_of).

    Labels that the facts hold guide the components of their cells.
    """
    natural = replace(parameters.natural_of(spec, given, facts), confidence=spec.annotation_confidence)
    return Simulation(spec, facts, natural, parameters.sampled_of(spec, given, facts), seed)


def without_data(spec: ModelSpec, n_cells: int, n_genes: int, sizes: Mapping[str, int] | None = None) -> Facts:
    """Facts where there are no data: every cell's library size is .05 M_0 and every gene's mean 1, where a prior reads them.

    sizes: numbers of components and datasets, for a model that has them; cells are of the datasets in turn.
    """
    arrays, sizes = {}, {CELL: n_cells, GENE: n_genes, **(sizes or {})}
    if spec.log_M0 is not None:
        arrays["log_library"] = np.full(n_cells, math.log(LIBRARY_SHARE) + spec.log_M0)
    if any(_reads(p.prior, "log_mu_hat") for p in spec.params):
        arrays["log_mu_hat"] = np.zeros(n_genes)
    if DATASET in sizes:
        arrays["dataset_of_cell"] = np.arange(n_cells, dtype=np.int32) % sizes[DATASET]
    return Facts(sizes, arrays)


def _reads(prior: Prior | None, name: str) -> bool:
    """Whether a prior names this array of the facts."""
    return prior is not None and (name in prior.args.values() or _reads(prior.base, name))
