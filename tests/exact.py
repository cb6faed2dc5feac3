"""The laws of MODELS.md 1 in mpmath, from the kernels' own coordinates: what the kernels are compared with.

Coordinates are floats or mpf, u an int; at least 50 digits hold after all cancellation.
"""

from __future__ import annotations

import functools

import mpmath as mp

DIGITS = 50
MOST_TERMS = 10**6
# alpha, beta, rate, u, log P(u): MODELS.md 1
TWO_STATE = (
    (0.05, 0.05, 20, 0, -0.8634),
    (0.05, 0.05, 20, 10, -4.8433),
    (0.05, 5, 100, 0, -0.1566),
    (0.05, 5, 100, 1, -3.1920),
    (0.1, 1000, 5000, 0, -0.1792),
    (0.5, 0.5, 10, 5, -2.6511),
    (2, 50, 200, 7, -2.6819),
    (5, 1000, 4000, 19, -3.1954),
)


def _with_digits(law):
    """Digits for every decimal place that a coordinate's exponential can be away from 1."""

    @functools.wraps(law)
    def exact(*at):
        *coords, u = at
        with mp.workdps(DIGITS + int(sum(abs(float(x)) for x in coords) / 2)):
            return law(*map(mp.mpf, coords), int(u))

    return exact


@_with_digits
def negative_binomial(log_r, logit_p, u):
    """p multiplies the count."""
    r = mp.exp(log_r)
    log_p, log_q = -mp.log1p(mp.exp(-logit_p)), -mp.log1p(mp.exp(logit_p))
    return mp.loggamma(r + u) - mp.loggamma(r) - mp.loggamma(u + 1) + u * log_p + r * log_q


@_with_digits
def beta_negative_binomial(log_r, logit_p, log_omega, u):
    r = mp.exp(log_r)
    kappa = 2 + (r + 1) / mp.exp(log_omega)
    a = mp.exp(logit_p) * (kappa - 1)
    return mp.loggamma(r + u) - mp.loggamma(r) - mp.loggamma(u + 1) + _log_beta(a + u, kappa + r) - _log_beta(a, kappa)


@_with_digits
def two_state(log_alpha, log_beta, log_rate, u):
    """The terms of 1F1(beta; alpha + beta + u; rate) are all positive: it loses no digits."""
    alpha, beta, rate = mp.exp(log_alpha), mp.exp(log_beta), mp.exp(log_rate)
    confluent = mp.log(mp.hyp1f1(beta, alpha + beta + u, rate, maxterms=MOST_TERMS)) - rate
    return u * log_rate - mp.loggamma(u + 1) + _log_beta(alpha + u, beta) - _log_beta(alpha, beta) + confluent


def gated(log_p, logit_gate, u):
    """log pmf of u that is 0 with the gate's probability, else of this log pmf."""
    with mp.workdps(DIGITS):
        logit_gate = mp.mpf(logit_gate)
        log_gate, log_open = -mp.log1p(mp.exp(-logit_gate)), -mp.log1p(mp.exp(logit_gate))
        return log_open + log_p if u else mp.log(mp.exp(log_gate) + mp.exp(log_open + log_p))


def total(*terms):
    """Their sum, unrounded."""
    with mp.workdps(DIGITS):
        return mp.fsum(mp.mpf(float(x)) for x in terms)


def slope(law, k: int, at, u) -> float:
    """Derivative of a law in its k-th coordinate."""
    with mp.workdps(3 * DIGITS):
        return float(mp.diff(lambda x: law(*at[:k], x, *at[k + 1 :], u), mp.mpf(at[k]), h=mp.mpf(10) ** -20))


def error(found: float, exact) -> float:
    """|found - exact|, in which no digit of the difference is lost."""
    with mp.workdps(DIGITS):
        return float(abs(mp.mpf(float(found)) - exact))


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)
