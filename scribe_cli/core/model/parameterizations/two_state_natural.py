"""Mean, burst size b = mu/alpha and k_off = beta: r_hat = mu + b k_off."""

from ..formula import Formula
from . import Parameterization
from ._logs import log_add

MEMBER = Parameterization(
    name="two_state_natural",
    aliases=("natural",),
    kernel="two_state",
    samples=(("mu", "mean", "positive"), ("burst_size", "burst", "positive"), ("k_off", "switching", "positive")),
    natural={
        "log_alpha": Formula(("mu", "burst_size"), lambda mu, b: mu - b, "mu/b"),
        "log_beta": Formula(("k_off",), lambda k: k, "k_off"),
        "log_rate": Formula(("mu", "burst_size", "k_off"), lambda mu, b, k: log_add(mu, b + k), "mu + b k_off"),
    },
    capture="p_capture",
)
