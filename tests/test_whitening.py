"""Coordinates of the sampler: their covariance is that of the curvature, by few directions or by all that tell."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from scribe_cli.core.inference import mode, nuts, whitening
from scribe_cli.core.inference.guides import laplace
from scribe_cli.run.fitting import assemble
from tests import recipes_zoo as recipes
from tests import recovery

BATCH = {"batch": np.array(["a", "b"])[recipes.DATASET_OF_CELL]}


def spread(n, values, seed=0):
    """A symmetric matrix with these eigenvalues, and 1 for the rest; its eigenvectors."""
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))[0]
    of = np.r_[values, np.ones(n - len(values))]
    return q * of @ q.T, q[:, : len(values)]


def test_eigenpairs_that_stretch_are_found():
    matrix, directions = spread(200, [0.003, 4.0, 0.5, 60.0])
    values, vectors = whitening.extremes(lambda v: matrix @ v, np.random.default_rng(1).normal(size=200))
    np.testing.assert_allclose(values, [0.003, 60.0, 4.0, 0.5], rtol=1e-9)  # those that stretch most come first
    np.testing.assert_allclose(np.abs(np.sum(vectors * directions[:, [0, 3, 1, 2]], 0)), 1.0, atol=1e-9)


def test_no_more_than_a_few_and_none_that_is_near_one_or_not_known():
    matrix, _ = spread(60, np.geomspace(1e-3, 1e3, 20))
    values, vectors = whitening.extremes(lambda v: matrix @ v, np.random.default_rng(1).normal(size=60))
    assert len(values) == whitening.RANK and min(np.abs(np.log(values))) > np.log(10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-10)
    near, _ = spread(60, [0.7, 1.4])
    assert whitening.extremes(lambda v: near @ v, np.random.default_rng(1).normal(size=60))[0].size == 0
    flat, _ = spread(60, [-1.0, 0.0, 9.0])  # directions without a scale of their own are left alone
    np.testing.assert_allclose(whitening.extremes(lambda v: flat @ v, np.random.default_rng(1).normal(size=60))[0], [9.0])


def problem_of(name):
    asked, collected = recovery.read(recipes.RECIPES[name], recipes.COUNTS, **BATCH)
    problem = assemble.problem(collected, asked.resolve(), "auto", None, fill=False)
    return problem, assemble.start(collected, problem)


@functools.cache
def at_mode(name):
    """(problem, parameters of the Laplace guide, the negative Hessian at the mode in the order of ravel_pytree)."""
    problem, start = problem_of(name)
    at = mode.find(problem, start).thetas
    flat, unravel = ravel_pytree(at)
    hessian = -jax.jit(jax.hessian(lambda x: problem.log_joint(unravel(x), problem.facts, problem.stats)))(flat)
    return problem, whitening.around(problem, at), np.asarray(hessian)


def jacobian(params):
    """d thetas / d y."""
    coordinates = whitening.Whitened(params)
    return np.asarray(jax.jacobian(lambda y: ravel_pytree(coordinates.thetas(y)[0])[0])(jnp.zeros(coordinates.size)))


MODELS = ("nbvcp_mean_odds_human", "zinb_mean_odds_free", "nbdm_anchor_mean_disp", "twostate_ratio_free")


@pytest.mark.parametrize("name", MODELS)
def test_in_its_coordinates_the_curvature_is_that_of_a_standard_normal(name):
    """But for directions that bend as it does already, and more of them than are kept."""
    _, params, hessian = at_mode(name)
    j = jacobian(params)
    left = np.linalg.eigvalsh(j.T @ hessian @ j)
    assert whitening.NEAR_ONE[0] * 0.9 < left[0] and left[-1] < whitening.NEAR_ONE[1] * 1.1
    scaled = hessian / np.sqrt(np.outer(np.diag(hessian), np.diag(hessian)))
    before = np.linalg.eigvalsh(scaled)  # of a diagonal alone
    assert left[-1] / left[0] < max(0.5 * before[-1] / before[0], 1.001)


@pytest.mark.parametrize("name", MODELS[:2])
def test_the_guide_knows_its_own_spread_and_entropy(name):
    _, params, _ = at_mode(name)
    j, weights = jacobian(params), {site: jnp.ones_like(v) for site, v in params["loc"].items()}
    sd = np.exp(ravel_pytree({site: laplace.log_sd(params)[site] for site in params["loc"]})[0])
    np.testing.assert_allclose(sd, np.sqrt(np.sum(j**2, 1)), rtol=1e-8)
    entropy = 0.5 * len(j) * np.log(2 * np.pi * np.e) + np.linalg.slogdet(j)[1]
    np.testing.assert_allclose(laplace.entropy(params, weights), entropy, rtol=1e-10)


def test_draws_have_the_covariance_of_the_curvature():
    _, params, hessian = at_mode("zinb_mean_odds_free")
    draws = laplace.MEMBER.sample(params, jax.random.key(0), np.arange(20_000))
    x = np.concatenate([np.asarray(draws[site]).reshape(20_000, -1) for site in sorted(draws)], 1)
    assert [*ravel_pytree(params["loc"])[1](jnp.zeros(len(hessian)))] == sorted(draws)  # the order of the Hessian
    found, expected = np.cov(x.T), np.linalg.inv(hessian)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(np.diag(found), np.diag(expected), rtol=0.12)  # eigenvalues near one are left as they are
    assert np.abs((found - expected) / scale).max() < 0.12


@pytest.mark.parametrize(("name", "whitened"), [("zinb_mean_odds_free", True), ("nbdm_prob_horseshoe", False), ("nbdm_two", False)])
def test_only_where_the_mode_tells_of_the_posterior(name, whitened):
    problem, start = problem_of(name)
    assert nuts.coordinates(problem, start, at_mode=True).whitened is whitened
    assert nuts.coordinates(problem, start, at_mode=False).whitened is False
