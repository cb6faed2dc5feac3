"""A kernel at nodes of capture: the pmf at the columns of a grid, for many draws and genes at a time.

The kernel's formulas are evaluated by jax, once a gene and node; what follows by NumPy. A kernel of rising factorials has
sums of logarithms. Of any other the ratios of neighbouring probabilities are known from above, and are exact for every
count at the cost of a division: where Miller's way down from beyond the counts starts does not matter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from scipy.special import gammaln

from ..numerics.special import stirling_series
from .grid import Grid
from .nodes import Nodes
from .points import Points

BLOCK = 128  # genes whose law is evaluated in one compiled call
NODES = 8  # of capture, likewise
ENTRIES = 2**14  # of counts x draws x genes, likewise
FARTHEST = 2**15  # count up to which every one is looked at on the way down
DEEP = -600.0  # log P(0) from which ratios climb without underflow
MARGIN = 64  # counts beyond half as many again as are asked for, at which it starts

# a law's values at one node: (columns, draws, genes) of a pmf that need not sum to 1
AtNode = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class RisingLaw:
    """log P(u) = zero + u slope + sum of sign log (a)_u - log u!, (nodes or 1, draws, genes or 1) each.

    rising: ((sign, log a), ...), with one node where no capture enters.
    """

    zero: np.ndarray
    slope: np.ndarray
    rising: tuple[tuple[float, np.ndarray], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(draws, genes)."""
        return np.broadcast_shapes(self.zero.shape, *(a.shape for _, a in self.rising))[1:]

    def genes(self, part: slice) -> RisingLaw:
        """Some of the genes."""
        rising = tuple((sign, _some(a, part)) for sign, a in self.rising)
        return RisingLaw(_some(self.zero, part), _some(self.slope, part), rising)

    def counts(self, grid: Grid) -> int:
        """How many are looked at."""
        return len(grid.points)

    def pmf(self, grid: Grid) -> AtNode:
        """Single counts climb by the ratios of neighbouring probabilities, an eighth of the cost of an exponential."""
        n = grid.n_single if self.zero.min() > DEEP else 0
        if n == len(grid.points):
            return self._climb(n)
        climb, jump = self._climb(n), self._by_logs(grid, n)
        return lambda m: _columns(np.concatenate([climb(m), jump(m)]), grid)

    def _climb(self, n: int) -> AtNode:
        """P(u) for u < n."""
        u = np.arange(max(n - 1, 0), dtype=float)[:, None, None]
        still, moving = _split(self.rising)
        ratio = _climbed(still, np.tile(1 / (u + 1), (1, *self.shape)), u)

        def at(m: int) -> np.ndarray:
            f = np.empty((n, *self.shape))
            f[:1] = np.exp(self.zero[m])
            np.multiply(ratio, np.exp(self.slope[m]), out=f[1:])
            _climbed([(sign, a[m]) for sign, a in moving], f[1:], u)
            for i in range(1, n):
                f[i] *= f[i - 1]
            return f

        return at

    def _by_logs(self, grid: Grid, first: int) -> AtNode:
        """The law at the grid's points from the `first` on."""
        still, moving = _split(self.rising)
        u = grid.points[first:, None, None]
        fixed = _log_rising(still, grid, self.shape)[first:] - gammaln(u + 1)

        def at(m: int) -> np.ndarray:
            f = u * self.slope[m] + fixed
            f += self.zero[m]
            if moving:
                f += _log_rising([(sign, a[m]) for sign, a in moving], grid, self.shape)[first:]
            return np.exp(f, out=f)

        return at


@dataclass(frozen=True)
class FallingLaw:
    """zero: log P(0), coords: {coordinate: value}, thinned; (nodes or 1, draws, genes or 1) each."""

    kernel: object
    zero: np.ndarray
    coords: dict[str, np.ndarray]

    @property
    def shape(self) -> tuple[int, int]:
        """(draws, genes)."""
        return self.zero.shape[1:]

    def genes(self, part: slice) -> FallingLaw:
        """Some of the genes."""
        return FallingLaw(self.kernel, _some(self.zero, part), {n: _some(v, part) for n, v in self.coords.items()})

    def counts(self, grid: Grid) -> int:
        """How many are looked at."""
        return int(grid.high[-1]) + 1 if grid.high[-1] <= FARTHEST else len(grid.points)

    def pmf(self, grid: Grid) -> AtNode:
        values = self._at_every_count if grid.high[-1] <= FARTHEST else self._at_points
        return lambda m: values(m, grid)

    def _at_every_count(self, m: int, grid: Grid) -> np.ndarray:
        f = log_pmf(self.kernel, self._node(m), self.zero[m], int(grid.high[-1]))
        f = np.exp(f, out=f)
        return f if grid.n_single == len(grid.low) else np.add.reduceat(f, grid.low, axis=0)

    def _at_points(self, m: int, grid: Grid) -> np.ndarray:
        f = _at_counts(functools.partial(_log_prob, self.kernel), self._node(m), grid.points, self.shape)
        return _columns(np.exp(f, out=f), grid)

    def _node(self, m: int) -> dict[str, np.ndarray]:
        return {name: v[m if len(v) > 1 else 0] for name, v in self.coords.items()}


