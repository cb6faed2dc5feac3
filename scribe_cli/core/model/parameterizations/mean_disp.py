"""Mean and dispersion: phi = r/mu, so p is a gene's own."""

from ..formula import Formula
from . import Parameterization

MEMBER = Parameterization(
    name="mean_disp",
    aliases=(),
    kernel="negative_binomial",
    samples=(("mu", "mean", "positive"), ("r", "dispersion", "positive")),
    natural={
        "log_r": Formula(("r",), lambda r: r, "r"),
        "logit_p": Formula(("mu", "r"), lambda mu, r: mu - r, "mu/(mu+r)"),
    },
    capture="p_capture",
)
