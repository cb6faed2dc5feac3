"""No parameter of a cell's own: a gene's counts matter by their histogram alone, whatever the kernel and the gate."""

from __future__ import annotations

from ...axes import DATASET, GENE
from .. import gate
from ..counts import log_rising_total
from . import Lane


def legal(spec) -> bool:
    by_dataset = any(DATASET in p.axes for p in spec.params)
    return not (spec.capture or spec.mixed or by_dataset or spec.per_cell)


def terms(kernel, natural, facts, stats):
    """log P(u) = log P(0) + u slope + sum of signed log rising factorials - log u!; the gate changes the zero class."""
    tails = stats["tails"]
    slope, rising = kernel.rising(natural.core)
    zero = kernel.log_prob_zero(natural.core)
    nonzero, n_cells = tails["nonzero"][None, None], tails["n_cells"]
    total = (tails["total"][None, None] * slope).sum() - tails["log_factorial"]
    for sign, log_a in rising:
        total += sign * log_rising_total(tails, log_a[0, 0])
    if natural.logit_gate is None:
        total += n_cells * zero.sum()
    else:
        total += (nonzero * (zero + gate.log_nonzero(natural.logit_gate))).sum()
        total += ((n_cells - nonzero) * gate.log_zero(zero, natural.logit_gate)).sum()
    return {(GENE,): total}


MEMBER = Lane("histogram", 0, legal, ("tails",), terms, shares_rows=True)
