"""How components of a cell become one term: the marginal, the complete likelihood with probabilities held, and labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from scribe_cli.core.facts import Facts
from scribe_cli.core.numerics import mixture
from scribe_cli.core.numerics.natural import Natural

N_COMPONENTS, N_CELLS = 3, 40


def log_f(spread, seed=0):
    """(component, cell, 1): components `spread` nats apart, all of them as unlikely as cells of many genes are."""
    return -3000.0 + spread * np.random.default_rng(seed).normal(size=(N_COMPONENTS, N_CELLS, 1))


def total(mix):
    return lambda f: mix(f).sum()


marginal_slopes, complete_slopes = (jax.jit(jax.grad(total(mix))) for mix in (mixture.marginal, mixture.complete))
each_spread = pytest.mark.parametrize("spread", [1e-6, 1.0, 30.0, 1e4])


@each_spread
def test_marginal_equals_scipy(spread):
    f = log_f(spread)
    found = mixture.marginal(jnp.asarray(f))
    assert found.shape == (1, N_CELLS, 1)
    np.testing.assert_allclose(found, logsumexp(f, 0, keepdims=True), rtol=1e-14)
    np.testing.assert_allclose(marginal_slopes(f), softmax(f, 0), rtol=1e-11, atol=1e-300)


def test_equal_components_are_one():
    """Of weights w: log f itself; a tie has slopes w, with nothing lost to the largest."""
    log_w = np.log([0.5, 0.3, 0.2]).reshape(3, 1, 1)
    f = log_w + np.zeros((3, 4, 1)) - 1e5
    np.testing.assert_allclose(mixture.marginal(jnp.asarray(f)), -1e5, rtol=1e-15)
    even = np.zeros((3, N_CELLS, 1))
    np.testing.assert_allclose(marginal_slopes(even), 1 / 3, rtol=1e-15)


def test_a_component_far_behind_leaves_no_trace():
    f = np.zeros((N_COMPONENTS, N_CELLS, 1)) - np.array([0.0, 900.0, 1e300]).reshape(3, 1, 1)
    np.testing.assert_array_equal(mixture.marginal(jnp.asarray(f)), 0.0)
    np.testing.assert_array_equal(marginal_slopes(f), softmax(f, 0))


@each_spread
def test_complete_has_the_slopes_of_the_marginal(spread):
    """Its value is less by the entropy of the components' probabilities."""
    f = log_f(spread)
    p = softmax(f, 0)
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(0, keepdims=True)
    np.testing.assert_allclose(mixture.complete(jnp.asarray(f)) + entropy, mixture.marginal(jnp.asarray(f)), rtol=1e-14)
    np.testing.assert_allclose(complete_slopes(f), marginal_slopes(f), rtol=1e-11, atol=1e-300)


@jax.jit
def curvatures(x):
    """Hessians of (marginal, complete) where log f_k = a_k x_k - exp(x_k): of a slope of its own for each component."""
    log_f = lambda x: (jnp.array(SLOPES) * x - jnp.exp(x)).reshape(3, 1, 1)  # noqa: E731
    both = lambda x: jnp.stack([mixture.marginal(log_f(x)).sum(), mixture.complete(log_f(x)).sum()])  # noqa: E731
    return jax.jacfwd(jax.jacrev(both))(x), log_f(x)


SLOPES = (0.5, -1.0, 2.0)


