"""Expected histograms of counts: sums of the pmf over cells, for many draws of the parameters at a time.

Cells enter by nodes of capture (nodes.py), counts by columns (grid.py), components inside the law of a cell. The kernel's
formulas are evaluated by jax, once a gene and node; the sums over nodes and columns, where the work is, by NumPy in
blocks that fit the cache: XLA takes three times as long for them on CPU, and a compilation for every number of columns.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from . import laws
from .grid import SINGLE, Grid
from .laws import AtNode
from .nodes import Nodes
from .points import Points

SMALLEST_MASS = 1e-280  # of a law on the grid, below which its shape there is rounding
TINY = 1e-300  # of a distribution function: its logarithm times a number of cells is out of reach anyway
NEAR = 1e-4  # mass above a count, so little that log(1 - x) is -x
CACHED = 2**18  # entries of a block of columns x draws x genes


@dataclass(frozen=True)
class Moments:
    """Of one cell's count, per draw and gene (draws, genes): means over the cells.

    mean; within: variance given the cell; squares: of the cells' means; deviations: of the cells'
    E[(u - mean)^2], squared.
    """

    mean: np.ndarray
    within: np.ndarray
    squares: np.ndarray
    deviations: np.ndarray

    @property
    def between(self) -> np.ndarray:
        """Variance between the cells of their means."""
        return np.maximum(self.squares - self.mean**2, 0.0)


@dataclass(frozen=True)
class Table:
    """Per draw and gene: pmf (columns, draws, genes), mean over cells; log_cdf: mean over cells of log P(u <= high);

    bin_squares: (bins, draws, genes) mean over cells of the squared probability of a bin.
    """

    pmf: np.ndarray
    log_cdf: np.ndarray
    bin_squares: np.ndarray


def moments(kernel, points: Points, nodes: Nodes) -> Moments:
    """Which component a cell is of is a part of what it does not know of itself."""
    of_cells = (points.core, points.logit_gate, points.log_weights, nodes.x, nodes.weight, nodes.kind)
    return Moments(*(np.asarray(v) for v in _moments(kernel, *of_cells)))


@functools.partial(jax.jit, static_argnums=0)
def _moments(kernel, core, logit_gate, log_weights, x, weight, kind):
    def at_nodes(v):
        """(components, nodes or 1, draws, genes)."""
        return jnp.moveaxis(v if v.shape[2] == 1 else v[:, :, kind], (1, 2), (0, 1))

    n = kernel.thin({k: at_nodes(v) for k, v in core.items()}, x.T[None, :, :, None])
    shape = jnp.broadcast_shapes(*(v.shape for v in n.values()))
    mean, variance = (jnp.broadcast_to(v, shape) for v in (kernel.mean(n), kernel.variance(n)))
    if logit_gate is not None:
        gate = at_nodes(logit_gate)
        kept = jax.nn.sigmoid(-gate)
        mean, variance = kept * mean, kept * (variance + jax.nn.sigmoid(gate) * mean**2)
    mean, variance = _mixed(mean, variance, None if log_weights is None else at_nodes(log_weights[..., None]))
    weight = weight.T[:, :, None]
    overall = (weight * mean).sum(0)
    deviation = variance + (mean - overall[None]) ** 2
    return overall, (weight * variance).sum(0), (weight * mean**2).sum(0), (weight * deviation**2).sum(0)


def _mixed(mean, variance, log_weights):
    """Of a mixture, from those of its components along the first axis."""
    if log_weights is None:
        return mean[0], variance[0]
    weights = jnp.exp(log_weights)
    overall = (weights * mean).sum(0)
    return overall, (weights * (variance + (mean - overall[None]) ** 2)).sum(0)


@dataclass(frozen=True)
class _Component:
    """A component of the cells of one kind: its law, and gate and weight, (draws, genes or 1) and (draws, 1), if any."""

    law: laws.RisingLaw | laws.FallingLaw
    gate: np.ndarray | None
    weight: np.ndarray | None

    def genes(self, part: slice) -> _Component:
        shared = self.gate is None or self.gate.shape[1] == 1
        return _Component(self.law.genes(part), self.gate if shared else self.gate[:, part], self.weight)


def table(kernel, points: Points, nodes: Nodes, grid: Grid, n_genes: int | None = None) -> Table:
    """Expected histograms, of the first `n_genes`: the law of the others is evaluated for the sake of a shared shape."""
    shape = (points.n_draws, n_genes or points.n_genes)
    out = Table(*(np.zeros((n, *shape)) for n in (len(grid.low), len(grid.low), grid.n_bins)))
    for kind in points.kinds:
        cells, mine = points.of_kind(kind), nodes.of_kind(kind)
        components = [_component(kernel, cells, k, mine) for k in range(points.n_components)]
        step = max(1, CACHED // (components[0].law.counts(grid) * shape[0]))
        for part in (slice(a, min(a + step, shape[1])) for a in range(0, shape[1], step)):
            sums = _sums([c.genes(part) for c in components], mine.weight, grid)
            for total, v in zip((out.pmf, out.log_cdf, out.bin_squares), sums, strict=True):
                total[..., part] += v
    return out


def _component(kernel, points: Points, k: int, nodes: Nodes) -> _Component:
    one = points.component(k)
    gate = None if one.logit_gate is None else expit(one.logit_gate[:, 0, 0])
    return _Component(laws.of(kernel, one, nodes), gate, points.weight(k))


def _sums(components: Sequence[_Component], weight: np.ndarray, grid: Grid):
    """(pmf, log cdf, squared bins) of a few genes: sums over the nodes, times their weights (draws, nodes).

    The node of highest capture, the last, has the most mass above any count: it says where logarithms are near 0.
    """
    shape = components[0].law.shape
    pmf, log_cdf = np.zeros((2, len(grid.low), *shape))
    squares = np.zeros((grid.n_bins, *shape))
    alone = min(SINGLE, grid.n_bins)  # leading bins, each of one column
    pmf_at = [c.law.pmf(grid) for c in components]
    far = None
    for m in reversed(range(weight.shape[1])):
        f, weight_at = _of_cell(components, pmf_at, m), weight[:, m, None]
        far = _far(f) if far is None else far
        log_cdf[:far] += weight_at * _log_cdf(f[:far])
        for b in range(alone, grid.n_bins):
            squares[b] += weight_at * f[grid.slices[b]].sum(0) ** 2
        weighted = f * weight_at
        pmf += weighted
        weighted[:alone] *= f[:alone]
        squares[:alone] += weighted[:alone]
    log_cdf[far:] = _log_near_one(pmf[far:])
    return pmf, log_cdf, squares


def _of_cell(components: Sequence[_Component], pmf_at: Sequence[AtNode], m: int) -> np.ndarray:
    """The pmf of a cell at a node."""
    if components[0].weight is None:
        return _gated(components[0], pmf_at[0](m))
    return sum(c.weight * _gated(c, pmf(m)) for c, pmf in zip(components, pmf_at, strict=True))


def _gated(component: _Component, f: np.ndarray) -> np.ndarray:
    """The pmf under the gate, of one that need not sum to 1 and is overwritten.

    A law whose whole mass lies beyond the grid, as wild draws of a fit that has not converged can have it, stands at the
    last column.
    """
    total = f.sum(0)
    beyond = ~(total > SMALLEST_MASS)
    if beyond.any():
        f[:, beyond] = 0.0
        f[-1, beyond] = total[beyond] = 1.0
    if component.gate is None:
        f /= total
        return f
    f *= (1 - component.gate) / total
    f[0] += component.gate
    return f


def _far(f: np.ndarray) -> int:
    """How many columns of a pmf it takes until less than NEAR is left, of all draws and genes."""
    cdf = np.zeros(f.shape[1:])
    for i, column in enumerate(f):
        cdf += column
        if cdf.min() > 1 - NEAR:
            return i
    return len(f)


def _log_cdf(f: np.ndarray) -> np.ndarray:
    cdf = _cumulative(f)
    return np.log(np.maximum(cdf, TINY, out=cdf), out=cdf)


def _log_near_one(pmf: np.ndarray) -> np.ndarray:
    """The mean over cells of the logarithm of the distribution function, from the last columns of the mean pmf.

    Cells' logarithms are here minus what is above to a part of NEAR, and P(max <= m) errs by less than NEAR / 5.
    """
    above = np.zeros_like(pmf)
    above[:-1] = _cumulative(pmf[:0:-1])[::-1]
    return np.log1p(-above)


def _cumulative(f: np.ndarray) -> np.ndarray:
    """np.cumsum over the first axis, ten times as fast."""
    out = np.empty_like(f)
    out[:1] = f[:1]
    for i in range(1, len(f)):
        np.add(out[i - 1], f[i], out=out[i])
    return out
