"""Mixtures: the log probability of a cell under each component is a product of a sparse and a small matrix (ENGINE.md 8).

Row c of the sparse one marks the distinct (gene, count) pairs that the cell holds, the small one has a row for each pair
and a column for each component. Without capture its entries are log P(u) - log P(0); with capture and one p for all genes
they are log (r)_u - log u!, and what is left of a cell is L_c log p_hat + R log(1 - p_hat).
"""

from __future__ import annotations

import jax.numpy as jnp

from ...axes import CELL, COMPONENT, GENE
from .. import mixture
from ..pairs import by_factorials, in_order, of_genes, of_zeros, sums, table
from ..special import log_sigmoid, softplus
from . import Lane


def legal(spec) -> bool:
    shared = spec.kernel == "negative_binomial" and GENE not in spec.coordinate_axes("logit_p") and not spec.gated
    return spec.mixed and (shared or not spec.capture)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    held = stats["cell_pairs"]
    of_counts, of_cells = (_without_capture if natural.log_nu is None else _with_capture)(kernel, natural, facts, stats)
    f = sums(held["cells"], held["pairs"], of_counts.T).T[:, :, None] + of_cells
    log_weights = natural.weights(facts.to_cells(natural.log_weights), facts)
    return {(COMPONENT, CELL, GENE): (mix(log_weights + f) * facts.weight3()).sum()}


def _without_capture(kernel, natural, facts, stats):
    """((components, pairs), (components, cells or 1, 1)): what counts add to a cell of zeros, and that."""
    genes = of_genes(kernel, natural, stats["pairs"])
    return table(genes, stats["pairs"])[..., 0], facts.to_cells(of_zeros(genes))


def _with_capture(kernel, natural, facts, stats):
    pairs, log_r = stats["pairs"], natural.core["log_r"]
    rises = by_factorials(pairs, ((1.0, in_order(log_r, pairs)[..., None]),))[..., 0]
    logit = facts.to_cells(natural.core["logit_p"]) + natural.log_nu
    log_r = jnp.broadcast_to(log_r, (*log_r.shape[:2], pairs["nonzero"].shape[1]))
    total_r = facts.to_cells(facts.sum_of_genes(jnp.exp(log_r)))
    return rises, stats["row_total"][None, :, None] * log_sigmoid(logit) - total_r * softplus(logit)


MEMBER = Lane("mixture", 2, legal, lambda spec: ("pairs", "row_total", "cell_pairs"), terms)
