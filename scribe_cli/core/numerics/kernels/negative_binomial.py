"""NB(u; r, p) = C(u+r-1, u) (1-p)^r p^u: p multiplies the count (MODELS.md 1)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ..special import HALF_LOG_2PI, SHIFT, log1p, log_shift_product, log_shift_ratio, log_sigmoid, softplus, stirling_tail
from . import AbstractKernel

# Beyond log r = 60 the NB is the Poisson of its mean to 1e-20: the rest of log r moves to logit p, which keeps the
# mean exact and exp(log r) finite.
LARGEST_LOG_R = 60.0


def finite_r(n):
    """(log r, logit p) of which r is finite."""
    excess = jnp.maximum(n["log_r"] - LARGEST_LOG_R, 0.0)
    return n["log_r"] - excess, n["logit_p"] + excess


def _factorials(u):
    """The part of -log u! that is left after u log(b/c): -(c - u - 1/2) log c + c - u - log(2 pi)/2 - tail(c) + products."""
    c = u + SHIFT
    return log_shift_product(u) - (SHIFT - 0.5) * jnp.log(c) + SHIFT - HALF_LOG_2PI - stirling_tail(c)


class NegativeBinomial(AbstractKernel):
    name = "negative_binomial"
    symbol = "NB"
    equation = "NB(u; r, p) = C(u+r-1, u) (1-p)^r p^u"
    coords = ("log_r", "logit_p")
    thinned = "logit_p"

    def log_prob(self, n, u):
        """Stirling's series on arguments moved up by 8, its large terms paired so that they cancel before they round."""
        log_r, logit_p = finite_r(n)
        r = jnp.exp(log_r)
        v = jnp.where(u == 0, 1.0, u)  # a zero has its own form below; its gradient here must stay finite
        a, b, c = r + SHIFT, r + SHIFT + v, v + SHIFT
        large = v * (jnp.log(b / c) + log_sigmoid(logit_p)) + ((a - 0.5) * log1p(v / a) - r * softplus(logit_p))
        small = stirling_tail(b) - stirling_tail(a) + log_shift_ratio(r, log_r, v) + _factorials(v)
        return jnp.where(u == 0, -r * softplus(logit_p), large + small)

    def log_prob_zero(self, n):
        log_r, logit_p = finite_r(n)
        return -jnp.exp(log_r) * softplus(logit_p)

    def rising(self, n):
        log_r, logit_p = finite_r(n)
        return log_sigmoid(logit_p), ((1.0, log_r),)

    def sample(self, key, n, shape):
        """Poisson of a Gamma(r, 1) rate times the odds p/(1-p)."""
        log_r, logit_p = finite_r(n)
        gamma_key, count_key = jax.random.split(key)
        log_rate = jax.random.loggamma(gamma_key, jnp.broadcast_to(jnp.exp(log_r), shape)) + logit_p
        return jax.random.poisson(count_key, jnp.exp(log_rate), shape).astype(float)

    def mean(self, n):
        return jnp.exp(n["log_r"] + n["logit_p"])

    def variance(self, n):
        return self.mean(n) * (1.0 + jnp.exp(n["logit_p"]))


MEMBER = NegativeBinomial()
