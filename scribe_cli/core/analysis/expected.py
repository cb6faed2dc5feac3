"""Expected histograms of counts: sums of the pmf over cells, for many draws of the parameters at a time.

Cells enter by nodes of capture (nodes.py), counts by columns (grid.py). The kernel's formulas are evaluated by jax,
once a gene and node; the sums over nodes and columns, where the work is, by NumPy in blocks that fit the cache: XLA
takes three times as long for them on CPU, and a compilation for every number of columns.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, gammaln

from ..numerics.special import log_rising
from .grid import Grid
from .nodes import Nodes

POINTS = 8  # counts of one call of the compiled rising factorial
SMALLEST_MASS = 1e-280  # of a law on the grid, below which its shape there is rounding
TINY = 1e-300  # of a distribution function: its logarithm times a number of cells is out of reach anyway
CACHED = 2**18  # entries of a block of columns x draws x genes


@dataclass(frozen=True)
class Points:
    """Draws of a model's natural coordinates.

    core: {coordinate: (draws, genes or 1)}, before capture; logit_gate: (draws, genes) or None;
    log_nu: (draws, cells) or None.
    """

    core: dict[str, np.ndarray]
    logit_gate: np.ndarray | None
    log_nu: np.ndarray | None

    @property
    def n_draws(self) -> int:
        return len(next(iter(self.core.values())))

    def genes(self, index) -> Points:
        """Some of the genes."""

        def take(v):
            return v if v.shape[1] == 1 else v[:, index]

        gate = None if self.logit_gate is None else take(self.logit_gate)
        return Points({k: take(v) for k, v in self.core.items()}, gate, self.log_nu)

    def cells(self, index) -> Points:
        """Some of the cells."""
        return self if self.log_nu is None else Points(self.core, self.logit_gate, self.log_nu[:, index])

    def biological(self) -> Points:
        """Of counts before capture, without the gate."""
        return Points(self.core, None, None)


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
class Law:
    """A kernel at nodes: log P(u) = zero + u slope + sum of sign log (a)_u - log u!, (nodes, draws, genes or 1) each.

    rising: ((sign, log a), ...), with one node where no capture enters.
    """

    zero: np.ndarray
    slope: np.ndarray
    rising: tuple[tuple[float, np.ndarray], ...]

    def genes(self, part: slice) -> Law:
        """Some of the genes."""

        def take(v):
            return v if v.shape[-1] == 1 else v[..., part]

        return Law(take(self.zero), take(self.slope), tuple((s, take(a)) for s, a in self.rising))


@dataclass(frozen=True)
class Table:
    """Per draw and gene: pmf (columns, draws, genes), mean over cells; log_cdf: mean over cells of log P(u <= high);

    bin_squares: (bins, draws, genes) mean over cells of the squared probability of a bin.
    """

    pmf: np.ndarray
    log_cdf: np.ndarray
    bin_squares: np.ndarray


def moments(kernel, points: Points, nodes: Nodes) -> Moments:
    return Moments(*(np.asarray(v) for v in _moments(kernel, points.core, points.logit_gate, nodes.x, nodes.weight)))


@functools.partial(jax.jit, static_argnums=0)
def _moments(kernel, core, logit_gate, x, weight):
    n = _at_nodes(kernel, core, x)
    shape = jnp.broadcast_shapes(*(v.shape for v in n.values()))
    mean, variance = (jnp.broadcast_to(v, shape) for v in (kernel.mean(n), kernel.variance(n)))
    if logit_gate is not None:
        kept = jax.nn.sigmoid(-logit_gate)[None]
        mean, variance = kept * mean, kept * (variance + jax.nn.sigmoid(logit_gate)[None] * mean**2)
    weight = weight.T[:, :, None]
    overall = (weight * mean).sum(0)
    deviation = variance + (mean - overall[None]) ** 2
    return overall, (weight * variance).sum(0), (weight * mean**2).sum(0), (weight * deviation**2).sum(0)


def law(kernel, points: Points, nodes: Nodes) -> Law:
    """The kernel, ungated, at every node."""
    zero, slope, rising = jax.tree.map(np.asarray, _law(kernel, points.core, nodes.x))
    return Law(zero, slope, rising)


@functools.partial(jax.jit, static_argnums=0)
def _law(kernel, core, x):
    n = _at_nodes(kernel, core, x)
    slope, rising = kernel.rising(n)
    return kernel.log_prob_zero(n), slope, rising


def _at_nodes(kernel, core, x):
    return kernel.thin({k: v[None] for k, v in core.items()}, x.T[:, :, None])


def table(law: Law, logit_gate: np.ndarray | None, nodes: Nodes, grid: Grid) -> Table:
    """Expected histograms under the gate, (draws, genes), if there is one."""
    shape = np.broadcast_shapes(law.zero.shape, *(a.shape for _, a in law.rising))[1:]
    still = _rising([(s, a[0]) for s, a in law.rising if len(a) == 1], grid, shape)
    still -= gammaln(grid.points + 1)[:, None, None]
    out = Table(*(np.zeros((n, *shape)) for n in (len(grid.low), len(grid.low), grid.n_bins)))
    gate = np.zeros(shape) if logit_gate is None else expit(logit_gate)
    step = max(1, CACHED // (len(still) * shape[0]))
    for part in (slice(a, a + step) for a in range(0, shape[1], step)):
        sums = _sums(law.genes(part), still[..., part], gate[:, part], nodes, grid)
        for total, v in zip((out.pmf, out.log_cdf, out.bin_squares), sums, strict=True):
            total[..., part] = v
    return out


def _sums(law: Law, still, gate, nodes: Nodes, grid: Grid):
    """(pmf, log cdf, squared bins) of a few genes: sums over the nodes, times their weights.

    still: the part of log P that is the same at every node. A law whose whole mass lies beyond the grid, as wild draws
    of a fit that has not converged can have it, stands at the last column.
    """
    u = grid.points[:, None, None]
    pmf, log_cdf = np.zeros((2, len(grid.low), *gate.shape))
    squares = np.zeros((grid.n_bins, *gate.shape))
    for m, weight in enumerate(nodes.weight.T[:, :, None]):
        f = u * law.slope[m] + still
        f += law.zero[m]
        if any(len(a) > 1 for _, a in law.rising):
            f += _rising([(s, a[m]) for s, a in law.rising if len(a) > 1], grid, gate.shape)
        f = _columns(np.exp(f, out=f), grid)
        cdf = _cumulative(f)
        beyond = ~(cdf[-1] > SMALLEST_MASS)
        if beyond.any():
            f[:, beyond], cdf[:, beyond] = 0.0, 0.0
            f[-1, beyond], cdf[-1, beyond] = 1.0, 1.0
        scale = (1 - gate) / cdf[-1]
        f *= scale
        f[0] += gate
        cdf *= scale
        cdf += gate
        np.log(np.maximum(cdf, TINY, out=cdf), out=cdf)
        cdf *= weight
        log_cdf += cdf
        for b, bin_ in enumerate(grid.slices):
            squares[b] += weight * f[bin_].sum(0) ** 2
        f *= weight
        pmf += f
    return pmf, log_cdf, squares


def _columns(f, grid: Grid):
    """The pmf summed over columns, from its values at the grid's points."""
    n = grid.n_single
    if n == len(grid.low):
        return f
    return np.concatenate([f[:n], 0.5 * grid.width[n:, None, None] * f[n:].reshape(-1, 2, *f.shape[1:]).sum(1)])


def _cumulative(f):
    """np.cumsum over the first axis, ten times as fast."""
    out = np.empty_like(f)
    out[0] = f[0]
    for i in range(1, len(f)):
        np.add(out[i - 1], f[i], out=out[i])
    return out


def _rising(terms, grid: Grid, shape):
    """sum of sign log (a)_u at the grid's points, (points, draws, genes): at single counts as sums of log(a + j)."""
    u, n = grid.points, grid.n_single
    out = np.zeros((len(u), *shape))
    for sign, log_a in terms:
        a, total = np.exp(log_a), sign * log_a
        for j in range(1, n):
            out[j] += total
            total = total + sign * np.log(a + j)
        for start in range(n, len(u), POINTS):
            part = u[start : start + POINTS]
            padded = np.concatenate([part, np.ones(POINTS - len(part))])[:, None, None]
            out[start : start + POINTS] += sign * np.asarray(_log_rising(log_a[None], padded))[: len(part)]
    return out


_log_rising = jax.jit(log_rising)
