"""Counts of whole cells, sparse, at one point of a model.

An entry is zero or not by its exact probability; a count above zero comes from its distribution function, tabulated
as far as needed, so that the cost follows the counts. Entries that are hardly ever zero are drawn by the kernel.
Cells come in blocks of fixed rows with random numbers of their own: how they are asked for changes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.special import expit, gammaln

from ...errors import NumericalError
from ..axes import CELL, GENE
from ..facts import Facts
from ..model.spec import ModelSpec
from ..numerics import kernels
from ..numerics.natural import Natural
from .pointwise import of_cells

BLOCK = 128  # cells with a stream of random numbers of their own; to change it is to change every draw
BATCH = 8192  # entries that the kernel draws in one compiled call
SELDOM_ZERO = -7.0  # log P(0) below which the kernel draws
REST = 1e-12  # mass of the far tail that is left out


def chunks(
    spec: ModelSpec, natural: Natural, facts: Facts, seed: int, cells: int = 2048
) -> Iterator[tuple[int, csr_array]]:
    """(first cell, int32 counts) of about `cells` cells at a time. Raises NumericalError for counts beyond int32.

    The same seed draws with the same random numbers: what a fit draws must have another seed than its data had.
    """
    n_cells, size = facts.sizes[CELL], -(-cells // BLOCK) * BLOCK
    for start in range(0, n_cells, size):
        stop = min(start + size, n_cells)
        yield start, vstack([_block(spec, natural, facts, seed, a) for a in range(start, stop, BLOCK)], format="csr")


def _block(spec: ModelSpec, natural: Natural, facts: Facts, seed: int, first: int) -> csr_array:
    """Cells first to first + BLOCK, as far as there are any."""
    n = min(BLOCK, facts.sizes[CELL] - first)
    rows = np.minimum(np.arange(first, first + BLOCK), facts.sizes[CELL] - 1)
    kernel = kernels.load(spec.kernel)
    found = _law(kernel, of_cells(natural, rows), facts.rows(rows, 1.0))
    core, gate, law = jax.tree.map(lambda v: np.asarray(v)[0], found)
    rng = np.random.default_rng([seed, first])
    often = law.zero > SELDOM_ZERO
    chance = np.where(often, -np.expm1(law.zero), 1.0) * (1.0 if gate is None else expit(-gate))
    cell, gene = np.nonzero((rng.random(chance.shape) < chance)[:n])
    counts = np.zeros(len(cell))
    often = often[cell, gene]
    counts[often] = _above_zero(_entries(law, cell[often], gene[often]), rng)
    key = jax.random.fold_in(jax.random.PRNGKey(seed), first)
    counts[~often] = _by_kernel(kernel, _entries(core, cell[~often], gene[~often]), int((~often).sum()), key)
    return _sparse(cell, gene, counts, (n, facts.sizes[GENE]))


class Law(NamedTuple):
    """log P(u) = zero + u slope + sum of signs log (a)_u - log u!, and the mean, of entries."""

    zero: Any
    mean: Any
    slope: Any
    signs: list
    log_a: list


@functools.partial(jax.jit, static_argnums=0)
def _law(kernel, natural: Natural, facts: Facts):
    """(core coordinates, logit gate, Law), (1, cells, genes) each, 1 where they do not vary."""
    core, gate = natural.at_cells(kernel, facts)
    slope, rising = kernel.rising(core)
    shape = (1, facts.sizes[CELL], facts.sizes[GENE])
    zero, mean = (jnp.broadcast_to(v, shape) for v in (kernel.log_prob_zero(core), kernel.mean(core)))
    return core, gate, Law(zero, mean, slope, [jnp.full((1, 1, 1), s) for s, _ in rising], [a for _, a in rising])


def _entries(tree, cell: np.ndarray, gene: np.ndarray):
    """Values (cells or 1, genes or 1) at some entries, (entries,) or (1,) each."""
    return jax.tree.map(lambda v: v[cell if len(v) > 1 else 0, gene if v.shape[1] > 1 else 0].reshape(-1), tree)


def _above_zero(law: Law, rng: np.random.Generator) -> np.ndarray:
    """A count of at least 1 for every entry, by inversion: the pmf is summed over 1, 2, 3-4, 5-8, ... in turn."""
    left = rng.random(len(law.zero)) * -np.expm1(law.zero)
    counts = np.ones(len(left))
    active = np.arange(len(left))
    first, last = 1, 1
    while len(active):
        u = np.arange(first, last + 1.0)
        mass = np.cumsum(np.exp(_log_pmf(_some(law, active), u)), 1)
        # a tail that holds nothing more can only have been missed by rounding
        done = (left[active] < mass[:, -1]) | ((mass[:, -1] < REST) & (law.mean[active] < first))
        inside = (left[active, None] >= mass).sum(1)
        counts[active[done]] = first + np.minimum(inside[done], len(u) - 1)
        left[active] -= mass[:, -1]
        active = active[~done]
        first, last = last + 1, 2 * last
    return counts


def _some(law: Law, index: np.ndarray) -> Law:
    return jax.tree.map(lambda v: v[index, None] if len(v) > 1 else v[:, None], law)


def _log_pmf(law: Law, u: np.ndarray) -> np.ndarray:
    """(entries, counts) from values of one column, for u >= 1."""
    total = law.zero + u * law.slope - gammaln(u + 1)
    for sign, log_a in zip(law.signs, law.log_a, strict=True):
        total = total + sign * (gammaln(np.exp(log_a) + u) - gammaln(np.exp(log_a)))
    return total


def _by_kernel(kernel, core: dict, n: int, key) -> np.ndarray:
    """n counts of the kernel at entries, in batches of one compiled shape."""
    core = {k: np.broadcast_to(v, n) for k, v in core.items()}
    counts = np.zeros(n)
    for start in range(0, n, BATCH):
        batch = {k: np.resize(v[start : start + BATCH], BATCH) for k, v in core.items()}
        drawn = np.asarray(_sample(kernel, jax.random.fold_in(key, start), batch))
        counts[start : start + BATCH] = drawn[: n - start]
    return counts


@functools.partial(jax.jit, static_argnums=0)
def _sample(kernel, key, core):
    return kernel.sample(key, core, (BATCH,))


def _sparse(cell, gene, counts, shape) -> csr_array:
    largest = counts.max(initial=0)
    if not largest <= np.iinfo(np.int32).max:
        raise NumericalError(
            f"a count of {largest:g} was drawn, above {np.iinfo(np.int32).max}, the largest that can be stored: "
            f"give parameters (--params) or narrower priors"
        )
    seen = counts > 0
    return csr_array((counts[seen].astype(np.int32), (cell[seen], gene[seen])), shape)
