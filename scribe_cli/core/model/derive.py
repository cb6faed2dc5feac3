"""What is reported: every parameter of a kernel, sampled or derived, and the names it goes by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp

from ..axes import Axes, union
from ..numerics.special import logaddexp, softplus
from .supports import SUPPORTS
from .capture import COORDINATES
from .formula import Formula
from .program import natural
from .spec import ModelSpec


@dataclass(frozen=True)
class Name:
    """How a parameter is called in words and in equations."""

    descriptive: str
    symbol: str


NAMES = {
    "r": Name("dispersion", "r"),
    "p": Name("prob", "p"),
    "mu": Name("expression", "mu"),
    "phi": Name("odds", "phi"),
    "gate": Name("zero_inflation", "gate"),
    "p_capture": Name("capture_prob", "nu"),
    "phi_capture": Name("capture_odds", "phi_nu"),
    "eta_capture": Name("capture_log_ratio", "eta"),
    "bnb_concentration": Name("overdispersion", "kappa"),
    "omega": Name("omega", "omega"),
    "mu_eta": Name("capture_scaling", "log M_0"),
    "mixing_weights": Name("mixing_weights", "w"),
    "z": Name("z", "z"),
    "burst_size": Name("burst_size", "b"),
    "k_off": Name("k_off", "k_off"),
    "k_on": Name("k_on", "k_on"),
    "switching_ratio": Name("switching_ratio", "s"),
    "excess_fano": Name("excess_fano", "F"),
    "concentration": Name("concentration", "kappa"),
    "inv_concentration": Name("inv_concentration", "delta"),
    "alpha": Name("alpha", "alpha"),
    "beta": Name("beta", "beta"),
    "r_hat": Name("r_hat", "r_hat"),
}

APART = ("gate", "scaling", "weights")  # roles that are reported as they are sampled

RATES = ("log_alpha", "log_beta", "log_rate")


def _excess_fano(a, b, r):
    """Of the count before capture."""
    both = logaddexp(a, b)
    return r + b - both - softplus(both)


# per kernel: {reported parameter: (support, Formula of natural coordinates)}; holds every name that some
# parameterization of the kernel samples, so it is their inverse too
REPORTED = {
    "negative_binomial": {
        "r": ("positive", Formula(("log_r",), lambda r: r, "r")),
        "p": ("unit", Formula(("logit_p",), lambda p: p, "p")),
        "mu": ("positive", Formula(("log_r", "logit_p"), lambda r, p: r + p, "r p/(1-p)")),
        "phi": ("positive", Formula(("logit_p",), lambda p: -p, "(1-p)/p")),
    },
    "two_state": {
        "mu": ("positive", Formula(RATES, lambda a, b, r: r + a - logaddexp(a, b), "r_hat alpha/(alpha+beta)")),
        "alpha": ("positive", Formula(("log_alpha",), lambda a: a, "alpha")),
        "beta": ("positive", Formula(("log_beta",), lambda b: b, "beta")),
        "r_hat": ("positive", Formula(("log_rate",), lambda r: r, "r_hat")),
        "k_on": ("positive", Formula(("log_alpha",), lambda a: a, "alpha")),
        "k_off": ("positive", Formula(("log_beta",), lambda b: b, "beta")),
        "burst_size": ("positive", Formula(RATES, lambda a, b, r: r - logaddexp(a, b), "r_hat/(alpha+beta)")),
        "switching_ratio": ("positive", Formula(("log_alpha", "log_beta"), lambda a, b: b - a, "beta/alpha")),
        "concentration": ("positive", Formula(("log_alpha", "log_beta"), logaddexp, "alpha+beta")),
        "inv_concentration": ("unit", Formula(("log_alpha", "log_beta"), lambda a, b: -logaddexp(a, b), "1/(alpha+beta+1)")),
        "excess_fano": ("positive", Formula(RATES, _excess_fano, "r_hat beta/((alpha+beta) (alpha+beta+1))")),
    },
}

# what a beta negative binomial has besides, of natural coordinates; kappa = 2 + (r+1)/omega
OF_BNB = {
    "omega": ("positive", Formula(("log_omega",), lambda omega: omega, "omega")),
    "bnb_concentration": (
        "positive",
        Formula(
            ("log_r", "log_omega"), lambda r, omega: logaddexp(jnp.full_like(r, LOG_2), softplus(r) - omega), "2 + (r+1)/omega"
        ),
    ),
}
LOG_2 = math.log(2.0)
PIECES = {"scale": "positive_softplus", "loc": "real"}  # supports of the sites of hierarchies; those of the others are logs


def is_piece(site: str) -> bool:
    """Whether a site is a location or scale of a hierarchy."""
    return not site.endswith(("_unconstrained", "_z"))


def is_scale(site: str) -> bool:
    """Whether a site is part of a hierarchy's scale."""
    return is_piece(site) and not site.endswith("_loc")


def support_of_piece(site: str) -> str:
    return PIECES.get(site.rpartition("_")[2], "positive")


def table(spec: ModelSpec) -> dict:
    """{reported parameter: (support, Formula of natural coordinates)} of the core of a model."""
    return REPORTED[spec.family] | (OF_BNB if spec.role("excess") else {})


@dataclass(frozen=True)
class Reported:
    """One reported parameter: where it varies, its support, and whether it is sampled or derived.

    stored: whether its draws are kept; of the three capture coordinates only one is (CONTRACT 3).
    """

    name: str
    axes: Axes
    support: str
    sampled: bool
    stored: bool = True


def reported(spec: ModelSpec) -> tuple[Reported, ...]:
    """Every parameter that a fit of this model reports."""
    sampled = {p.name: p for p in spec.params}
    rows = []
    for name, (support, formula) in table(spec).items():
        as_is = name in sampled and sampled[name].role != "excess"
        axes = sampled[name].axes if as_is else union(*(spec.coordinate_axes(c) for c in formula.inputs))
        rows.append(Reported(name, axes, spec[name].support if name in sampled else support, name in sampled))
    rows += [Reported(p.name, p.axes, p.support, True) for p in spec.params if p.role in APART]
    if spec.capture:
        kept = "p_capture" if spec.capture == "eta_capture" else spec.capture
        axes = spec[spec.capture].axes
        for name, coordinate in COORDINATES.items():
            rows.append(Reported(name, axes, coordinate.support, name == spec.capture, name == kept))
    return tuple(rows)


def log_values(spec: ModelSpec, x: dict) -> dict:
    """{reported parameter: log-scale value, rank 3} from the sampled ones' log-scale values.

    A sampled parameter passes through as it is: the way there and back could round. But that of omega goes by the name
    of kappa, which r has a part in.
    """
    point = natural(spec, x)
    as_is = {p.name: x[p.name] for p in spec.params if p.role != "excess"}
    values = {name: as_is[name] if name in as_is else formula(point.core) for name, (_, formula) in table(spec).items()}
    values |= {p.name: x[p.name] for p in spec.params if p.role in APART}
    if spec.capture:
        values |= {n: x[n] if n in x else c.from_log_nu(point.log_nu) for n, c in COORDINATES.items()}
    return values


def values(spec: ModelSpec, x: dict) -> dict:
    """{reported parameter: value in its natural domain, rank 3}."""
    supports = {row.name: SUPPORTS[row.support] for row in reported(spec)}
    return {name: supports[name].value(v) for name, v in log_values(spec, x).items()}
