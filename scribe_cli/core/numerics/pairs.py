"""Distinct counts and the cells that hold them: linear maps between the two, each with its adjoint stored.

Both are products of a sparse and a small dense matrix, in either direction, so no derivative is a scatter.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from . import gate
from .counts import GROUP, STEPS, log_ratio, product, spread
from .special import log_factorial, log_rising

RUNS = (1, 4, STEPS)  # largest counts of the genes whose counts from 0 on are looked at together


@jax.custom_vjp
def sums(cells, pairs, table):
    """cells @ table, (cells, n), of a table (pairs, n); `pairs` is the transpose of `cells`, for the way back."""
    return product(cells, table)


sums.defvjp(
    lambda cells, pairs, table: (product(cells, table), pairs),
    lambda pairs, slope: (None, None, product(pairs, slope)),
)


@jax.custom_vjp
def _permuted(value, order, inverse):
    """value[..., order]; its transpose is the gather by `inverse`, where the automatic one is a scatter."""
    return value[..., order]


_permuted.defvjp(
    lambda value, order, inverse: (value[..., order], inverse),
    lambda inverse, slope: (slope[..., inverse], None, None),
)


def in_order(value, pairs):
    """A value (components, datasets or 1, genes or 1) with its genes in the order of the pairs."""
    return value if value.shape[2] == 1 else _permuted(value, pairs["order"], pairs["inverse"])


def _of(value, genes):
    """(components, datasets or 1, genes or 1, n) of the first genes, as many as `genes`."""
    return value if value.shape[2] == 1 else value[:, :, : len(genes)]


def _flat(value, pairs, genes):
    """(components, datasets * genes, n) of a value of these genes."""
    components, n = value.shape[0], value.shape[3]
    return jnp.broadcast_to(value, (components, len(pairs["n_cells"]), len(genes), n)).reshape(components, -1, n)


def _at_groups(value, pairs):
    """(components, groups of counts above all steps, n) of a value (components, datasets or 1, genes or 1, n) in the order of the pairs."""
    rest, components, n = pairs["rest"], value.shape[0], value.shape[3]
    flat = _flat(_of(value, rest["genes"]), pairs, rest["genes"])
    of_pairs = spread(flat.transpose(1, 0, 2).reshape(-1, components * n), rest["row"], rest["members"])
    return of_pairs.reshape(-1, components, n).transpose(1, 0, 2)


def at_pairs(value, pairs):
    """(components, pairs, n) of a value (components, datasets or 1, genes or 1, n) in the order of the pairs."""
    rest, parts = [jnp.repeat(_at_groups(value, pairs), GROUP, 1)] if len(pairs["rest"]["row"]) else [], []
    for genes in pairs["steps"]:
        value = _of(value, genes)  # cut from what the step before left, as in `by_factorials`
        parts.append(_flat(value, pairs, genes))
    return jnp.concatenate(parts + rest, 1)


def tables(kernel, natural, pairs, log_nu=None):
    """((components, pairs, n), (components, datasets or 1, n)) at n values of log capture, or 1 without:

    what each distinct count adds to the log probability of a cell of zeros, and that log probability.
    """
    core = {name: in_order(v, pairs)[..., None] for name, v in natural.core.items()}
    core = core if log_nu is None else kernel.thin(core, log_nu.reshape(1, 1, 1, -1))
    rising = kernel.rising(core)
    ungated, of_pairs = (kernel.log_prob_zero(core), None) if rising else counted_together(kernel, core, pairs)
    base, zero = jnp.zeros((1, 1, 1, 1)), ungated
    if natural.logit_gate is not None:
        logit = in_order(natural.logit_gate, pairs)[..., None]
        zero = gate.log_zero(ungated, logit)
        base = gate.log_nonzero(logit) + ungated - zero
    table = by_factorials(pairs, base, *rising) if rising else of_pairs + at_pairs(base - ungated, pairs)
    return table, (zero * pairs["present"][None, :, :, None]).sum(2)


def counted_together(kernel, core, pairs):
    """(log P(0), (components, datasets or 1, genes, n); log P of the pairs, (components, pairs, n)) of a kernel that has no

    rising factorials, of core values (components, datasets or 1, genes or 1, 1 or n) in the order of the pairs.
    """
    components, datasets, _, n = jnp.broadcast_shapes(*(v.shape for v in core.values()))
    core = {name: jnp.broadcast_to(v, (components, datasets, len(pairs["order"]), v.shape[3])) for name, v in core.items()}
    columns = []
    for last, low, high in _runs(pairs):
        rows = {name: v[:, :, low:high].reshape(-1, v.shape[3]) for name, v in core.items()}
        table = kernel.log_probs(rows, jnp.arange(last + 1.0)[None])
        columns.append(jnp.split(table.reshape(components, datasets, high - low, -1), last + 1, 3))
    zero = jnp.concatenate([of_run[0] for of_run in columns], 2)
    parts = []
    for u, genes in enumerate(pairs["steps"], 1):
        found = jnp.concatenate([of_run[u] for of_run in columns if len(of_run) > u], 2)
        parts.append(_flat(_of(found, genes), pairs, genes))
    if len(pairs["rest"]["row"]):
        groups = {name: _at_groups(v, pairs) for name, v in core.items()}
        u = jnp.tile(pairs["rest"]["count"], (components, 1))
        found = kernel.log_probs({name: v.reshape(-1, v.shape[2]) for name, v in groups.items()}, u)
        parts.append(_of_groups(found.reshape(components, -1, GROUP, n)))
    return zero, jnp.concatenate(parts, 1)


def _runs(pairs):
    """(last, low, high): the genes low to high, in the order of the pairs, whose counts from 0 to `last` hold all their steps."""
    at_least = [len(pairs["order"]), *(len(genes) for genes in pairs["steps"]), 0]  # genes with a count of 0, 1, ...
    lasts = sorted({min(run, len(pairs["steps"])) for run in RUNS})
    bounds = zip(lasts, (-1, *lasts), strict=False)
    return [(last, at_least[last + 1], at_least[before + 1]) for last, before in bounds if at_least[last + 1] < at_least[before + 1]][::-1]


def _of_groups(value):
    """(components, pairs, n) of a value (components, groups, GROUP, n)."""
    return value.reshape(value.shape[0], -1, value.shape[3])


def by_factorials(pairs, base, slope, factorials):
    """(components, pairs, n) of base + u slope + sum of sign log (a)_u - log u!, all (components, datasets or 1, genes or 1, n)

    in the order of the pairs. One factor of (a)_u is added at each step; a count above all steps takes a few logs of its own.
    """
    signs, parts = [sign for sign, _ in factorials], []
    of_genes = total, step, *log_a = base, slope, *(a for _, a in factorials)
    for u, genes in enumerate(pairs["steps"], 1):
        # cut from what the step before left: the slopes of a cut are padded, each only to the length of the one before
        total, step, *log_a = (_of(v, genes) for v in (total, step, *log_a))
        total = total + (step + _factor(signs, log_a, u) - math.log(u))
        parts.append(_flat(total, pairs, genes))
    if len(pairs["rest"]["row"]):
        base, slope, *log_a = (_at_groups(v, pairs)[:, :, None] for v in of_genes)
        u = pairs["rest"]["count"][None, :, :, None]
        rises = sum(sign * log_rising(a, u) for sign, a in zip(signs, log_a, strict=True))
        parts.append(_of_groups(base + u * slope + rises - log_factorial(u)))
    return jnp.concatenate(parts, 1)


def _factor(signs, log_a, u):
    """The sum of sign log (a + u - 1)."""
    if u == 1:  # a itself: exp(log a) may underflow where genes are rare
        return sum(sign * a for sign, a in zip(signs, log_a, strict=True))
    return log_ratio(signs, [jnp.exp(a) + (u - 1.0) for a in log_a])
