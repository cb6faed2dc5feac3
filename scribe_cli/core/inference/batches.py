"""Minibatches of cells: a fixed partition, its parts taken in a new order each epoch. All a function of seed and step."""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
import numpy as np

from .problem import Problem


def number(problem: Problem) -> int:
    """Batches in an epoch; 1 where the whole is taken at every step."""
    return 1 if problem.minibatch is None else math.ceil(problem.facts.sizes["cell"] / problem.minibatch.size)


def steps(problem: Problem, seed: int, first: int, n: int) -> dict:
    """What n steps scan over: step, batch (n,); in minibatches also index and weight (n, size) of cells, and counts.

    A cell weighs the number of batches, so that the sum over a random batch is unbiased; the last batch is filled up
    with cells of weight 0.
    """
    xs = {"step": first + jnp.arange(n)}
    if problem.minibatch is None:
        return xs | {"batch": np.zeros(n, int)}
    index, weight = partition(seed, problem.facts.sizes["cell"], problem.minibatch.size)
    n_batches = len(index)
    at = [_order(seed, s // n_batches, n_batches)[s % n_batches] for s in range(first, first + n)]
    counts = np.stack([problem.minibatch.read(rows) for rows in index[at]])
    return xs | {"index": index[at], "weight": weight[at], "counts": counts, "batch": np.array(at)}


@functools.lru_cache(maxsize=2)
def partition(seed: int, n_cells: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(index, weight), each (batches, size): all cells at random, once each."""
    n_batches = math.ceil(n_cells / size)
    index = np.resize(np.random.default_rng([seed, n_cells]).permutation(n_cells), n_batches * size)
    weight = np.where(np.arange(len(index)) < n_cells, float(n_batches), 0.0)
    return index.reshape(n_batches, size), weight.reshape(n_batches, size)


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n_batches: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, n_batches]).permutation(n_batches)
