"""The default priors (MODELS.md 3): two tables, constrained and unconstrained, and the biology of capture."""

from __future__ import annotations

import math

from .spec import Prior

MEAN_OF_DATA = "log_mu_hat"  # of Facts: the log of a gene's observed mean before capture


def normal(loc: float | str, scale: float) -> Prior:
    return Prior("normal", {"loc": loc, "scale": scale})


def _beta(a: float, b: float) -> Prior:
    return Prior("beta", {"a": a, "b": b})


def _beta_prime(a: float, b: float) -> Prior:
    return Prior("beta_prime", {"a": a, "b": b})


# {(parameter, role): (constrained, unconstrained)}. A LogNormal is a normal of the log. A capture coordinate keeps
# its law in both: a Normal per cell would be a guess at the scale.
DEFAULTS = {
    ("p", "prob"): (_beta(1.0, 1.0), normal(0.0, 1.0)),
    ("phi", "prob"): (_beta_prime(1.0, 1.0), normal(0.0, 1.0)),
    ("mu", "mean"): (normal(0.0, 3.0), normal(0.0, 3.0)),
    ("r", "mean"): (normal(0.0, 3.0), normal(0.0, 3.0)),
    ("r", "dispersion"): (normal(0.0, 1.5), normal(0.0, 1.5)),
    ("burst_size", "burst"): (normal(0.0, 1.5), normal(0.0, 1.5)),
    ("excess_fano", "burst"): (normal(0.0, 1.5), normal(0.0, 1.5)),
    ("k_off", "switching"): (normal(3.0, 2.0), normal(3.0, 2.0)),
    ("switching_ratio", "switching"): (normal(3.0, 2.0), normal(3.0, 2.0)),
    ("concentration", "switching"): (normal(3.0, 2.0), normal(3.0, 2.0)),
    ("inv_concentration", "switching"): (_beta(1.0, 50.0), normal(-3.0, 2.0)),
    ("gate", "gate"): (_beta(1.0, 9.0), normal(-2.0, 1.0)),
    ("p_capture", "capture"): (_beta(1.0, 1.0), _beta(1.0, 1.0)),
    ("phi_capture", "capture"): (_beta_prime(1.0, 1.0), _beta_prime(1.0, 1.0)),
    ("mixing_weights", "weights"): (Prior("dirichlet", {"a": 1.0}),) * 2,
}
# of a two-state model: the mean is near the data's, and with nu about .01 real genes have bursts of 7 to 140
TWO_STATE_MEAN = normal(MEAN_OF_DATA, 1.0)
BURST_WITH_BIOLOGY = normal(2.0, 2.0)

# mRNA molecules in a cell; sigma_M is the spread of their log
ORGANISMS = {"human": 200_000.0, "mouse": 200_000.0, "yeast": 60_000.0, "ecoli": 3_000.0}
SIGMA_M = 0.3


def default(name: str, role: str, unconstrained: bool, two_state: bool = False, biology: bool = False) -> Prior:
    """biology: whether the prior of capture knows the number of molecules in a cell."""
    if two_state and role == "mean":
        return TWO_STATE_MEAN
    if biology and role == "burst":
        return BURST_WITH_BIOLOGY
    return DEFAULTS[name, role][int(unconstrained)]


def library_size(log_M0: float | str, sigma_M: float) -> Prior:
    """eta_c ~ Normal(log M_0 - log L_c, sigma_M), eta >= 0; L_c is a fact of the data."""
    return Prior("library_size", {"log_M0": log_M0, "sigma_M": sigma_M, "log_library": "log_library"})


def of_organism(organism: str) -> Prior:
    return library_size(math.log(ORGANISMS[organism]), SIGMA_M)


def through_softplus(prior: Prior) -> Prior:
    """N(m, s) of the log as a law of softplus^-1: N(softplus^-1(e^m), s)."""
    median = math.exp(prior.args["loc"])
    return normal(median + math.log(-math.expm1(-median)), prior.args["scale"])