def of(kernel, points: Points, nodes: Nodes) -> RisingLaw | FallingLaw:
    """One component and one kind of cells (Points.singles) at every node, without the gate."""
    n_nodes = nodes.x.shape[1]
    parts = [_law(kernel, points.core, x) for x in _node_blocks(nodes.x)]

    def of_nodes(*v):
        return np.concatenate(v)[:n_nodes] if np.ndim(v[0]) and len(v[0]) > 1 else np.asarray(v[0])

    core, zero, rising = jax.tree.map(of_nodes, *parts)
    return FallingLaw(kernel, zero, core) if rising is None else RisingLaw(zero, *rising)


@functools.partial(jax.jit, static_argnums=0)
def _law(kernel, core, x):
    n = kernel.thin({name: v[None, :, 0, 0] for name, v in core.items()}, x.T[:, :, None])
    return n, kernel.log_prob_zero(n), kernel.rising(n)


def _node_blocks(x: np.ndarray) -> list[np.ndarray]:
    """Nodes (draws, nodes) some at a time, as many each time; the last is repeated. One, where capture plays no part, stays one."""
    n = x.shape[1]
    if n == 1:
        return [x]
    return [x[:, np.minimum(np.arange(a, a + NODES), n - 1)] for a in range(0, n, NODES)]


def block_of(points: Points) -> int:
    """How many genes are looked at together: fewer where components multiply them."""
    return max(1, BLOCK // points.n_components)


def padded(genes: np.ndarray, block: int) -> np.ndarray:
    """A block's full length, whatever the genes that the data put together: the last one is repeated."""
    return genes[np.minimum(np.arange(max(len(genes), block)), len(genes) - 1)]


def log_pmf(kernel, n: dict[str, np.ndarray], zero: np.ndarray, last: int) -> np.ndarray:
    """log P(u) for u = 0..last along a first axis, of a kernel without rising factorials; zero: log P(0)."""
    ratio = kernel.descent(n)
    out = np.empty((last + 1, *zero.shape))
    out[0] = zero
    above = np.zeros(zero.shape)
    with np.errstate(all="ignore"):  # wild draws overflow; their law then stands at the last column
        for u in range(last + last // 2 + MARGIN, -1, -1):
            above = ratio(float(u), above)
            if u < last:
                out[u + 1] = above
        np.log(out[1:], out=out[1:])
    for u in range(last):
        out[u + 1] += out[u]
    return out


def _split(rising):
    """(those of all nodes alike, (sign, (draws, genes)); those of each node's own, (sign, (nodes, draws, genes)))."""
    still = [(sign, a[0]) for sign, a in rising if len(a) == 1]
    return still, [(sign, a) for sign, a in rising if len(a) > 1]


def _climbed(terms, ratio: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The ratios times those of the rising factorials, in place: (a)_{u+1} / (a)_u = a + u."""
    for sign, log_a in terms:
        factor = np.exp(log_a) + u
        np.multiply(ratio, factor, out=ratio) if sign > 0 else np.divide(ratio, factor, out=ratio)
    return ratio


def _some(v: np.ndarray, part: slice) -> np.ndarray:
    return v if v.shape[-1] == 1 else v[..., part]


def _columns(f: np.ndarray, grid: Grid) -> np.ndarray:
    """The pmf summed over columns, from its values at the grid's points."""
    n = grid.n_single
    if n == len(grid.low):
        return f
    return np.concatenate([f[:n], 0.5 * grid.width[n:, None, None] * f[n:].reshape(-1, 2, *f.shape[1:]).sum(1)])


def _log_rising(terms, grid: Grid, shape) -> np.ndarray:
    """sum of sign log (a)_u at the grid's points, (points, draws, genes): at single counts as sums of log(a + j)."""
    u, n = grid.points, grid.n_single
    out = np.zeros((len(u), *shape))
    for sign, log_a in terms:
        a, total = np.exp(log_a), sign * log_a
        for j in range(1, n):
            out[j] += total
            total = total + sign * np.log(a + j)
        if len(u) > n:
            out[n:] += total + sign * _far_rising(a + n, u[n:, None, None] - n)
    return out


def _far_rising(x: np.ndarray, m: np.ndarray) -> np.ndarray:
    """log (x)_m by Stirling's series: x is as far out as the columns of one count reach."""
    end = x + m
    with np.errstate(invalid="ignore"):  # where x is infinite, of wild draws: their law then stands at the last column
        return (x - 0.5) * np.log1p(m / x) + m * (np.log(end) - 1) + stirling_series(end) - stirling_series(x)


def _at_counts(function: Callable, values, counts: np.ndarray, shape) -> np.ndarray:
    """(counts, draws, genes) of a compiled function(values, count) of every entry by itself.

    values: a tree of arrays that spread to `shape`, (draws, genes or 1). Entries go through in a row, so that one program is
    for any number of genes and counts.
    """
    flat = jax.tree.map(lambda v: np.broadcast_to(v, shape).reshape(-1), values)
    width = int(np.prod(shape))
    out = np.empty(len(counts) * width)
    for start in range(0, len(out), ENTRIES):
        at = np.minimum(np.arange(start, start + ENTRIES), len(out) - 1)
        found = np.asarray(function(jax.tree.map(lambda v, at=at: v[at % width], flat), counts[at // width]))
        out[start : start + ENTRIES] = found[: len(out) - start]
    return out.reshape(len(counts), *shape)


@functools.partial(jax.jit, static_argnums=0)
def _log_prob(kernel, n, u):
    return kernel.log_prob(n, u)
