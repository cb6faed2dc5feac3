"""The gate against mpmath, from gates that are nearly nothing to gates that are nearly everything."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np

from scribe_cli.core.numerics import gate, kernels

mp.mp.dps = 50

GATES = [1e-12, 1e-8, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-3, 1 - 1e-6]
LOG_ZEROS = [-1e-12, -1e-6, -0.01, -0.3, -0.6999, -0.7, -0.7001, -1.0, -5.0, -30.0, -700.0, -1e5, -1e12]
LOGITS = [float(np.log(g) - np.log1p(-g)) for g in GATES]
PRODUCT = np.array(list(itertools.product(LOG_ZEROS, LOGITS))).T


def exact_zero(log_prob_zero, logit_gate):
    g = 1 / (1 + mp.exp(-mp.mpf(logit_gate)))
    return mp.log(g + (1 - g) * mp.exp(mp.mpf(log_prob_zero)))


def test_zero_equals_mpmath():
    found = np.asarray(gate.log_zero(*map(jnp.asarray, PRODUCT)))
    exact = np.array([float(exact_zero(*pair)) for pair in PRODUCT.T])
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-14)
    assert found.max() <= 0


def test_zero_keeps_its_digits_where_zeros_are_likely():
    """log P(0) = -1e-12 has digits of its own below the grain of 1: they must come through the gate."""
    likely = PRODUCT[:, PRODUCT[0] > -0.7]
    exact = np.array([float(exact_zero(*pair)) for pair in likely.T])
    np.testing.assert_allclose(gate.log_zero(*map(jnp.asarray, likely)), exact, rtol=1e-13)


def test_zero_gradient_equals_mpmath():
    found = jax.grad(lambda x, y: gate.log_zero(x, y).sum(), (0, 1))(*map(jnp.asarray, PRODUCT))
    for k, gradient in enumerate(found):
        exact = [float(mp.diff(exact_zero, tuple(map(mp.mpf, pair)), (1 - k, k))) for pair in PRODUCT.T]
        np.testing.assert_allclose(gradient, exact, rtol=1e-9, atol=1e-14)


def test_nonzero_equals_mpmath():
    exact = [float(mp.log(1 - 1 / (1 + mp.exp(-mp.mpf(x))))) for x in LOGITS]
    np.testing.assert_allclose(gate.log_nonzero(jnp.array(LOGITS)), exact, rtol=1e-14)


def test_a_gate_that_is_shut_or_absent_leaves_its_limit():
    log_zero = jnp.array([-1e-9, -0.5, -20.0, -600.0])
    np.testing.assert_allclose(gate.log_zero(log_zero, -800.0), log_zero, rtol=1e-12)
    np.testing.assert_allclose(gate.log_zero(log_zero, 800.0), 0.0, atol=1e-300)
    np.testing.assert_array_equal(gate.log_nonzero(jnp.array(-800.0)), 0.0)
    np.testing.assert_allclose(gate.log_nonzero(jnp.array(800.0)), -800.0)


def test_gradients_are_finite_at_the_edges():
    edges = np.meshgrid([-1e300, -1e5, -0.7, -1e-300, 0.0], [-800.0, -30.0, 0.0, 800.0])
    x, y = (jnp.asarray(v).ravel() for v in edges)
    for leaf in jax.tree.leaves(jax.value_and_grad(lambda x, y: gate.log_zero(x, y).sum(), (0, 1))(x, y)):
        assert np.isfinite(leaf).all()


def test_gated_pmf_is_the_mixture():
    """g delta_0 + (1-g) NB, entry by entry, and its sum over counts is 1."""
    kernel, u = kernels.load("negative_binomial"), jnp.arange(800.0)
    n = {"log_r": jnp.log(2.5), "logit_p": jnp.array(1.1)}
    f, zero = kernel.log_prob(n, u), kernel.log_prob_zero(n)
    for g, logit in zip(GATES, LOGITS, strict=True):
        pmf = np.exp(gate.gated(f, zero, logit, u))
        np.testing.assert_allclose(pmf, g * (np.asarray(u) == 0) + (1 - g) * np.exp(f), rtol=1e-9)
        np.testing.assert_allclose(pmf.sum(), 1.0, rtol=1e-12)
