"""No parameter of a cell's own: a gene's counts matter by their histogram alone, whatever the kernel and the gate.

Histograms are of each dataset where parameters are. A kernel of rising factorials needs the tails of the histograms, any
other its distinct counts.
"""

from __future__ import annotations

import jax.numpy as jnp

from ...axes import DATASET, GENE
from .. import gate, mixture
from ..counts import log_rising_total
from . import Lane


def legal(spec) -> bool:
    return not (spec.capture or spec.mixed or spec.per_cell)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    rising = kernel.rising(natural.core)
    zero = kernel.log_prob_zero(natural.core)
    if rising is None:
        return {(DATASET, GENE): _by_distinct_counts(kernel, natural, zero, stats["pairs"])}
    return {(DATASET, GENE): _by_tails(natural, zero, rising, stats["tails"])}


def _by_tails(natural, zero, rising, tails):
    """log P(u) = log P(0) + u slope + sum of signed log rising factorials - log u!; the gate changes the zero class."""
    slope, factorials = rising
    total = (tails["total"][None] * slope).sum() - tails["log_factorial"]
    for sign, log_a in factorials:
        total += sign * log_rising_total(tails, log_a[0])
    nonzero = zero if natural.logit_gate is None else zero + gate.log_nonzero(natural.logit_gate)
    total += (tails["nonzero"][None] * nonzero).sum()
    return total + _of_zeros(natural, zero, tails)


def _by_distinct_counts(kernel, natural, zero, pairs):
    """n log P(u) over the distinct counts u of each gene."""
    shape = pairs["nonzero"].shape

    def at_pairs(v):
        return jnp.broadcast_to(v[0], shape).reshape(-1)[pairs["row"]]

    f = kernel.log_prob({name: at_pairs(v) for name, v in natural.core.items()}, pairs["count"])
    if natural.logit_gate is not None:
        f = f + gate.log_nonzero(at_pairs(natural.logit_gate))
    return (pairs["n"] * f).sum() + _of_zeros(natural, zero, pairs)


def _of_zeros(natural, zero, counted):
    """What cells without a count of a gene add."""
    if natural.logit_gate is not None:
        zero = gate.log_zero(zero, natural.logit_gate)
    return ((counted["n_cells"] - counted["nonzero"])[None] * zero).sum()


def statistics(spec) -> tuple[str, ...]:
    return ("pairs",) if spec.kernel == "two_state" else ("tails",)


MEMBER = Lane("histogram", 0, legal, statistics, terms, shares_rows=True)
