"""The reference: every cell x gene. It can run on a minibatch of cells."""

from __future__ import annotations

from ...axes import CELL, GENE
from .. import gate, mixture
from . import Lane


def log_pmf(kernel, natural, facts, counts):
    """log P of each entry under each component, (component, cell, gene), for counts (cells, genes)."""
    core, logit_gate, _ = natural.at_cells(kernel, facts)
    u = counts[None]
    f = kernel.log_prob(core, u)
    return f if logit_gate is None else gate.gated(f, kernel.log_prob_zero(core), logit_gate, u)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    f = log_pmf(kernel, natural, facts, stats["counts"].astype(float))
    _, _, log_weights = natural.at_cells(kernel, facts)
    if log_weights is not None:
        f = mix(log_weights + f.sum(2, keepdims=True))
    return {(CELL, GENE): (f * facts.weight3()).sum()}


MEMBER = Lane("dense", 9, lambda spec: True, lambda spec: ("counts",), terms, batched=True)
