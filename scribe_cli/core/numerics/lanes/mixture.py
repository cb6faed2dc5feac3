"""Mixtures: the log probability of a cell under each component is a product of a sparse and a small matrix (ENGINE.md 8).

Row c of the sparse one marks the distinct (gene, count) pairs that the cell holds, the small one has a row for each pair
and a column for each component. Without capture its entries are log P(u) - log P(0); with capture and one p for all genes
they are log (r)_u - log u!, and what is left of a cell is L_c log p_hat + R log(1 - p_hat).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.experimental.sparse import BCSR

from ...axes import CELL, COMPONENT, GENE
from .. import gate, mixture
from ..special import log_factorial, log_rising, log_sigmoid, softplus
from . import Lane


def legal(spec) -> bool:
    shared = spec.kernel == "negative_binomial" and GENE not in spec.coordinate_axes("logit_p") and not spec.gated
    return spec.mixed and (shared or not spec.capture)


@jax.custom_vjp
def _sums(cells, pairs, table):
    """cells @ table, (cells, components); `pairs` is the transpose of `cells`, for the way back."""
    return _product(cells, table)


def _product(rows, matrix):
    """rows: (data, indices, pointers) of compressed rows."""
    return BCSR(rows, shape=(len(rows[2]) - 1, matrix.shape[0])) @ matrix


def _forwards(cells, pairs, table):
    return _product(cells, table), pairs


def _backwards(pairs, slope):
    return None, None, _product(pairs, slope)


_sums.defvjp(_forwards, _backwards)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    held = stats["cell_pairs"]
    table, of_cells = (_without_capture if natural.log_nu is None else _with_capture)(kernel, natural, facts, stats)
    f = _sums(held["cells"], held["pairs"], table.T).T[:, :, None] + of_cells
    log_weights = natural.weights(facts.to_cells(natural.log_weights), facts)
    return {(COMPONENT, CELL, GENE): (mix(log_weights + f) * facts.weight3()).sum()}


def _at_pairs(value, pairs):
    """(components, pairs) of a rank-3 value."""
    shape = pairs["nonzero"].shape
    return jnp.broadcast_to(value, (value.shape[0], *shape)).reshape(value.shape[0], -1)[:, pairs["row"]]


def _without_capture(kernel, natural, facts, stats):
    """(table, (components, cells or 1, 1)): what counts add to a cell of zeros, and that."""
    pairs = stats["pairs"]
    core = {name: _at_pairs(v, pairs) for name, v in natural.core.items()}
    f, zero = kernel.log_prob(core, pairs["count"][None]), kernel.log_prob_zero(natural.core)
    if natural.logit_gate is not None:
        f = f + gate.log_nonzero(_at_pairs(natural.logit_gate, pairs))
        zero = gate.log_zero(zero, natural.logit_gate)
    n_components, shape = natural.log_weights.shape[0], pairs["nonzero"].shape
    zero = jnp.broadcast_to(zero, (n_components, *shape))
    return f - _at_pairs(zero, pairs), facts.to_cells(zero.sum(2, keepdims=True))


def _with_capture(kernel, natural, facts, stats):
    pairs, n_components = stats["pairs"], natural.log_weights.shape[0]
    count = pairs["count"][None]
    log_r = jnp.broadcast_to(natural.core["log_r"], (n_components, *natural.core["log_r"].shape[1:]))
    table = log_rising(_at_pairs(log_r, pairs), count) - log_factorial(count)
    logit = facts.to_cells(natural.core["logit_p"]) + natural.log_nu
    total_r = facts.to_cells(jnp.exp(log_r).sum(2, keepdims=True))
    return table, stats["row_total"][None, :, None] * log_sigmoid(logit) - total_r * softplus(logit)


MEMBER = Lane("mixture", 2, legal, lambda spec: ("pairs", "row_total", "cell_pairs"), terms)
