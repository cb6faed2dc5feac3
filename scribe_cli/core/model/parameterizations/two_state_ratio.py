"""Mean, burst size b = mu/alpha and switching ratio s = beta/alpha: r_hat = mu (1 + s)."""

from ..formula import Formula
from . import Parameterization
from ._logs import log_one_plus

MEMBER = Parameterization(
    name="two_state_ratio",
    aliases=("ratio",),
    kernel="two_state",
    samples=(("mu", "mean", "positive"), ("burst_size", "burst", "positive"), ("switching_ratio", "switching", "positive")),
    natural={
        "log_alpha": Formula(("mu", "burst_size"), lambda mu, b: mu - b, "mu/b"),
        "log_beta": Formula(("mu", "burst_size", "switching_ratio"), lambda mu, b, s: s + mu - b, "s mu/b"),
        "log_rate": Formula(("mu", "switching_ratio"), lambda mu, s: mu + log_one_plus(s), "mu (1+s)"),
    },
    capture="p_capture",
)
