"""A model in plain words."""

from __future__ import annotations

import numpy as np

from ...core.axes import GENE
from .material import Material

METHODS = {"svi": "variational inference", "mcmc": "Markov chains (NUTS)"}
LAW = (
    "The counts of a gene scatter around their mean as a negative binomial does: more than a Poisson, by what its "
    "size r says."
)
CAPTURE = (
    "Each cell shows only a share of its molecules, its capture probability \u03bd: the mean count of a gene in a cell "
    "is \u03bd of the cell times \u03bc of the gene."
)
NO_CAPTURE = "Every cell is taken to be seen equally well: \u03bc is the mean count of a gene, the same in every cell."
GATED = "Beyond these zeros a count may be zero for technical reasons, with a probability of the gene's own, the gate."
ONE_P = "All genes share one p, so variance over mean is the same for all of them."
OWN_R = "Each gene has a dispersion of its own, whatever its mean."


def number(value: float, digits: int = 2) -> str:
    """A few digits, and no exponent where it can be helped: 0.92, 17, 120, 3,400."""
    short = f"{value:.{digits}g}"
    return f"{float(short):,.10g}" if 1e-4 < abs(value) < 1e9 else short


def fitted(m: Material) -> str:
    """What was fitted to what, in one sentence."""
    return (
        f"{m.n_cells:,} cells \u00d7 {len(m.genes):,} genes, {m.metrics['nnz']:,} counts that are not zero; "
        f"model {m.model}, parameterization {m.stored.spec.parameterization}, by {METHODS[m.stored.method]}."
    )


def model(m: Material) -> list[str]:
    """Sentences."""
    spec = m.stored.spec
    said = [LAW, CAPTURE if spec.capture else NO_CAPTURE, *([GATED] if spec.gated else [])]
    said.append(OWN_R if GENE in m.stored.axes("p") else ONE_P)
    return said + scale(m)


def scale(m: Material) -> list[str]:
    """What gives mu and capture their common scale, where there is capture."""
    spec = m.stored.spec
    if spec.capture is None:
        return []
    prior = spec[spec.capture].prior
    if prior.family != "library_size":
        return [f"The scale that \u03bc and \u03bd share comes from the prior of {spec.capture} alone."]
    named = m.recipe["priors"].get("organism")
    of = f"of the organism {named} " if named else ""
    return [
        f"The scale that \u03bc and \u03bd share comes from the prior: a cell {of}is taken to hold about "
        f"{np.exp(prior.args['log_M0']):,.0f} molecules (log sd {prior.args['sigma_M']:g}), of which the "
        "library size L says what share was counted."
    ]
