"""Distinct counts and the cells that hold them: linear maps between the two, each with its adjoint stored.

Both are products of a sparse and a small dense matrix, in either direction, so no derivative is a scatter.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCSR

from . import gate
from .special import log_factorial, log_rising


def _product(rows, matrix):
    """rows: (data, indices, pointers) of compressed rows; matrix: (columns, n)."""
    return BCSR(rows, shape=(len(rows[2]) - 1, matrix.shape[0])) @ matrix


@jax.custom_vjp
def sums(cells, pairs, table):
    """cells @ table, (cells, n), of a table (pairs, n); `pairs` is the transpose of `cells`, for the way back."""
    return _product(cells, table)


sums.defvjp(
    lambda cells, pairs, table: (_product(cells, table), pairs),
    lambda pairs, slope: (None, None, _product(pairs, slope)),
)


@jax.custom_vjp
def _spread(value, row, members):
    """value[row]; members: which pairs belong to each row, for the way back."""
    return value[row]


_spread.defvjp(
    lambda value, row, members: (value[row], members),
    lambda members, slope: (_product(members, slope), None, None),
)


def at_pairs(value, pairs):
    """(components, pairs, n) of a value (components, datasets or 1, genes or 1, n): what it is for the gene of each pair."""
    shape = pairs["nonzero"].shape
    components, n = value.shape[0], value.shape[3]
    flat = jnp.broadcast_to(value, (components, *shape, n)).reshape(components, -1, n)
    spread = _spread(flat.transpose(1, 0, 2).reshape(-1, components * n), pairs["row"], pairs["members"])
    return spread.reshape(-1, components, n).transpose(1, 0, 2)


def tables(kernel, natural, pairs, log_nu=None):
    """((components, pairs, n), (components, datasets or 1, n)) at n values of log capture, or 1 without:

    what each distinct count adds to the log probability of a cell of zeros, and that log probability.
    """
    core = {name: v[..., None] for name, v in natural.core.items()}
    of_pairs = {name: at_pairs(v, pairs)[:, :, None] for name, v in core.items()}
    if log_nu is not None:
        core, of_pairs = (kernel.thin(n, log_nu.reshape(1, 1, 1, -1)) for n in (core, of_pairs))
    zero = kernel.log_prob_zero(core)
    count, rising = pairs["count"].reshape(1, -1, 1, 1), kernel.rising(of_pairs)
    if rising is None:
        table = kernel.log_prob(of_pairs, count)[:, :, 0] - at_pairs(zero, pairs)
    else:
        table = _by_factorials(count, *rising)[:, :, 0]
    if natural.logit_gate is not None:
        logit = natural.logit_gate[..., None]
        gated = gate.log_zero(zero, logit)
        table = table + at_pairs(gate.log_nonzero(logit) + zero - gated, pairs)
        zero = gated
    return table, (zero * pairs["present"][None, :, :, None]).sum(2)


def _by_factorials(count, slope, factorials):
    """log P(u) - log P(0) of a kernel of rising factorials, u >= 1: a few logs where its log pmf takes many."""
    return count * slope + sum(sign * log_rising(log_a, count) for sign, log_a in factorials) - log_factorial(count)
