"""Distinct counts and the cells that hold them: linear maps between the two, each with its adjoint stored.

Both are products of a sparse and a small dense matrix, in either direction, so no derivative is a scatter.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from . import gate
from .counts import GROUP, log_ratio, product, spread
from .special import log_factorial, log_rising


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
    """value[..., order]; its transpose is the gather by `inverse`, where the automatic one is a scatter. An order may leave some out."""
    return value[..., order]


_permuted.defvjp(
    lambda value, order, inverse: (value[..., order], inverse),
    lambda inverse, slope: (slope.at[..., inverse].get(mode="fill", fill_value=0.0), None, None),
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
    """(components, groups of counts above all steps, n) of a value (components, datasets or 1, genes or 1, n), genes in order."""
    rest = pairs["rest"]
    return _by_component(_flat(_of(value, rest["genes"]), pairs, rest["genes"]), lambda v: spread(v, rest["row"], rest["members"]))


def _by_component(value, at):
    """at(value (rows, components * n)) of a value (components, rows, n), as (components, rows, n) again."""
    components, _, n = value.shape
    return at(value.transpose(1, 0, 2).reshape(-1, components * n)).reshape(-1, components, n).transpose(1, 0, 2)


def _cuts(value, pairs):
    """A value (datasets * genes, n) in the order of the pairs, at each of them: cuts, for those up to STEPS."""
    by_dataset = value.reshape(len(pairs["n_cells"]), -1, value.shape[1])
    first = lambda genes: by_dataset[:, : len(genes)].reshape(-1, value.shape[1])  # noqa: E731
    rest = pairs["rest"]
    parts = [jnp.repeat(first(rest["genes"])[rest["row"]], GROUP, 0)] if len(rest["row"]) else []
    return jnp.concatenate([first(genes) for genes in pairs["steps"]] + parts)


_spread = jax.custom_vjp(_cuts)
_spread.defvjp(
    lambda value, pairs: (_cuts(value, pairs), pairs["members"]),
    lambda members, slope: (product(members, slope), None),
)


def at_pairs(value, pairs):
    """(components, pairs, n) of a value (components, datasets or 1, genes or 1, n) in the order of the pairs."""
    return _by_component(_flat(value, pairs, pairs["order"]), lambda v: _spread(v, pairs))


def of_genes(kernel, natural, pairs, log_nu=None):
    """What `table` is linear in, at n values of log capture, or 1 without: zero (components, datasets or 1, genes or 1, n), the log

    probability of a count of 0, summed over genes where no count needs that of its own; opened and slope (components, datasets
    or 1, genes or 1, n) and rises (components, pairs, n or 1), such that opened + u slope + rises is the log probability of a
    count u. opened is None where it is zero's, slope where rises hold all that counts do.
    """
    core = {name: in_order(v, pairs)[..., None] for name, v in natural.core.items()}
    core = core if log_nu is None else kernel.thin(core, log_nu.reshape(1, 1, 1, -1))
    rising = kernel.rising(core)
    ungated, of_pairs = (kernel.log_prob_zero(core), None) if rising else counted_together(kernel, core, pairs)
    slope, rises, opened = (rising[0], by_factorials(pairs, rising[1]), ungated) if rising else (None, of_pairs, jnp.zeros((1, 1, 1, 1)))
    zero = ungated
    if natural.logit_gate is not None:
        logit = in_order(natural.logit_gate, pairs)[..., None]
        zero, opened = gate.log_zero(ungated, logit), gate.log_nonzero(logit) + opened
    zero = zero * pairs["present"][None, :, :, None]
    if rising and natural.logit_gate is None:
        zero, opened = zero.sum(2, keepdims=True), None
    return {"zero": zero, "opened": opened, "slope": slope, "rises": rises}


def table(genes, pairs):
    """(components, pairs, n): what each distinct count adds to the log probability of a cell of zeros, from `of_genes`."""
    found = genes["rises"]
    found = found if genes["opened"] is None else found + at_pairs(genes["opened"] - genes["zero"], pairs)
    return found if genes["slope"] is None else found + pairs["count"][None, :, None] * at_pairs(genes["slope"], pairs)


def last_coefficients(genes, pairs, transform):
    """What an interpolant of `table` and of the zeros' row may be wrong by, in nats over all cells: the last two coefficients of

    each row, times the cells it is of (ENGINE.md 7). transform: (n, n), from values at the nodes to coefficients.
    """
    last = lambda v: jnp.abs(v @ transform[-2:].T).sum(-1)  # noqa: E731
    of_counts = last(table(genes | {"zero": jnp.zeros((1, 1, 1, 1))}, pairs))
    zeros = (pairs["n_cells"] - pairs["nonzero"])[None, :, pairs["order"]]
    return (pairs["n"][None] * of_counts).sum() + (zeros * last(genes["zero"])).sum()


def of_zeros(genes):
    """(components, datasets or 1, n): the log probability of a cell of zeros, from `of_genes`."""
    return genes["zero"].sum(2)


def counted_together(kernel, core, pairs):
    """(log P(0), (components, datasets or 1, genes, n); log P of the pairs, (components, pairs, n)) of a kernel that has no

    rising factorials, of core values (components, datasets or 1, genes or 1, 1 or n) in the order of the pairs. Its counts are
    taken GROUP at a time, those of the steps and those above them alike: one shape, whatever the data.
    """
    components, datasets, _, n = jnp.broadcast_shapes(*(v.shape for v in core.values()))
    at_least = [len(pairs["order"]), *(len(genes) for genes in pairs["steps"])]  # genes with a count of 0, 1, ...
    core = {name: jnp.broadcast_to(v, (components, datasets, at_least[0], v.shape[3])) for name, v in core.items()}
    rows, counts = [], []
    for first in range(0, len(at_least), GROUP):
        rows.append({name: v[:, :, : at_least[first]].reshape(-1, v.shape[3]) for name, v in core.items()})
        counts.append(jnp.broadcast_to(first + jnp.arange(float(GROUP))[None], (components * datasets * at_least[first], GROUP)))
    if len(pairs["rest"]["row"]):
        rows.append({name: _at_groups(v, pairs).reshape(-1, v.shape[3]) for name, v in core.items()})
        counts.append(jnp.tile(pairs["rest"]["count"], (components, 1)))
    table = kernel.log_probs(jax.tree.map(lambda *v: jnp.concatenate(v), *rows), jnp.concatenate(counts))
    *of_steps, of_rest = jnp.split(table, np.cumsum([len(v) for v in counts])[: -(-len(at_least) // GROUP)])
    of_counts = []
    for found in of_steps:
        of_counts += jnp.split(found.reshape(components, datasets, -1, GROUP * n), GROUP, 3)
    parts = [_flat(_of(of_counts[u], genes), pairs, genes) for u, genes in enumerate(pairs["steps"], 1)]
    return of_counts[0], jnp.concatenate([*parts, of_rest.reshape(components, -1, n)], 1)


def _of_groups(value):
    """(components, pairs, n) of a value (components, groups, GROUP, n)."""
    return value.reshape(value.shape[0], -1, value.shape[3])


def by_factorials(pairs, factorials):
    """(components, pairs, n) of the sum of sign log (a)_u - log u!, a being (components, datasets or 1, genes or 1, n) in the order

    of the pairs. One factor of (a)_u is added at each step; a count above all steps takes a few logs of its own.
    """
    signs = [sign for sign, _ in factorials]
    # the first factor is a itself: exp(log a) may underflow where genes are rare
    total, parts, a = sum(sign * v for sign, v in factorials), [], [jnp.exp(v) for _, v in factorials]
    for u, genes in enumerate(pairs["steps"], 1):
        # cut from what the step before left: the slopes of a cut are padded, each only to the length of the one before
        total, *a = (_of(v, genes) for v in (total, *a))
        if u > 1:
            total = total + (log_ratio(signs, [v + (u - 1.0) for v in a]) - math.log(u))
        parts.append(_flat(total, pairs, genes))
    if len(pairs["rest"]["row"]):
        u = pairs["rest"]["count"][None, :, :, None]
        rises = sum(sign * log_rising(_at_groups(v, pairs)[:, :, None], u) for sign, v in factorials)
        parts.append(_of_groups(rises - log_factorial(u)))
    return jnp.concatenate(parts, 1)
