"""The gate: u = 0 with probability g, else the kernel's count (zero inflation, on the observed count)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .special import cosigmoid, log1p, sigmoid, softplus


@jax.custom_jvp
def log_zero(log_prob_zero, logit_gate):
    """log[g + (1-g) P(0)], in the form that is precise on its side: never above 0, never a lost small gate."""
    likely = log_prob_zero > -0.7
    near = cosigmoid(logit_gate) * jnp.expm1(jnp.where(likely, log_prob_zero, -0.5))
    first = logit_gate > log_prob_zero
    far = jnp.exp(jnp.where(first, log_prob_zero - logit_gate, logit_gate - log_prob_zero))
    outside = jnp.where(first, logit_gate, log_prob_zero) - softplus(logit_gate)
    return jnp.where(likely, 0.0, outside) + log1p(jnp.where(likely, near, far))


@log_zero.defjvp
def _(primals, tangents):
    (log_prob_zero, logit_gate), (of_zero, of_gate) = primals, tangents
    odds = logit_gate - log_prob_zero
    given_gate = sigmoid(odds)  # the probability that a zero is the gate's
    slope = -given_gate * cosigmoid(logit_gate) * jnp.expm1(log_prob_zero)
    return log_zero(*primals), of_zero * cosigmoid(odds) + of_gate * slope


def log_nonzero(logit_gate):
    """log(1 - g), the factor of every non-zero count."""
    return -softplus(logit_gate)


def gated(log_prob, log_prob_zero, logit_gate, u):
    """log pmf of u under the gate; `log_prob` and `log_prob_zero` are the kernel's."""
    return jnp.where(u == 0, log_zero(log_prob_zero, logit_gate), log_nonzero(logit_gate) + log_prob)
