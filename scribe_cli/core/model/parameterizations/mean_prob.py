"""Mean and p: r = mu (1-p)/p."""

from ..formula import Formula
from . import Parameterization

MEMBER = Parameterization(
    name="mean_prob",
    aliases=("linked",),
    kernel="negative_binomial",
    samples=(("mu", "mean", "positive"), ("p", "prob", "unit")),
    natural={
        "log_r": Formula(("mu", "p"), lambda mu, p: mu - p, "mu (1-p)/p"),
        "logit_p": Formula(("p",), lambda p: p, "p"),
    },
    capture="p_capture",
)
