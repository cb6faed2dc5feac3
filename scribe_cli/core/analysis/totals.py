"""Predictive checks of the totals of cells."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..model.spec import ModelSpec
from ..numerics import kernels
from ..padding import ladder
from . import expected, replicates
from .nodes import Nodes
from .points import Points

CELLS = 2  # a stream of random numbers
REPLICATES = 1000  # at least so many, however few the draws
ENTRIES = 2**21  # of replicates x cells in memory at one time
HEAVY = 1 / 16  # of a total's variance: a gene with so much of it is drawn by itself
SAME = 1e-6  # relative difference of two indices of dispersion


def cell_table(spec: ModelSpec, points: Points, cell_total: np.ndarray, seed: int, threads: int = 1) -> dict[str, np.ndarray]:
    """{total_obs, total_q05, total_q95, total_p}: (cells,) each, whatever the threads.

    Given its component a total is a draw from the NB of its mean and variance, its very law where genes of an NB share p.
    Where they do not, genes with much of the variance are drawn by themselves, and the NB is of the others.
    """
    kernel = kernels.load(spec.kernel)
    law = _totals(kernel, points)
    per_draw = -(-REPLICATES // points.n_draws)
    obs = cell_total.astype(float)
    low, high, p = np.zeros((3, len(obs)))
    step = min(ladder(len(obs)), max(1, ENTRIES // (per_draw * points.n_draws)))

    def check(start: int) -> None:
        some = points.cells(np.minimum(np.arange(start, start + step), len(obs) - 1))
        drawn = _drawn_totals(kernel, law, some, step, per_draw, seed, start)
        n = min(step, len(obs) - start)
        found, cells = drawn[:n], slice(start, start + n)
        low[cells], high[cells] = replicates.interval(found)
        p[cells] = replicates.mid_p(found, obs[cells])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(check, range(0, len(obs), step)))
    return {"total_obs": obs, "total_q05": low, "total_q95": high, "total_p": p}


@dataclass(frozen=True)
class _Totals:
    """Of cells without capture: the mean of the total, and its variance nu linear + nu^2 square at capture nu, whatever

    mixture of Poissons the kernel is, gate included: (components, kinds of cells, draws) each, without the genes `heavy`.
    """

    mean: np.ndarray
    linear: np.ndarray
    square: np.ndarray
    heavy: np.ndarray


def _totals(kernel, points: Points) -> _Totals:
    """Two values of nu give all cells."""
    heavy = np.unique(np.concatenate([_heavy(_moments(kernel, one, 0.0)) for one in points.singles()]))
    rest = np.setdiff1d(np.arange(points.n_genes), heavy)
    found = [_sums(kernel, one, rest) for one in points.singles()]
    mean, whole, half = (_by_kind(v, points) for v in zip(*found, strict=True))
    return _Totals(mean, 4 * half - whole, 2 * whole - 4 * half, heavy)


def _sums(kernel, one: Points, genes: np.ndarray) -> list[np.ndarray]:
    """Over these genes (draws,): the mean, the variance, and the variance at a capture of a half."""
    whole, half = _moments(kernel, one, 0.0), _moments(kernel, one, -np.log(2))
    return [v[:, genes].sum(1) for v in (whole.mean, whole.within, half.within)]


def _moments(kernel, one: Points, log_nu: float) -> expected.Moments:
    unit, n = np.ones((one.n_draws, 1)), one.n_genes
    filled = one.genes(np.minimum(np.arange(ladder(n)), n - 1))
    found = expected.moments(kernel, filled, Nodes.of(log_nu * unit, unit))
    return expected.Moments(*(v[:, :n] for v in vars(found).values()))


def _by_kind(of_singles: Sequence[np.ndarray], points: Points) -> np.ndarray:
    """(components, kinds, draws) of (draws,) in the order of Points.singles; 0 for kinds without cells."""
    out = np.zeros((points.n_components, points.kinds[-1] + 1, points.n_draws))
    out[:, points.kinds] = np.reshape(of_singles, (len(points.kinds), -1, points.n_draws)).swapaxes(0, 1)
    return out


def _drawn_totals(kernel, law: _Totals, points: Points, n_cells: int, per_draw: int, seed: int, start: int) -> np.ndarray:
    """(cells, replicates) totals of these cells."""
    rng = np.random.default_rng([seed, CELLS, start])
    log_nu = np.zeros((points.n_draws, n_cells)) if points.log_nu is None else points.log_nu
    which = _components(rng, points, (per_draw, *log_nu.shape))
    nu = np.exp(log_nu)
    mean, linear, square = (_of_cells(v[..., None], which, points)[..., 0] for v in (law.mean, law.linear, law.square))
    drawn = _negative_binomial(rng, mean * nu, linear * nu + square * nu**2, per_draw)
    for gene in law.heavy:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), start), int(gene))
        drawn += _counts(kernel, key, points.genes(np.array([gene])), which, log_nu, per_draw)
    return drawn


def _components(rng, points: Points, shape: tuple[int, ...]) -> np.ndarray | int:
    """Which component each replicate of each cell is of, (per_draw, draws, cells)."""
    if points.log_weights is None:
        return 0
    below = np.cumsum(np.exp(points.log_weights), 1)[:, :-1]
    if points.kind_of_cell is not None and below.shape[2] > 1:
        below = below[:, :, points.kind_of_cell]
    uniform = rng.random(shape)
    return sum((uniform > below[None, :, k]).astype(np.int8) for k in range(below.shape[1]))


def _of_cells(v: np.ndarray, which: np.ndarray | int, points: Points) -> np.ndarray:
    """(per_draw or 1, draws, cells or 1, last) of (components or 1, kinds or 1, draws, last)."""
    kind = 0 if v.shape[1] == 1 or points.kind_of_cell is None else points.kind_of_cell
    component = 0 if v.shape[0] == 1 else which
    draw = np.arange(v.shape[2])[:, None]
    found = v[component, kind, draw]
    return found if found.ndim == 4 else found[None]


def _heavy(moments: expected.Moments) -> np.ndarray:
    """Genes to be drawn by themselves; none where all have one index of dispersion, as the NB has with a shared p."""
    seen = moments.mean > 0
    index = np.where(seen, moments.within, 0.0) / np.where(seen, moments.mean, 1.0)
    largest, smallest = index.max(1, initial=0.0), np.where(seen, index, np.inf).min(1, initial=np.inf)
    if (largest <= (1 + SAME) * smallest).all():
        return np.zeros(0, np.int64)
    share = moments.within / np.maximum(moments.within.sum(1, keepdims=True), np.finfo(float).tiny)
    return np.flatnonzero(share.mean(0) > HEAVY)


def _negative_binomial(rng, mean, variance, per_draw: int) -> np.ndarray:
    """(cells, replicates) from mean and variance (per_draw or 1, draws, cells); 0 where the mean is."""
    excess = np.maximum(variance - mean, 1e-9 * mean)  # rounding may leave a Poisson below its variance
    some = mean > 0
    shape = mean**2 / np.where(some, excess, 1.0)
    scale = np.where(some, excess / np.where(some, mean, 1.0), 0.0)
    rate = rng.gamma(shape, size=(per_draw, *mean.shape[1:])) * scale
    return np.ascontiguousarray(rng.poisson(rate).reshape(-1, mean.shape[-1]).T)


def _counts(kernel, key, gene: Points, which, log_nu: np.ndarray, per_draw: int) -> np.ndarray:
    """(cells, replicates) of one gene."""

    def of_cells(v):
        return _of_cells(v.transpose(1, 2, 0, 3), which, gene)[..., 0]

    core = {name: of_cells(v) for name, v in gene.core.items()}
    gate = np.full((1, gene.n_draws, 1), -np.inf) if gene.logit_gate is None else of_cells(gene.logit_gate)
    drawn = np.asarray(_drawn(kernel, per_draw, key, core, gate, log_nu))
    return drawn.reshape(-1, log_nu.shape[1]).T.astype(np.int64)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _drawn(kernel, per_draw: int, key, core, logit_gate, log_nu):
    """(per_draw, draws, cells); core, logit_gate: (per_draw or 1, draws, cells or 1) each."""
    count_key, gate_key = jax.random.split(key)
    n = kernel.thin(core, log_nu[None])
    shape = (per_draw, *log_nu.shape)
    kept = jax.random.uniform(gate_key, shape) >= jax.nn.sigmoid(logit_gate)
    return jnp.where(kept, kernel.sample(count_key, n, shape), 0.0)
