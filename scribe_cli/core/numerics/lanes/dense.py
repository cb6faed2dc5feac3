"""The reference: every cell x gene. It can run on a minibatch of cells."""

from __future__ import annotations

from ...axes import CELL, GENE
from .. import gate
from . import Lane


def log_pmf(kernel, natural, facts, counts):
    """log P of each entry, (component, cell, gene), for counts (cells, genes)."""
    core, logit_gate = natural.at_cells(kernel, facts)
    u = counts[None]
    f = kernel.log_prob(core, u)
    return f if logit_gate is None else gate.gated(f, kernel.log_prob_zero(core), logit_gate, u)


def terms(kernel, natural, facts, stats):
    f = log_pmf(kernel, natural, facts, stats["counts"].astype(float))
    return {(CELL, GENE): (f * facts.weight3()).sum()}


MEMBER = Lane("dense", 9, lambda spec: not spec.mixed, ("counts",), terms, batched=True)
