"""The two-state promoter: u ~ Poisson(rate x), x ~ Beta(alpha, beta) (MODELS.md 1).

log P(u) = u log L - log u! - log B(alpha, beta) + log of the integral of x^(alpha+u-1) (1-x)^(beta-1) e^(-L x) over (0, 1). Of a
rare gene, 1 - P(0) is integrated instead, so that log P(0) is as precise as it is small.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..beta_integral import BLOCK, by_blocks, log_integral
from ..shared_windows import log_integrals
from ..special import (
    HALF_LOG_2PI,
    SHIFT,
    log_factorial,
    log_shift_product,
    log_sigmoid,
    softplus,
    stirling_tail,
)
from . import AbstractKernel

LARGEST_LOG_BETA = 40.0  # beyond, the law is the negative binomial of the same rate / beta to 1e-17
RARE = 0.5  # mean below which P(0) is one less the probability of a count


def _finite(n):
    """(log alpha, log beta, log rate) with a finite beta; the ratio of rate to beta, which the limit has, is kept."""
    excess = jnp.maximum(n["log_beta"] - LARGEST_LOG_BETA, 0.0)
    return n["log_alpha"], n["log_beta"] - excess, n["log_rate"] - excess


def _log_beta_function(log_a, log_b):
    """log B(a, b): Stirling's series on arguments moved up by 8, its large terms in ratios."""
    a, b = jnp.exp(log_a), jnp.exp(log_b)
    a8, b8 = a + SHIFT, b + SHIFT
    both = a8 + b8
    large = -(a8 - 0.5) * jnp.log1p(b8 / a8) - (b8 - 0.5) * jnp.log1p(a8 / b8) - 0.5 * jnp.log(both) + HALF_LOG_2PI
    tails = stirling_tail(a8) + stirling_tail(b8) - stirling_tail(both)
    whole = a + b
    moved = jnp.log(whole) + log_shift_product(whole) + jnp.log(whole + SHIFT) + log_shift_product(whole + SHIFT)
    return large + tails + moved - log_a - log_shift_product(a) - log_b - log_shift_product(b)


def _positive(n):
    """alpha, beta and rate."""
    return tuple(map(jnp.exp, _finite(n)))


def _is_rare(n):
    alpha, beta, rate = _positive(n)
    return rate * alpha < RARE * (alpha + beta)


def _log_pmf(n, u, integral, rare):
    """log P(u) from the log of its integral, which is of 1 - P(0) where `rare`."""
    log_alpha, log_beta, log_rate = _finite(n)
    integral = integral - _log_beta_function(log_alpha, log_beta)
    any_count = jnp.exp(jnp.where(rare, integral, -1.0))
    return jnp.where(rare, jnp.log1p(-any_count), u * log_rate - log_factorial(u) + integral)


class TwoState(AbstractKernel):
    """`rising` is None: its probabilities are no product of rising factorials."""

    name = "two_state"
    symbol = "TwoState"
    equation = "TwoState(u; alpha, beta, L): u ~ Poisson(L x), x ~ Beta(alpha, beta)"
    coords = ("log_alpha", "log_beta", "log_rate")
    thinned = "log_rate"

    def log_prob(self, n, u):
        (alpha, beta, rate), rare = _positive(n), _is_rare(n) & (u == 0)
        entries = jnp.broadcast_arrays(alpha + u, beta, rate, rare)
        integral = by_blocks(log_integral, BLOCK, *(v.reshape(-1) for v in entries)).reshape(entries[0].shape)
        return _log_pmf(n, u, integral, rare)

    def log_probs(self, n, u):
        """In windows that the counts of a row share at all its rates."""
        n = {name: v[:, None] for name, v in n.items()}
        u = jnp.broadcast_to(u[..., None], (len(n["log_rate"]), u.shape[1], 1))
        rare = _is_rare(n) & (u[:, :1] == 0)
        integral = log_integrals(*_positive(n), u, rare)
        return _log_pmf(n, u, integral, rare & (jnp.arange(u.shape[1])[None, :, None] == 0))

    def log_prob_zero(self, n):
        return self.log_prob(n, jnp.zeros((1,) * jnp.ndim(n["log_alpha"])))

    def descent(self, n):
        """ratio(u, above) -> P(u+1)/P(u) from above = P(u+2)/P(u+1), for NumPy arrays of the coordinates.

        u falls from beyond the counts of interest, where `above` may be 0: Kummer's equation of the generating function
        1F1(alpha; alpha+beta; rate (z-1)) is a recurrence whose minimal solution P is (Miller's algorithm).
        """
        alpha, beta, rate = (np.exp(n[name]) for name in self.coords)

        def ratio(u, above):
            return rate * (u + alpha) / ((u + 1.0) * (u + alpha + beta + rate - (u + 2.0) * above))

        return ratio

    def sample(self, key, n, shape):
        """Poisson of rate x, x = Gamma(alpha) / (Gamma(alpha) + Gamma(beta)), on the log scale."""
        keys = jax.random.split(key, 3)
        log_alpha, log_beta, log_rate = (jnp.broadcast_to(v, shape) for v in _finite(n))
        on = jax.random.loggamma(keys[0], jnp.exp(log_alpha))
        off = jax.random.loggamma(keys[1], jnp.exp(log_beta))
        return jax.random.poisson(keys[2], jnp.exp(log_rate + log_sigmoid(on - off)), shape).astype(float)

    def mean(self, n):
        return jnp.exp(n["log_rate"] + log_sigmoid(n["log_alpha"] - n["log_beta"]))

    def variance(self, n):
        """mean (1 + rate beta / ((alpha+beta)(alpha+beta+1)))."""
        both = softplus(n["log_beta"] - n["log_alpha"]) + n["log_alpha"]
        return self.mean(n) * (1.0 + jnp.exp(n["log_rate"] + n["log_beta"] - both - softplus(both)))


MEMBER = TwoState()
