"""Laws of the lifted coordinate theta, the Jacobian already inside: no clamps, exact gradients.

numpyro's own Beta and Dirichlet clamp at the edges and fail under strict rank promotion (through the logit, Beta's
gradient is -1 instead of -9 beyond theta 37). Batch shapes here are those of the arguments, already broadcast.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln, log_ndtr, ndtri
from numpyro.distributions import constraints

from ..numerics.special import softplus


class LogitBeta(dist.Distribution):
    """theta = logit q, q ~ Beta(a, b): log density a theta - (a+b) softplus(theta) - log B(a, b)."""

    support = constraints.real
    arg_constraints = {"a": constraints.positive, "b": constraints.positive}

    def __init__(self, a, b, *, validate_args=None):
        self.a, self.b = jnp.broadcast_arrays(a, b)
        super().__init__(self.a.shape, (), validate_args=validate_args)

    def sample(self, key, sample_shape=()):
        shape = sample_shape + self.batch_shape
        first, second = jax.random.split(key)
        return jax.random.loggamma(first, jnp.broadcast_to(self.a, shape)) - jax.random.loggamma(
            second, jnp.broadcast_to(self.b, shape)
        )

    def log_prob(self, theta):
        a, b = self.a, self.b
        return a * theta - (a + b) * softplus(theta) - (gammaln(a) + gammaln(b) - gammaln(a + b))


class LogOf(dist.Distribution):
    """theta = log x, x of a positive law: one Jacobian for HalfCauchy, InverseGamma, Gamma."""

    support = constraints.real
    arg_constraints = {}

    def __init__(self, law, *, validate_args=None):
        self.law = law
        super().__init__(law.batch_shape, (), validate_args=validate_args)

    def sample(self, key, sample_shape=()):
        return jnp.log(self.law.sample(key, sample_shape))

    def log_prob(self, theta):
        return self.law.log_prob(jnp.exp(theta)) + theta


def _quantile_of_log(log_p):
    """z with log Phi(z) = log_p, also where p underflows: there by two Newton steps from the asymptote."""
    far = log_p < -600.0
    z = jnp.where(far, -jnp.sqrt(-2.0 * log_p - jnp.log(-4.0 * jnp.pi * log_p)), ndtri(jnp.exp(log_p)))
    for _ in range(2):
        slope = jnp.exp(dist.Normal(0.0, 1.0).log_prob(z) - log_ndtr(z))
        z = z - jnp.where(far, (log_ndtr(z) - log_p) / slope, 0.0)
    return z


class LogTruncatedNormal(dist.Distribution):
    """theta = log eta, eta ~ Normal(loc, scale) truncated to eta >= 0, its normaliser log Phi(loc/scale) kept."""

    support = constraints.real
    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc, scale, *, validate_args=None):
        self.loc, self.scale = jnp.broadcast_arrays(loc, scale)
        super().__init__(self.loc.shape, (), validate_args=validate_args)

    def sample(self, key, sample_shape=()):
        uniform = jax.random.uniform(key, sample_shape + self.batch_shape, minval=jnp.finfo(float).tiny)
        return jnp.log(self.loc - self.scale * _quantile_of_log(jnp.log(uniform) + log_ndtr(self.loc / self.scale)))

    def log_prob(self, theta):
        z = (jnp.exp(theta) - self.loc) / self.scale
        return dist.Normal(0.0, 1.0).log_prob(z) - jnp.log(self.scale) - log_ndtr(self.loc / self.scale) + theta

    def mean_eta(self):
        """E[eta] of the truncated law."""
        ratio = self.loc / self.scale
        return self.loc + self.scale * jnp.exp(dist.Normal(0.0, 1.0).log_prob(ratio) - log_ndtr(ratio))


class LogRatioDirichlet(dist.Distribution):
    """theta_k = log(w_k / w_K), w ~ Dirichlet(a): log density sum_k a_k log w_k - log B(a). `a` is batch + (K,)."""

    support = constraints.real_vector
    arg_constraints = {"a": constraints.positive}

    def __init__(self, a, *, validate_args=None):
        self.a = a
        super().__init__(a.shape[:-1], (a.shape[-1] - 1,), validate_args=validate_args)

    def sample(self, key, sample_shape=()):
        log_gamma = jax.random.loggamma(key, jnp.broadcast_to(self.a, sample_shape + self.a.shape))
        return log_gamma[..., :-1] - log_gamma[..., -1:]

    def log_prob(self, theta):
        log_w = jax.nn.log_softmax(jnp.concatenate([theta, jnp.zeros_like(theta[..., :1])], -1), -1)
        return (self.a * log_w).sum(-1) - gammaln(self.a).sum(-1) + gammaln(self.a.sum(-1))
