"""A model in plain words."""

from __future__ import annotations

import numpy as np

from ...core.axes import COMPONENT, DATASET, GENE
from ...errors import listed
from .material import Material

METHODS = {"svi": "variational inference", "mcmc": "Markov chains (NUTS)"}
LAWS = {
    "negative_binomial": "The counts of a gene scatter around their mean as a negative binomial does: more than a Poisson, by "
    "what its size r says.",
    "beta_negative_binomial": "The counts of a gene scatter around their mean as a beta negative binomial does: its variance "
    "is 1 + \u03c9 times that of the negative binomial of size r, and its tail is heavier.",
    "two_state": "A gene is switched on at the rate k_on and off at k_off, in units of the decay of its molecules; its counts "
    "are Poisson given how long it was on, so that it bursts.",
}
MIXED = (
    "Each cell is of one of {n} components, which differ in {what}; how often a component occurs is its mixing weight{each}."
)
BY_DATASET = "Of each dataset, shrunk towards what the datasets share: {what}."
CAPTURE = (
    "Each cell shows only a share of its molecules, its capture probability \u03bd: the mean count of a gene in a cell "
    "is \u03bd of the cell times \u03bc of the gene."
)
NO_CAPTURE = "Every cell is taken to be seen equally well: \u03bc is the mean count of a gene{gate}, the same in every cell{each}."
BUT_FOR_THE_GATE = ", its gate aside"
GATED = "Beyond these zeros a count may be zero for technical reasons, with a probability of the gene's own, the gate."
ONE_P = "All genes share one p{each}{so}."
ONE_RATIO = ", so variance over mean is the same for all of them"  # without a gate, and without \u03c9
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
    seen = CAPTURE if spec.capture else NO_CAPTURE.format(gate=BUT_FOR_THE_GATE if spec.gated else "", each=_each(m, "mu", "of one"))
    said = [LAWS[spec.kernel], seen, *([GATED] if spec.gated else [])]
    if spec.family == "negative_binomial":
        plain = spec.kernel == "negative_binomial" and not spec.gated
        said.append(OWN_R if GENE in m.stored.axes("p") else ONE_P.format(each=_each(m, "p", "in each"), so=ONE_RATIO if plain else ""))
    return said + _parts(m) + scale(m)


def _each(m: Material, name: str, which: str) -> str:
    """" <which> component and dataset", where a parameter differs between these."""
    apart = [axis for axis in (COMPONENT, DATASET) if axis in m.stored.axes(name)]
    return f" {which} {' and '.join(apart)}" if apart else ""


def _parts(m: Material) -> list[str]:
    """What components and datasets are, and what is theirs."""
    spec, said = m.stored.spec, []
    if spec.mixed:
        each = ", in each dataset" if DATASET in spec["mixing_weights"].axes else ""
        what = listed(p.name for p in spec.params if COMPONENT in p.axes and p.role != "weights")
        said.append(MIXED.format(n=len(m.stored.coords[COMPONENT]), what=what, each=each))
    shrunk = [p.name for p in spec.params if DATASET in p.axes and p.role != "weights"]
    return said + ([BY_DATASET.format(what=listed(shrunk))] if shrunk else [])


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
        f"{np.exp(spec.log_M0):,.0f} molecules (log sd {prior.args['sigma_M']:g}), of which the "
        "library size L says what share was counted."
    ]
