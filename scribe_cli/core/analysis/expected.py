"""Expected histograms of counts: sums of the pmf over cells, for many draws of the parameters at a time.

Arrays are (draws, genes, columns) inside; cells enter by nodes of capture (nodes.py), counts by columns (grid.py).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..numerics.special import log_factorial, log_rising
from .grid import Grid
from .nodes import Nodes


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

    def genes(self, index: np.ndarray) -> Points:
        """Some of the genes."""

        def take(v):
            return v if v.shape[1] == 1 else v[:, index]

        gate = None if self.logit_gate is None else take(self.logit_gate)
        return Points({k: take(v) for k, v in self.core.items()}, gate, self.log_nu)


@dataclass(frozen=True)
class Moments:
    """Per draw and gene, of one cell's count (draws, genes): means over the cells.

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
    """Per draw and gene: pmf (draws, genes, columns), mean over cells; log_cdf: mean over cells of log P(u <= high);

    bin_squares: (draws, genes, bins) mean over cells of the squared probability of a bin.
    """

    pmf: np.ndarray
    log_cdf: np.ndarray
    bin_squares: np.ndarray


def moments(kernel, points: Points, nodes: Nodes) -> Moments:
    return Moments(*(np.asarray(v) for v in _moments(kernel, points.core, points.logit_gate, nodes.x, nodes.weight)))


def table(kernel, points: Points, nodes: Nodes, grid: Grid) -> Table:
    where = (grid.points(), grid.width, grid.in_bin())
    arrays = _table(kernel, grid.n_single, (points.core, points.logit_gate), (nodes.x, nodes.weight), where)
    return Table(*(np.asarray(v) for v in arrays))


@functools.partial(jax.jit, static_argnums=0)
def _moments(kernel, core, logit_gate, x, weight):
    at_nodes = kernel.thin({k: v[None] for k, v in core.items()}, x.T[:, :, None])
    shape = (x.shape[1], *jnp.broadcast_shapes(*(v.shape for v in core.values())))
    mean, variance = (jnp.broadcast_to(v, shape) for v in (kernel.mean(at_nodes), kernel.variance(at_nodes)))
    if logit_gate is not None:
        kept = jax.nn.sigmoid(-logit_gate)[None]
        mean, variance = kept * mean, kept * (variance + jax.nn.sigmoid(logit_gate)[None] * mean**2)
    weight = weight.T[:, :, None]
    overall = (weight * mean).sum(0)
    deviation = variance + (mean - overall[None]) ** 2
    return overall, (weight * variance).sum(0), (weight * mean**2).sum(0), (weight * deviation**2).sum(0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _table(kernel, n_single, parameters, nodes, where):
    core, logit_gate = parameters
    x, weight = (v.T[:, None, :, None] for v in nodes)
    u, width, in_bin = where
    at_nodes = kernel.thin({k: v[None, None] for k, v in core.items()}, x)
    slope, rising = kernel.rising(at_nodes)
    zero = kernel.log_prob_zero(at_nodes)
    above = u[1:].reshape(-1, 1, 1)
    # a rising factorial that no capture enters is the same at every node
    still = sum((s * log_rising(a[0], above) for s, a in rising if a.shape[0] == 1), -log_factorial(above))
    signs, moving = [s for s, a in rising if a.shape[0] > 1], [a for _, a in rising if a.shape[0] > 1]

    def add(total, node):
        weight, slope, zero, moving = node
        log_f = zero + above * slope + still + sum(s * log_rising(a, above) for s, a in zip(signs, moving, strict=True))
        f = _columns(jnp.exp(zero), jnp.exp(log_f), n_single, width)
        cdf = jnp.cumsum(f, 0)
        f, cdf = _inflated(f / cdf[-1:], cdf / cdf[-1:], logit_gate)
        new = (f, jnp.log(cdf), jnp.tensordot(in_bin, f, (0, 0)) ** 2)
        return tuple(t + weight * v for t, v in zip(total, new, strict=True)), None

    shape = (x.shape[2], max(v.shape[1] for v in core.values()))
    start = tuple(jnp.zeros((n, *shape)) for n in (len(width), len(width), in_bin.shape[1]))
    return jax.lax.scan(add, start, (weight, slope, zero, moving))[0]


def _columns(zero, above, n_single, width):
    """Sums of the pmf over columns from its values at Grid.points, of 0 and of the counts above."""
    single, wide = above[: n_single - 1], above[n_single - 1 :]
    single = jnp.concatenate([jnp.broadcast_to(zero, (1, *above.shape[1:])), single])
    wide = wide.reshape(-1, 2, *above.shape[1:]).sum(1) * (0.5 * width[n_single:]).reshape(-1, 1, 1)
    return jnp.concatenate([single, wide])


def _inflated(f, cdf, logit_gate):
    """pmf and cdf under the gate."""
    if logit_gate is None:
        return f, cdf
    inflation = jax.nn.sigmoid(logit_gate)[None]
    f = (1 - inflation) * f
    return f.at[0].add(inflation[0]), inflation + (1 - inflation) * cdf
