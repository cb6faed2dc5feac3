"""Predictive checks of the totals of cells."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..model.spec import ModelSpec
from ..numerics import kernels
from . import expected, replicates
from .expected import Points
from .nodes import Nodes

CELLS = 2  # a stream of random numbers
REPLICATES = 1000  # at least so many, however few the draws
ENTRIES = 2**21  # of replicates x cells in memory at one time
HEAVY = 1 / 16  # of a total's variance: a gene with so much of it is drawn by itself
SAME = 1e-6  # relative difference of two indices of dispersion


def cell_table(spec: ModelSpec, points: Points, cell_total: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """{total_obs, total_q05, total_q95, total_p}: (cells,) each.

    A total is a draw from the NB of its mean and variance, its very law where genes share p. Where they do not, genes
    with much of the variance are drawn by themselves, and the NB is of the others. Given the parameters, the mean is
    linear in the capture nu and the variance is a nu + b nu^2, whatever mixture of Poissons the kernel is, gate
    included: two values of nu give all cells.
    """
    kernel, n_draws = kernels.load(spec.kernel), points.n_draws
    weight = np.ones((n_draws, 1))
    at = [expected.moments(kernel, points, Nodes(x * weight, weight)) for x in (0.0, -np.log(2))]
    heavy = _heavy(at[0])
    rest = np.setdiff1d(np.arange(at[0].mean.shape[1]), heavy)
    mean, whole, half = (v[:, rest].sum(1) for v in (at[0].mean, at[0].within, at[1].within))
    linear, square = 4 * half - whole, 2 * whole - 4 * half
    per_draw = -(-REPLICATES // n_draws)
    obs = cell_total.astype(float)
    low, high, p = np.zeros((3, len(obs)))
    step = min(len(obs), max(1, ENTRIES // (per_draw * n_draws)))
    for start in range(0, len(obs), step):
        index = np.minimum(np.arange(start, start + step), len(obs) - 1)
        log_nu = np.zeros((n_draws, step)) if points.log_nu is None else points.log_nu[:, index]
        nu = np.exp(log_nu)
        variance = linear[:, None] * nu + square[:, None] * nu**2
        drawn = _negative_binomial(np.random.default_rng([seed, CELLS, start]), mean[:, None] * nu, variance, per_draw)
        for gene in heavy:
            key = jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), start), int(gene))
            drawn += _counts(kernel, key, points.genes(np.array([gene])), log_nu, per_draw)
        n = min(step, len(obs) - start)
        found, cells = drawn[:n], slice(start, start + n)
        low[cells], high[cells] = replicates.interval(found)
        p[cells] = replicates.mid_p(found, obs[cells])
    return {"total_obs": obs, "total_q05": low, "total_q95": high, "total_p": p}


def _heavy(moments: expected.Moments) -> np.ndarray:
    """Genes to be drawn by themselves; none where all have one index of dispersion, as the NB has with a shared p."""
    seen = moments.mean > 0
    index = np.where(seen, moments.within, 0.0) / np.where(seen, moments.mean, 1.0)
    largest, smallest = index.max(1, initial=0.0), np.where(seen, index, np.inf).min(1, initial=np.inf)
    if (largest <= (1 + SAME) * smallest).all():
        return np.zeros(0, np.int64)
    share = moments.within / np.maximum(moments.within.sum(1, keepdims=True), np.finfo(float).tiny)
    return np.flatnonzero(share.mean(0) > HEAVY)


def _negative_binomial(rng, mean, variance, per_draw):
    """(cells, replicates) from mean and variance (draws, cells); 0 where the mean is."""
    excess = np.maximum(variance - mean, 1e-9 * mean)  # rounding may leave a Poisson below its variance
    some = mean > 0
    shape = mean**2 / np.where(some, excess, 1.0)
    rate = rng.gamma(shape, size=(per_draw, *mean.shape)) * np.where(some, excess / np.where(some, mean, 1.0), 0.0)
    return np.ascontiguousarray(rng.poisson(rate).reshape(-1, mean.shape[1]).T)


def _counts(kernel, key, gene: Points, log_nu, per_draw: int) -> np.ndarray:
    """(cells, replicates) of one gene."""
    gate = np.full((gene.n_draws, 1), -np.inf) if gene.logit_gate is None else gene.logit_gate
    drawn = np.asarray(_drawn(kernel, per_draw, key, gene.core, gate, log_nu))
    return drawn.reshape(-1, log_nu.shape[1]).T.astype(np.int64)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _drawn(kernel, per_draw: int, key, core, logit_gate, log_nu):
    """(per_draw, draws, cells); core: (draws, 1) each."""
    count_key, gate_key = jax.random.split(key)
    n = kernel.thin({name: v[None] for name, v in core.items()}, log_nu[None])
    shape = (per_draw, *log_nu.shape)
    kept = jax.random.uniform(gate_key, shape) >= jax.nn.sigmoid(logit_gate)[None]
    return jnp.where(kept, kernel.sample(count_key, n, shape), 0.0)
