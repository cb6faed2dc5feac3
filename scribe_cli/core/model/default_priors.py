"""The default priors (MODELS.md 3): two tables, constrained and unconstrained, and the biology of capture."""

from __future__ import annotations

import math

from .spec import Prior


def _normal(loc: float, scale: float) -> Prior:
    return Prior("normal", {"loc": loc, "scale": scale})


def _beta(a: float, b: float) -> Prior:
    return Prior("beta", {"a": a, "b": b})


def _beta_prime(a: float, b: float) -> Prior:
    return Prior("beta_prime", {"a": a, "b": b})


# {(parameter, role): (constrained, unconstrained)}. A LogNormal is a normal of the log. A capture coordinate keeps
# its law in both: a Normal per cell would be a guess at the scale.
DEFAULTS = {
    ("p", "prob"): (_beta(1.0, 1.0), _normal(0.0, 1.0)),
    ("phi", "prob"): (_beta_prime(1.0, 1.0), _normal(0.0, 1.0)),
    ("mu", "mean"): (_normal(0.0, 3.0), _normal(0.0, 3.0)),
    ("r", "mean"): (_normal(0.0, 3.0), _normal(0.0, 3.0)),
    ("r", "dispersion"): (_normal(0.0, 1.5), _normal(0.0, 1.5)),
    ("gate", "gate"): (_beta(1.0, 9.0), _normal(-2.0, 1.0)),
    ("p_capture", "capture"): (_beta(1.0, 1.0), _beta(1.0, 1.0)),
    ("phi_capture", "capture"): (_beta_prime(1.0, 1.0), _beta_prime(1.0, 1.0)),
}

# mRNA molecules in a cell; sigma_M is the spread of their log
ORGANISMS = {"human": 200_000.0, "mouse": 200_000.0, "yeast": 60_000.0, "ecoli": 3_000.0}
SIGMA_M = 0.3


def default(name: str, role: str, unconstrained: bool) -> Prior:
    return DEFAULTS[name, role][int(unconstrained)]


def library_size(log_M0: float, sigma_M: float) -> Prior:
    """eta_c ~ Normal(log M_0 - log L_c, sigma_M), eta >= 0; L_c is a fact of the data."""
    return Prior("library_size", {"log_M0": log_M0, "sigma_M": sigma_M, "log_library": "log_library"})


def of_organism(organism: str) -> Prior:
    return library_size(math.log(ORGANISMS[organism]), SIGMA_M)


def through_softplus(prior: Prior) -> Prior:
    """N(m, s) of the log as a law of softplus^-1: N(softplus^-1(e^m), s)."""
    median = math.exp(prior.args["loc"])
    return _normal(median + math.log(-math.expm1(-median)), prior.args["scale"])
