"""The layers of a fit: one predictive draw, and expected counts, made a block of cells at a time."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

from ..core.analysis.pointwise import of_cells
from ..core.axes import CELL, GENE
from ..core.facts import Facts
from ..core.inference.posterior import Posterior
from ..core.model import program
from ..core.model.spec import ModelSpec
from ..core.numerics import gate, kernels
from ..core.numerics.natural import Natural
from ..core.simulate import Simulation
from ..data.source import blocks
from ..io.outputs import Layer

AUTO = 10**8  # non-zero counts up to which `output.layers: auto` draws the ppc layer
ENTRIES = 2**22  # of cells x genes that are dense at one time


def layers(posterior: Posterior, wanted: str | list[str], nnz: int, seed: int) -> tuple[dict[str, Layer], list[str]]:
    """({name: Layer}, notices) of `output.layers`."""
    if wanted == "auto":
        wanted = ["ppc"] if nnz <= AUTO else []
    else:
        nnz = 0
    said = [] if nnz <= AUTO else [f"no ppc layer: {nnz:,} non-zero counts are over {AUTO:,}; name it in output.layers to have it"]
    return {name: MAKERS[name](posterior, seed) for name in wanted}, said


def _ppc(posterior: Posterior, seed: int) -> Layer:
    """Counts at the first of the posterior's draws, as the store holds it, so that they can be drawn again from there."""
    lead = len(posterior.sample_dims)
    first = {name: v.reshape(-1, *v.shape[lead:])[0].astype(np.float32).astype(float) for name, v in posterior.draws.items()}
    natural = program.natural(posterior.spec, program.replay(posterior.spec, posterior.facts, first))
    drawn = Simulation(posterior.spec, posterior.facts, jax.tree.map(np.asarray, natural), seed)
    return Layer(lambda: (block for _, block in drawn.counts()), sparse=True, dtype=np.int32)


def _expected(posterior: Posterior, seed: int) -> Layer:
    """The mean of each count at the MAP, capture and gate included."""
    natural = program.natural(posterior.spec, posterior.point_log_scale())
    return Layer(lambda: _means(posterior.spec, natural, posterior.facts), sparse=False, dtype=np.float32)


def _means(spec: ModelSpec, natural: Natural, facts: Facts) -> Iterator[np.ndarray]:
    kernel = kernels.load(spec.kernel)

    @jax.jit
    def means(natural, facts):
        core, logit_gate = natural.at_cells(kernel, facts)
        mean = kernel.mean(core)
        return (mean if logit_gate is None else mean * jax.numpy.exp(gate.log_nonzero(logit_gate)))[0]

    n_cells, n_genes = facts.sizes[CELL], facts.sizes[GENE]
    for start, stop in blocks(n_cells, max(1, ENTRIES // n_genes)):
        rows = np.arange(start, stop)
        part = means(of_cells(natural, rows), facts.rows(rows, 1.0))
        yield np.broadcast_to(np.asarray(part), (stop - start, n_genes))


MAKERS = {"ppc": _ppc, "expected": _expected}