def test_complete_bends_down_more_than_the_marginal():
    """By the covariance of the slopes of log f over the components: what is lost where they are not known."""
    x = np.array([0.3, -0.4, 0.1])
    (marginal, complete), f = curvatures(x)
    p, slopes = softmax(np.ravel(f)), np.diag(SLOPES - np.exp(x))
    mean = p @ slopes
    covariance = np.einsum("k,ki,kj", p, slopes - mean, slopes - mean)
    np.testing.assert_allclose(marginal - complete, covariance, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(complete, np.diag(-p * np.exp(x)), rtol=1e-10, atol=1e-12)


# --- labels ---------------------------------------------------------------------------------------------------------

LABEL = np.array([0, -1, 2, 1, -1, 2])
WEIGHTS = np.array([0.6, 0.3, 0.1])


def pulled(weights, confidence):
    """(component, cell): softmax_j(log w_j + kappa 1[j = label]) in plain words: the label's weight times e^kappa."""
    raised = np.array([weights * np.where(np.arange(3) == of_cell, np.exp(confidence), 1.0) for of_cell in LABEL])
    return (raised / raised.sum(1, keepdims=True)).T


@pytest.mark.parametrize("confidence", [0.0, 0.5, 3.0, 30.0])
def test_guided_is_the_law_of_labels(confidence):
    """MODELS.md 1; cells without a label have the plain weights."""
    found = mixture.guided(jnp.log(WEIGHTS).reshape(3, 1, 1), jnp.asarray(LABEL), confidence)
    assert found.shape == (3, len(LABEL), 1)
    np.testing.assert_allclose(np.exp(found[:, :, 0]), pulled(WEIGHTS, confidence), rtol=1e-12)
    np.testing.assert_allclose(np.exp(found[:, LABEL < 0, 0]), np.stack([WEIGHTS, WEIGHTS], 1), rtol=1e-14)


def test_guided_takes_weights_of_each_cell():
    """As those of datasets are once they are gathered."""
    weights = np.random.default_rng(0).dirichlet([1, 2, 3], len(LABEL))
    found = mixture.guided(jnp.log(weights).T[:, :, None], jnp.asarray(LABEL), 1.5)
    for c in range(len(LABEL)):
        np.testing.assert_allclose(np.exp(found[:, c, 0]), pulled(weights[c], 1.5)[:, c], rtol=1e-12)


def test_a_certain_label_decides_without_overflow():
    found = np.asarray(mixture.guided(jnp.log(WEIGHTS).reshape(3, 1, 1), jnp.asarray(LABEL), 1e4))[:, :, 0]
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, LABEL >= 0].argmax(0), LABEL[LABEL >= 0])
    np.testing.assert_allclose(found[0, 2], np.log(0.6 / 0.1) - 1e4, rtol=1e-14)


def test_slopes_of_guided_weights():
    """In the log weights: what a label says does not move, so that of w_k is 1 - the pulled weight."""
    slopes = jax.jit(jax.jacrev(lambda w: mixture.guided(w.reshape(3, 1, 1), jnp.asarray(LABEL), 2.0)[:, :, 0]))(jnp.log(WEIGHTS))
    for c in range(len(LABEL)):
        expected = np.eye(3) - pulled(WEIGHTS, 2.0)[:, c]
        np.testing.assert_allclose(slopes[:, c], expected, rtol=1e-12)


@pytest.mark.parametrize(("confidence", "arrays"), [(0.0, {"annotation": LABEL}), (2.0, {})])
def test_weights_are_plain_without_confidence_or_labels(confidence, arrays):
    """Scoring new cells knows no labels: the weights themselves are handed on."""
    log_w = jnp.log(WEIGHTS).reshape(3, 1, 1)
    facts = Facts({"cell": len(LABEL), "gene": 1, "component": 3}, arrays)
    found = Natural({}, log_weights=log_w, confidence=confidence).weights(log_w, facts)
    assert found is log_w


def test_weights_of_a_model_follow_the_labels_of_its_cells():
    log_w = log_softmax(np.random.default_rng(1).normal(size=(3, 2, 1)), 0)
    datasets = np.array([0, 1, 1, 0, 0, 1])
    facts = Facts({"cell": 6, "gene": 1, "component": 3, "dataset": 2}, {"annotation": LABEL, "dataset_of_cell": datasets})
    one = Natural({}, log_weights=jnp.asarray(log_w), row="dataset", confidence=2.0)
    _, _, found = one.at_cells(None, facts)
    for c in range(6):
        np.testing.assert_allclose(np.exp(found[:, c, 0]), pulled(np.exp(log_w[:, datasets[c], 0]), 2.0)[:, c], rtol=1e-12)
