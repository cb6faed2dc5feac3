"""Mean, excess F of the Fano factor and concentration kappa = alpha + beta; d = r_hat = mu + F (kappa + 1)."""

from ..formula import Formula
from . import Parameterization
from ._logs import log_add, log_one_plus

INPUTS = ("mu", "excess_fano", "concentration")
RATE = "mu + F (kappa+1)"


def log_rate(mu, fano, kappa):
    return log_add(mu, fano + log_one_plus(kappa))


MEMBER = Parameterization(
    name="two_state_mean_fano",
    aliases=("mean_fano", "fano"),
    kernel="two_state",
    samples=(("mu", "mean", "positive"), ("excess_fano", "burst", "positive"), ("concentration", "switching", "positive")),
    natural={
        "log_alpha": Formula(INPUTS, lambda mu, f, k: k + mu - log_rate(mu, f, k), f"kappa mu/({RATE})"),
        "log_beta": Formula(INPUTS, lambda mu, f, k: k + f + log_one_plus(k) - log_rate(mu, f, k), f"kappa F (kappa+1)/({RATE})"),
        "log_rate": Formula(INPUTS, log_rate, RATE),
    },
    capture="p_capture",
)
