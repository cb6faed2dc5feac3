"""Mean and odds phi = (1-p)/p: r = mu phi, p = 1/(1+phi)."""

from ..formula import Formula
from . import Parameterization

MEMBER = Parameterization(
    name="mean_odds",
    aliases=("odds_ratio",),
    kernel="negative_binomial",
    samples=(("mu", "mean", "positive"), ("phi", "prob", "positive")),
    natural={
        "log_r": Formula(("mu", "phi"), lambda mu, phi: mu + phi, "mu phi"),
        "logit_p": Formula(("phi",), lambda phi: -phi, "1/(1+phi)"),
    },
    capture="phi_capture",
)
