"""Counts from a model: parameters drawn from the priors, or given, and counts cell by cell (CONTRACT 1, simulate)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax
import numpy as np
from numpyro import handlers
from scipy.sparse import csr_array

from .analysis import parameters, sampling
from .axes import CELL, GENE, Axes, squeezed
from .facts import Facts
from .inference.problem import purpose_key
from .model import derive, program
from .model.spec import ModelSpec
from .numerics.natural import Natural

LIBRARY_SHARE = 0.05  # of M_0: the library size of a cell where there are no data (MODELS.md 3)


@dataclass(frozen=True)
class Truth:
    """A parameter that a simulation used, sampled or derived: its axes and its value in its natural domain."""

    axes: Axes
    value: np.ndarray


@dataclass(frozen=True)
class Simulation:
    """A model at one point. `counts` may be called again: the seed fixes them, whatever the chunks."""

    spec: ModelSpec
    facts: Facts
    natural: Natural
    seed: int

    def truth(self) -> dict[str, Truth]:
        """{parameter: Truth} of everything the model reports."""
        values = derive.values(self.spec, parameters.sampled_of(self.spec, self.natural))
        axes = {row.name: row.axes for row in derive.reported(self.spec)}
        sizes = self.facts.sizes
        return {n: Truth(axes[n], np.asarray(v).reshape(squeezed(axes[n], sizes))) for n, v in values.items()}

    def counts(self, cells: int = 2048) -> Iterator[tuple[int, csr_array]]:
        """(first cell, int32 counts, cells x genes) of about `cells` cells at a time."""
        return sampling.chunks(self.spec, self.natural, self.facts, self.seed, cells)


def from_priors(spec: ModelSpec, facts: Facts, seed: int) -> Simulation:
    """Parameters drawn once from their priors."""
    key = purpose_key(seed, "simulate")
    x = jax.jit(lambda key, facts: handlers.seed(lambda: program.draw(spec, facts), key)())(key, facts)
    return Simulation(spec, facts, jax.tree.map(np.asarray, program.natural(spec, x)), seed)


def from_parameters(spec: ModelSpec, facts: Facts, given: Mapping[str, object], seed: int) -> Simulation:
    """Parameters as given, {name: array in its natural domain}. Errors: BadData (parameters.natural_of)."""
    return Simulation(spec, facts, parameters.natural_of(spec, given, facts), seed)


def without_data(spec: ModelSpec, n_cells: int, n_genes: int) -> Facts:
    """Facts where there are no data: every cell's library size is .05 M_0, if a prior reads it."""
    prior = spec[spec.capture].prior if spec.capture else None
    if prior is None or prior.family != "library_size":
        return Facts({CELL: n_cells, GENE: n_genes})
    log_library = math.log(LIBRARY_SHARE) + prior.args["log_M0"]
    return Facts({CELL: n_cells, GENE: n_genes}, {"log_library": np.full(n_cells, log_library)})
