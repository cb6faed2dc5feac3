"""NB with capture and one p for all genes: genes meet cells only through R = sum of r (ENGINE.md 3).

log-lik = sum N_gj log(r_g + j) - log u! + sum over cells of [L_c log p_hat_c + R log(1 - p_hat_c)]; r, p and R may be
of each dataset.
"""

from __future__ import annotations

import jax.numpy as jnp

from ...axes import CELL, DATASET, GENE
from .. import mixture
from ..counts import log_rising_total
from ..special import log_sigmoid, softplus
from . import Lane


def legal(spec) -> bool:
    shared = spec.kernel == "negative_binomial" and GENE not in spec.coordinate_axes("logit_p")
    return bool(spec.capture) and shared and not (spec.gated or spec.mixed)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    log_r = natural.core["log_r"]
    logit = (facts.to_cells(natural.core["logit_p"]) + natural.log_nu)[0, :, 0]
    total_r = facts.to_cells(facts.sum_of_genes(jnp.exp(log_r)))[0, :, 0]
    weight = jnp.broadcast_to(facts.weight, logit.shape)
    tails = stats["tails"]
    return {
        (DATASET, GENE): log_rising_total(tails, log_r[0]) - tails["log_factorial"],
        (CELL,): (weight * stats["row_total"] * log_sigmoid(logit)).sum(),
        (CELL, GENE): -(total_r * weight * softplus(logit)).sum(),
    }


MEMBER = Lane("separable", 1, legal, lambda spec: ("tails", "row_total"), terms, shares_rows=True)
