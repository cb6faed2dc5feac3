"""Counts of whole cells, sparse, at one point of a model: of a mixture each cell of a component of its own.

An entry is zero or not by its exact probability; a count above zero comes from its distribution function, tabulated
as far as needed, so that the cost follows the counts. Entries that are hardly ever zero are drawn by the kernel.
Cells come in blocks of fixed rows with random numbers of their own: how they are asked for changes nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array, vstack
from scipy.special import expit, gammaln

from ...errors import NumericalError
from ..axes import CELL, DATASET, GENE
from ..facts import Facts
from ..model.spec import ModelSpec
from ..numerics import kernels
from ..numerics.natural import Natural
from . import laws
from .pointwise import of_cells, of_genes

BLOCK = 128  # cells with a stream of random numbers of their own; to change it is to change every draw
CELLS = 8  # of a block, looked at together
BATCH = 8192  # entries that the kernel draws in one compiled call
SELDOM_ZERO = -7.0  # log P(0) below which the kernel draws
REST = 1e-12  # mass of the far tail that is left out
# where each sum starts from 0 again: counts of the first, and the mean from which the kernel draws
FIRST, FAR = 16, 4096.0
ENTRIES = 2**22  # of entries x counts in memory at one time
COMPONENTS = 1  # a stream of random numbers


def chunks(
    spec: ModelSpec, natural: Natural, facts: Facts, seed: int, cells: int = 2048, threads: int = 1
) -> Iterator[tuple[int, csr_array]]:
    """(first cell, int32 counts) of about `cells` cells at a time. Raises NumericalError for counts beyond int32.

    The same seed draws with the same random numbers, whatever the threads: what a fit draws must have another seed than
    its data had.
    """
    n_cells, size = facts.sizes[CELL], -(-cells // BLOCK) * BLOCK
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, n_cells, size):
            blocks = range(start, min(start + size, n_cells), BLOCK)
            yield start, vstack(list(pool.map(lambda a: _block(spec, natural, facts, seed, a), blocks)), format="csr")


def components(spec: ModelSpec, natural: Natural, facts: Facts, seed: int) -> np.ndarray | None:
    """(cells,) the component that each cell is drawn from with this seed; None of a model that is no mixture."""
    if natural.log_weights is None:
        return None
    n_cells = facts.sizes[CELL]
    of_blocks = [_components(spec, natural, facts, _rows(facts, a), seed, a) for a in range(0, n_cells, BLOCK)]
    return np.concatenate(of_blocks)[:n_cells]


def _rows(facts: Facts, first: int) -> np.ndarray:
    """Of a block, as long as any other: the last cell stands for those that are not there."""
    return np.minimum(np.arange(first, first + BLOCK), facts.sizes[CELL] - 1)


def _components(spec: ModelSpec, natural: Natural, facts: Facts, rows: np.ndarray, seed: int, first: int) -> np.ndarray:
    """(cells,) of a block, from a stream of random numbers that nothing else draws from."""
    here = facts.rows(rows, 1.0)
    log_weights = np.asarray(of_cells(natural, rows).at_cells(kernels.load(spec.kernel), here)[2])
    below = np.cumsum(np.exp(log_weights[:-1, :, 0]), 0)
    return (np.random.default_rng([seed, first, COMPONENTS]).random(len(rows)) >= below).sum(0)


def of_components(natural: Natural, facts: Facts, component: np.ndarray) -> Natural:
    """The point of cells whose components are known, (cells,), with a row for each cell where anything varies."""
    dataset = np.asarray(facts.arrays["dataset_of_cell"]) if natural.row == DATASET else 0

    def gather(v):
        if v is None or v.shape[:2] == (1, 1):
            return v
        by_row = np.arange(len(component)) if natural.row == CELL else dataset
        return np.asarray(v)[component if v.shape[0] > 1 else 0, by_row if v.shape[1] > 1 else 0].reshape(1, -1, v.shape[2])

    core = {name: gather(v) for name, v in natural.core.items()}
    return Natural(core, natural.log_nu, gather(natural.logit_gate), row=CELL)


def _block(spec: ModelSpec, natural: Natural, facts: Facts, seed: int, first: int) -> csr_array:
    """Cells first to first + BLOCK, as far as there are any."""
    n, rows = min(BLOCK, facts.sizes[CELL] - first), _rows(facts, first)
    kernel, here, there, n_genes = kernels.load(spec.kernel), of_cells(natural, rows), facts.rows(rows, 1.0), facts.sizes[GENE]
    if natural.log_weights is not None:
        here = of_components(here, there, _components(spec, natural, facts, rows, seed, first))
    there = there.filled()  # of programs that other data share
    of_block = _law(kernel, of_genes(here, there.sizes[GENE]), there)
    core, gate, law = jax.tree.map(lambda v: np.asarray(v)[0, :, :n_genes], of_block)
    rng = np.random.default_rng([seed, first])
    often = (law.zero > SELDOM_ZERO) & ((law.mean < FAR) | (law.core is None))
    cell, gene = _above(law.zero, often, gate, n, rng)
    counts = np.zeros(len(cell))
    often = often[cell, gene]
    counts[often] = _above_zero(kernel, _entries(law, cell[often], gene[often]), rng)
    key = jax.random.fold_in(jax.random.PRNGKey(seed), first)
    counts[~often] = _by_kernel(kernel, _entries(core, cell[~often], gene[~often]), int((~often).sum()), key)
    return _sparse(cell, gene, counts, (n, n_genes))


def _above(zero: np.ndarray, often: np.ndarray, gate: np.ndarray | None, n: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """(cell, gene) of the entries to be drawn, of the first n cells: some cells at a time, which a cache holds."""
    found = []
    for a in range(0, BLOCK, CELLS):
        rows = slice(a, a + CELLS)
        chance = np.where(often[rows], -np.expm1(zero[rows]), 1.0)
        if gate is not None:
            chance *= expit(-gate[rows] if len(gate) > 1 else -gate)
        cell, gene = np.nonzero(rng.random(chance.shape) < chance)
        found.append((a + cell, gene))
    cell, gene = (np.concatenate(v) for v in zip(*found, strict=True))
    return cell[cell < n], gene[cell < n]


class Law(NamedTuple):
    """log P(0) and the mean of entries, and what P(u) is made of: the kernel's coordinates, or

    log P(u) = zero + u slope + sum of signs log (a)_u - log u!.
    """

    zero: Any
    mean: Any
    core: dict | None
    slope: Any
    signs: list
    log_a: list


@functools.partial(jax.jit, static_argnums=0)
def _law(kernel, natural: Natural, facts: Facts):
    """(core coordinates, logit gate, Law), (1, cells, genes) each, 1 where they do not vary."""
    core, gate, _ = natural.at_cells(kernel, facts)
    shape = (1, facts.sizes[CELL], facts.sizes[GENE])
    zero, mean = (jnp.broadcast_to(v, shape) for v in (kernel.log_prob_zero(core), kernel.mean(core)))
    rising = kernel.rising(core)
    if rising is None:
        return core, gate, Law(zero, mean, core, None, [], [])
    slope, terms = rising
    return core, gate, Law(zero, mean, None, slope, [jnp.full((1, 1, 1), s) for s, _ in terms], [a for _, a in terms])


def _entries(tree, cell: np.ndarray, gene: np.ndarray):
    """Values (cells or 1, genes or 1) at some entries, (entries,) or (1,) each."""
    return jax.tree.map(lambda v: v[cell if len(v) > 1 else 0, gene if v.shape[1] > 1 else 0].reshape(-1), tree)


def _above_zero(kernel, law: Law, rng: np.random.Generator) -> np.ndarray:
    """A count of at least 1 for every entry, by inversion: the pmf is summed over 1, 2, 3-4, 5-8, ... in turn.

    Where each sum starts from 0 again (laws.py) the first is over more counts.
    """
    left = rng.random(len(law.zero)) * -np.expm1(law.zero)
    counts = np.ones(len(left))
    active = np.arange(len(left))
    first, last = 1, 1 if law.core is None else FIRST
    while len(active):
        step = max(1, ENTRIES // last)
        done = np.concatenate([
            _found(kernel, law, active[a : a + step], left, counts, first, last) for a in range(0, len(active), step)
        ])  # fmt: skip
        active = active[~done]
        first, last = last + 1, 2 * last
    return counts


def _found(kernel, law: Law, active: np.ndarray, left: np.ndarray, counts: np.ndarray, first: int, last: int) -> np.ndarray:
    """(active,) whether its count was found among first..last, and put; else that much mass is taken off what is left."""
    mass = np.cumsum(np.exp(_log_pmf(kernel, _some(law, active), first, last)), 1)
    # a tail that holds nothing more can only have been missed by rounding
    done = (left[active] < mass[:, -1]) | (~(mass[:, -1] >= REST) & (law.mean[active] < first))
    inside = (left[active, None] >= mass).sum(1)
    counts[active[done]] = first + np.minimum(inside[done], last - first)
    left[active] -= mass[:, -1]
    return done


def _some(law: Law, index: np.ndarray) -> Law:
    return jax.tree.map(lambda v: v[index, None] if len(v) > 1 else v[:, None], law)


def _log_pmf(kernel, law: Law, first: int, last: int) -> np.ndarray:
    """(entries, counts from first to last) from values of one column, for first >= 1."""
    if law.core is not None:
        return laws.log_pmf(kernel, law.core, law.zero, last)[first:, :, 0].T
    u = np.arange(first, last + 1.0)
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
