"""r and p themselves."""

from ..formula import Formula
from . import Parameterization

MEMBER = Parameterization(
    name="canonical",
    aliases=("standard",),
    kernel="negative_binomial",
    samples=(("r", "mean", "positive"), ("p", "prob", "unit")),
    natural={
        "log_r": Formula(("r",), lambda r: r, "r"),
        "logit_p": Formula(("p",), lambda p: p, "p"),
    },
    capture="p_capture",
)
