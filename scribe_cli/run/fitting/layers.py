"""The layers of a fit: one predictive draw, and expected counts, made a block of cells at a time."""

from __future__ import annotations

import numpy as np

from ...core.analysis import sampling
from ...core.analysis.layers import expected_chunks
from ...core.analysis.points import points_of
from ...core.axes import CELL
from ...core.inference.posterior import Posterior, natural
from ...io.outputs import Layer
from ..recipe.config import Config

AUTO = 10**8  # non-zero counts up to which `output.layers: auto` draws the ppc layer


def layers(posterior: Posterior, config: Config, nnz: int) -> tuple[dict[str, Layer], list[str]]:
    """({name: Layer}, notices) of `output.layers`."""
    wanted = config.output.layers
    if wanted != "auto":
        return {name: MAKERS[name](posterior, config) for name in wanted}, []
    if nnz > AUTO:
        return {}, [f"no ppc layer: {nnz:,} non-zero counts are over {AUTO:,}; name it in output.layers to have it"]
    return {"ppc": _ppc(posterior, config)}, []


def _ppc(posterior: Posterior, config: Config) -> Layer:
    """Counts at the first of the posterior's draws, as the store holds it, so that they can be drawn again from there."""
    first = {name: v[0].astype(np.float32).astype(float) for name, v in posterior.some(1).items()}
    at = natural(posterior.spec, posterior.facts, first)
    # of its own: with the seed of `scribe simulate` it would repeat the random numbers that simulated data were made of
    seed = int(np.random.default_rng([config.seed, 1]).integers(2**32))
    drawn = lambda: sampling.chunks(posterior.spec, at, posterior.facts, seed)  # noqa: E731
    return Layer(lambda: (block for _, block in drawn()), sparse=True, dtype=np.int32)


def _expected(posterior: Posterior, config: Config) -> Layer:
    """The posterior mean of each count's expectation, capture and gate included."""
    points = points_of(posterior.spec, posterior.facts, posterior.some(config.output.ppc_samples))
    n_cells = posterior.facts.sizes[CELL]
    blocks = lambda: (block for _, block in expected_chunks(posterior.spec, points, n_cells))  # noqa: E731
    return Layer(blocks, sparse=False, dtype=np.float32)


MAKERS = {"ppc": _ppc, "expected": _expected}
