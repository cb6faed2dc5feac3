"""No parameter of a cell's own: a gene's counts matter by their histogram alone, whatever the kernel and the gate.

Histograms are of each dataset where parameters are. A kernel of rising factorials needs the tails of the histograms, any
other its distinct counts.
"""

from __future__ import annotations

from ...axes import DATASET, GENE
from .. import gate, mixture
from ..counts import log_rising_totals
from ..pairs import of_genes, of_zeros, table
from . import Lane


def legal(spec) -> bool:
    return not (spec.capture or spec.mixed or spec.per_cell)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    rising = kernel.rising(natural.core)
    if rising is None:
        return {(DATASET, GENE): _by_distinct_counts(kernel, natural, stats["pairs"])}
    return {(DATASET, GENE): _by_tails(natural, kernel.log_prob_zero(natural.core), rising, stats["tails"])}


def _by_tails(natural, zero, rising, tails):
    """log P(u) = log P(0) + u slope + sum of signed log rising factorials - log u!; the gate changes the zero class."""
    slope, factorials = rising
    total = (tails["total"][None] * slope).sum() - tails["log_factorial"]
    total += log_rising_totals(tails, [(sign, log_a[0]) for sign, log_a in factorials])
    nonzero = zero if natural.logit_gate is None else zero + gate.log_nonzero(natural.logit_gate)
    total += (tails["nonzero"][None] * nonzero).sum()
    of_zeros = zero if natural.logit_gate is None else gate.log_zero(zero, natural.logit_gate)
    return total + ((tails["n_cells"] * tails["present"] - tails["nonzero"])[None] * of_zeros).sum()


def _by_distinct_counts(kernel, natural, pairs):
    """n log P(u) over the distinct counts u of each gene."""
    genes = of_genes(kernel, natural, pairs)
    return (pairs["n"] * table(genes, pairs)[0, :, 0]).sum() + (pairs["n_cells"] * of_zeros(genes)[0]).sum()


def statistics(spec) -> tuple[str, ...]:
    return ("pairs",) if spec.kernel == "two_state" else ("tails",)


MEMBER = Lane("histogram", 0, legal, statistics, terms, shares_rows=True)
