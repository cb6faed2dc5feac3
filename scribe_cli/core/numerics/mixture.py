"""Mixtures: how the log probabilities of a cell under each component become its one term of the log likelihood."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def marginal(log_f):
    """log sum_k f_k along the components, (component, cell, 1) -> (1, cell, 1)."""
    largest = jax.lax.stop_gradient(log_f.max(0, keepdims=True))
    return largest + jnp.log(jnp.exp(log_f - largest).sum(0, keepdims=True))


def complete(log_f):
    """sum_k P(k | counts) log f_k with the probabilities held: the same gradient, and the curvature that is left if the

    components of cells were known, which is never below that of the marginal (EM; Dempster, Laird and Rubin 1977).
    """
    return (jax.lax.stop_gradient(jax.nn.softmax(log_f, 0)) * log_f).sum(0, keepdims=True)


def guided(log_weights, label, confidence: float):
    """log weights of cells: softmax_j(log w_j + confidence 1[j = label]); label (cells,), -1 for none (MODELS.md 1)."""
    hit = label[None, :, None] == jnp.arange(log_weights.shape[0])[:, None, None]
    return jax.nn.log_softmax(log_weights + confidence * hit, 0)
