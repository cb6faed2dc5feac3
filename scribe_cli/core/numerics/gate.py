"""The gate: u = 0 with probability g, else the kernel's count (zero inflation, on the observed count)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .special import softplus


@jax.custom_jvp
def log_zero(log_prob_zero, logit_gate):
    """log[g + (1-g) P(0)], in the form that is precise on its side: never above 0, never a lost small gate."""
    likely = log_prob_zero > -0.7
    near = jax.nn.sigmoid(-logit_gate) * jnp.expm1(jnp.where(likely, log_prob_zero, -0.5))
    first = logit_gate > log_prob_zero
    far = jnp.exp(jnp.where(first, log_prob_zero - logit_gate, logit_gate - log_prob_zero))
    outside = jnp.where(first, logit_gate, log_prob_zero) - softplus(logit_gate)
    return jnp.where(likely, 0.0, outside) + jnp.log1p(jnp.where(likely, near, far))


@log_zero.defjvp
def _(primals, tangents):
    (log_prob_zero, logit_gate), (of_zero, of_gate) = primals, tangents
    given_gate = jax.nn.sigmoid(logit_gate - log_prob_zero)  # the probability that a zero is the gate's
    slope = -given_gate * jax.nn.sigmoid(-logit_gate) * jnp.expm1(log_prob_zero)
    return log_zero(*primals), of_zero * jax.nn.sigmoid(log_prob_zero - logit_gate) + of_gate * slope


def log_nonzero(logit_gate):
    """log(1 - g), the factor of every non-zero count."""
    return -softplus(logit_gate)


def gated(log_prob, log_prob_zero, logit_gate, u):
    """log pmf of u under the gate; `log_prob` and `log_prob_zero` are the kernel's."""
    return jnp.where(u == 0, log_zero(log_prob_zero, logit_gate), log_nonzero(logit_gate) + log_prob)
