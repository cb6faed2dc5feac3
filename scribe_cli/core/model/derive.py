"""What is reported: every parameter of a kernel, sampled or derived, and the names it goes by."""

from __future__ import annotations

from dataclasses import dataclass

from ..axes import Axes, union
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

# per kernel: {reported parameter: (support, Formula of natural coordinates)}; holds every name that some
# parameterization of the kernel samples, so it is their inverse too
REPORTED = {
    "negative_binomial": {
        "r": ("positive", Formula(("log_r",), lambda r: r, "r")),
        "p": ("unit", Formula(("logit_p",), lambda p: p, "p")),
        "mu": ("positive", Formula(("log_r", "logit_p"), lambda r, p: r + p, "r p/(1-p)")),
        "phi": ("positive", Formula(("logit_p",), lambda p: -p, "(1-p)/p")),
    },
}


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
    sampled = {p.name for p in spec.params}
    rows = []
    for name, (support, formula) in REPORTED[spec.kernel].items():
        axes = union(*(spec.coordinate_axes(c) for c in formula.inputs))
        rows.append(Reported(name, axes, spec[name].support if name in sampled else support, name in sampled))
    rows += [Reported(p.name, p.axes, p.support, True) for p in spec.params if p.role in ("gate", "weights")]
    if spec.capture:
        kept = "p_capture" if spec.capture == "eta_capture" else spec.capture
        axes = spec[spec.capture].axes
        for name, coordinate in COORDINATES.items():
            rows.append(Reported(name, axes, coordinate.support, name == spec.capture, name == kept))
    return tuple(rows)


def log_values(spec: ModelSpec, x: dict) -> dict:
    """{reported parameter: log-scale value, rank 3} from the sampled ones' log-scale values.

    A sampled parameter passes through as it is: the way there and back could round.
    """
    point = natural(spec, x)
    values = {name: x[name] if name in x else formula(point.core) for name, (_, formula) in REPORTED[spec.kernel].items()}
    values |= {p.name: x[p.name] for p in spec.params if p.role in ("gate", "weights")}
    if spec.capture:
        values |= {n: x[n] if n in x else c.from_log_nu(point.log_nu) for n, c in COORDINATES.items()}
    return values


def values(spec: ModelSpec, x: dict) -> dict:
    """{reported parameter: value in its natural domain, rank 3}."""
    supports = {row.name: SUPPORTS[row.support] for row in reported(spec)}
    return {name: supports[name].value(v) for name, v in log_values(spec, x).items()}
