"""Is the engine's likelihood the right one? Its lane against the dense sum, on a random hundredth of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from ...core.analysis import pointwise
from ...core.axes import CELL
from ...core.inference import initial
from ...core.inference.posterior import Posterior
from ...core.model import program
from ...core.model.capture import COORDINATES
from ...core.model.spec import ModelSpec
from ...core.model.supports import SUPPORTS
from ...core.numerics import lanes
from ...core.padding import filled_cells_and_genes, octave
from ...data.compact import Compact
from ...data.counts import CountData
from . import assemble
from .interpolation import Nodes, Part

SHARE, FEWEST, MOST = 0.01, 4, 100
ROWS = 128  # that they are filled up to
NONE = Nodes()


def errors(posterior: Posterior, counts: CountData, lane: str, seed: int, nodes: Nodes = NONE) -> dict[str, float]:
    """{engine_max_abs_error: nats on the cells checked; engine_total_error: the same scaled up to all cells}, at the MAP;

    engine_interpolation_error: what may be lost between the nodes of the fit, which `nodes` tells.
    """
    lost = {"engine_interpolation_error": nodes.lost}
    if lane == "dense":
        return {"engine_max_abs_error": 0.0, "engine_total_error": 0.0} | lost
    n = min(counts.n_cells, MOST, max(FEWEST, int(SHARE * counts.n_cells)))
    cells = np.sort(np.random.default_rng(seed).choice(counts.n_cells, n, replace=False))
    some = _of_cells(counts, cells)
    collected = assemble.collect(some, posterior.spec)
    at = {p.name: cells for p in posterior.spec.params if CELL in p.axes}
    x = {name: v[:, at[name]] if name in at else v for name, v in posterior.point_log_scale().items()}
    error = abs(_by_lane(posterior.spec, lane, x, collected, nodes.parts) - _dense(posterior.spec, x, collected))
    return {"engine_max_abs_error": error, "engine_total_error": error * counts.n_cells / n} | lost


def beyond(posterior: Posterior, counts: CountData, lane: str) -> float:
    """The share of the draws of capture that the lane does not interpolate, but goes on to in a straight line."""
    spec = posterior.spec
    if lanes.load()[lane].exact:
        return 0.0
    low, high = initial.capture_range(spec, posterior.facts, counts.total)
    coordinate = COORDINATES[spec.capture]
    ends = np.sort(SUPPORTS[spec[spec.capture].support].from_log(coordinate.from_log_nu(jnp.array([low, high]))))
    draws = posterior.draws[spec.capture]
    return float(np.mean((draws < ends[0]) | (draws > ends[1])))


def _of_cells(counts: CountData, cells: np.ndarray) -> CountData:
    return replace(
        counts,
        kept=Compact.of(counts.kept.some(cells)),
        cell_names=counts.cell_names[cells],
        library=counts.library[cells],
        library_all=counts.library_all[cells],
        design=counts.design.of_cells(cells),
    )


def _by_lane(spec: ModelSpec, lane: str, x: dict, collected: assemble.Collected, parts: Sequence[Part]) -> float:
    chosen = lanes.load()[lane]
    apart, fill = collected.apart(lambda n: octave(n, ROWS)), not chosen.batched
    stats = assemble.stats(chosen, spec, apart, fill, parts)
    facts = assemble.filled_rows(chosen, apart) if fill else collected.cells
    x = {p.name: filled_cells_and_genes(x[p.name], p.axes, facts.sizes) for p in spec.params}
    of_lane = jax.jit(lambda x, facts, stats: program.log_likelihood(spec, chosen, x, facts, stats))
    return float(of_lane(x, facts, stats))


def _dense(spec: ModelSpec, x: dict, collected: assemble.Collected) -> float:
    return pointwise.score(spec, program.natural(spec, x), collected.cells, collected.counts.chunks()).total
