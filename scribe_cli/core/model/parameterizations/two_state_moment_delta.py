"""Mean, excess F of the Fano factor and delta = 1/(alpha + beta + 1): d = mu delta + F, r_hat = d/delta."""

from ..formula import Formula
from . import Parameterization
from ._logs import log_add, log_p

INPUTS = ("mu", "excess_fano", "inv_concentration")
D = "(mu delta + F)"


def log_d(mu, fano, delta):
    return log_add(mu + log_p(delta), fano)


MEMBER = Parameterization(
    name="two_state_moment_delta",
    aliases=("moment_delta", "delta"),
    kernel="two_state",
    samples=(("mu", "mean", "positive"), ("excess_fano", "burst", "positive"), ("inv_concentration", "switching", "unit")),
    natural={
        "log_alpha": Formula(INPUTS, lambda mu, f, d: mu + log_p(-d) - log_d(mu, f, d), f"mu (1-delta)/{D}"),
        "log_beta": Formula(INPUTS, lambda mu, f, d: f + log_p(-d) - log_p(d) - log_d(mu, f, d), f"F (1-delta)/(delta {D})"),
        "log_rate": Formula(INPUTS, lambda mu, f, d: log_d(mu, f, d) - log_p(d), f"{D}/delta"),
    },
    capture="p_capture",
)
