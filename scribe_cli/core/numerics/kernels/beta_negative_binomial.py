"""BNB: a negative binomial whose p is Beta distributed, of the same mean (MODELS.md 1).

q ~ Beta(a, kappa), u ~ NB(r, q), a = p/(1-p) (kappa - 1), kappa = 2 + (r + 1)/omega. Then Var = (1 + omega) Var_NB, and
omega -> 0 is the NB. All differences of log gamma are taken as one: Stirling's series on arguments moved up by 8, with the
large terms paired so that they cancel before they round.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..special import (
    LOG_2,
    SHIFT,
    factorial_rest,
    log1p,
    log_shift_mixed,
    log_shift_ratio,
    logaddexp,
    mixed,
    softplus,
    stirling_tail,
)
from . import AbstractKernel
from .negative_binomial import LARGEST_LOG_R, finite_r

SMALLEST_LOG_OMEGA = -80.0  # below, the BNB is the NB to 1e-10, for counts to 1e5 and means from 1e-14
LARGEST_LOG_A = 300.0  # beyond, log P is linear in log a to 1e-40: see `_beyond`
SILENT = 1e-14  # the tails are 1e-3 of a log P(0) this near to 0, below the grain of 1, and their rounding would turn its sign
LARGE = 1e10  # above LARGE Stirling's series needs no shift


def _rates(n):
    """(log r, log a, log kappa), log a as it is."""
    log_r, logit_p = finite_r(n)
    log_excess = softplus(log_r) - jnp.maximum(n["log_omega"], SMALLEST_LOG_OMEGA)  # log (kappa - 2)
    log_a = logit_p + softplus(log_excess)
    return log_r, log_a, logaddexp(jnp.full_like(log_excess, LOG_2), log_excess)


def _finite(n):
    log_r, log_a, log_kappa = _rates(n)
    return log_r, jnp.minimum(log_a, LARGEST_LOG_A), log_kappa


def _beyond(n):
    """What log a loses in `_finite` it adds to every log P, r times: log Gamma(kappa + a) / Gamma(kappa + a + r)."""
    log_r, log_a, _ = _rates(n)
    return -jnp.exp(log_r) * jnp.maximum(log_a - LARGEST_LOG_A, 0.0)


def _tame(log_x):
    """(log y, slope) of log (x)_u = log (y)_u + u slope, y <= e^60: exact to u^2 e^-60."""
    excess = jnp.maximum(log_x - LARGEST_LOG_R, 0.0)
    return log_x - excess, excess


def _moved(x):
    """(x + 8, whether it was moved); x itself where it is so large that the series needs no shift."""
    small = x < LARGE
    return x + jnp.where(small, float(SHIFT), 0.0), small


def _log_zero(r, a, kappa):
    """log Gamma(kappa + r) Gamma(kappa + a) / (Gamma(kappa) Gamma(kappa + a + r)), never above 0."""
    k, small = _moved(kappa)
    large = (k - 0.5) * log1p(r / k * (a / (k + a + r))) - a * log1p(r / (k + a)) - r * log1p(a / (k + r))
    products = log_shift_mixed(jnp.where(small, kappa, LARGE), r, a)
    most = large + jnp.where(small, products, 0.0)
    return most - jnp.where(most < -SILENT, mixed(stirling_tail, k, r, a), 0.0)


def _log_rises(log_r, log_a, s, u):
    """log (r)_u (a)_u / ((a + s)_u u!) for u >= 1."""
    r, a = jnp.exp(log_r), jnp.exp(log_a)
    b, c = a + s, u + SHIFT
    (r_, small_r), (a_, small_a), (b_, small_b) = (_moved(x) for x in (r, a, b))
    d = s - jnp.where(small_a & ~small_b, float(SHIFT), 0.0)  # b_ - a_, which would lose the last digits of s
    large = u * (jnp.log((r_ + u) / c) - log1p(d / (a_ + u))) + (r_ - 0.5) * log1p(u / r_)
    large += (a_ - 0.5) * log1p(u / a_ * (d / (b_ + u))) - d * log1p(u / b_)
    tails = stirling_tail(r_ + u) - stirling_tail(r_) + stirling_tail(a_ + u) - stirling_tail(a_)
    tails += stirling_tail(b_) - stirling_tail(b_ + u)
    shifts = _shifts(log_r, u, small_r) + _shifts(log_a, u, small_a) - _shifts(jnp.log(b), u, small_b)
    return large + tails + shifts + factorial_rest(u)


def _shifts(log_x, u, moved):
    log_x = jnp.where(moved, log_x, 0.0)
    return jnp.where(moved, log_shift_ratio(jnp.exp(log_x), log_x, u), 0.0)


class BetaNegativeBinomial(AbstractKernel):
    name = "beta_negative_binomial"
    symbol = "BNB"
    equation = "BNB(u; r, p, omega) = C(u+r-1, u) B(a+u, kappa+r) / B(a, kappa), a = p/(1-p) (kappa-1), kappa = 2 + (r+1)/omega"
    coords = ("log_r", "logit_p", "log_omega")
    thinned = "logit_p"

    def log_prob(self, n, u):
        log_r, log_a, log_kappa = _finite(n)
        r, a, kappa = jnp.exp(log_r), jnp.exp(log_a), jnp.exp(log_kappa)
        v = jnp.where(u == 0, 1.0, u)  # a zero has no factors; their gradient here must stay finite
        rises = jnp.where(u == 0, 0.0, _log_rises(log_r, log_a, kappa + r, v))
        return _log_zero(r, a, kappa) + _beyond(n) + rises

    def log_prob_zero(self, n):
        return _log_zero(*(jnp.exp(v) for v in _finite(n))) + _beyond(n)

    def rising(self, n):
        log_r, log_a, log_kappa = _rates(n)
        log_b = logaddexp(log_a, logaddexp(log_kappa, log_r))
        (log_a, slope_a), (log_b, slope_b) = _tame(log_a), _tame(log_b)
        return slope_a - slope_b, ((1.0, log_r), (1.0, log_a), (-1.0, log_b))

    def sample(self, key, n, shape):
        """Poisson of a Gamma(r, 1) rate times q/(1-q), itself the ratio of a Gamma(a) to a Gamma(kappa)."""
        keys = jax.random.split(key, 4)
        of_gamma = (jnp.broadcast_to(jnp.exp(v), shape) for v in _finite(n))
        r, a, kappa = (jax.random.loggamma(k, v) for k, v in zip(keys[:3], of_gamma, strict=True))
        return jax.random.poisson(keys[3], jnp.exp(r + a - kappa), shape).astype(float)

    def mean(self, n):
        return jnp.exp(n["log_r"] + n["logit_p"])

    def variance(self, n):
        return self.mean(n) * (1.0 + jnp.exp(n["logit_p"])) * (1.0 + jnp.exp(n["log_omega"]))


MEMBER = BetaNegativeBinomial()
