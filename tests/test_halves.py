"""Likelihoods of two halves: linear in what genes and in what cells give, so that their mean over draws is that of the means."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core.inference import deterministic
from scribe_cli.core.inference.guides import mean_field
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.numerics import lanes
from tests import recipes_zoo as recipes
from tests.test_lanes import RESOLVED, collected, facts_of, stats

HALVED = [name for name, spec in RESOLVED.items() if spec.capture and not spec.mixed]
FAST = ("zinbvcp_batch_gate_nested", "nbvcp_bnb_human", "nbvcp_batch_scaling_expression")
each = pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in HALVED])


@functools.cache
def problem(name: str, lane: str = "smooth") -> Problem:
    facts = facts_of(name)
    return Problem(RESOLVED[name], lanes.load()[lane], facts, jax.tree.map(jnp.asarray, stats(name, lane)), facts, centred=True)


def joint(name: str, lane: str):
    p = problem(name, lane)
    return lambda sites: p.log_joint(sites, p.facts, p.stats)


@each
def test_no_site_is_in_both_and_together_they_are_the_joint(name):
    p, sites = problem(name), recipes.thetas(name)
    at = jax.jit(lambda sites: p.halves(sites, p.facts, p.stats))
    log_prior, genes, cells = at(sites)
    likelihood = p.lane.halves.joined(genes, cells, p.facts, p.stats)
    assert float(log_prior + likelihood) == pytest.approx(float(jax.jit(joint(name, "smooth"))(sites)), rel=1e-12)
    seen = {half: set() for half in (1, 2)}
    for site in sites:
        moved = at(sites | {site: sites[site] + 0.1})
        for half, of in seen.items():
            pairs = zip(jax.tree.leaves(moved[half]), jax.tree.leaves((log_prior, genes, cells)[half]), strict=True)
            of.update({site} if any((a != b).any() for a, b in pairs) else ())
    assert seen[1] and seen[2] and not seen[1] & seen[2]


@pytest.mark.parametrize("name", FAST)
def test_an_elbo_is_that_of_all_draws_of_genes_with_all_of_cells(name):
    """Value and slope, against the mean over the grid by automatic differentiation, of the dense lane."""
    p, start = problem(name), jax.tree.map(jnp.asarray, recipes.thetas(name))
    elbo = deterministic.Elbo(p, start)
    x = jnp.asarray(0.05 * np.random.default_rng(0).normal(size=elbo.size))
    (draws,) = elbo.draws(deterministic.PAIRS, 5)
    both, dense = {site: jnp.concatenate([z, -z]) for site, z in draws.items()}, joint(name, "dense")

    def reference(x):
        params = elbo.params(x)
        drawn = {site: params["loc"][site][None] + jnp.exp(params["log_sd"][site])[None] * z for site, z in both.items()}
        cells = {site: v for site, v in drawn.items() if site.startswith(("eta_", "phi_capture", "p_capture", "mu_eta"))}
        genes = {site: v for site, v in drawn.items() if site not in cells}
        grid = jax.lax.map(lambda of_genes: jax.lax.map(lambda of_cells: dense(of_genes | of_cells), cells).mean(), genes)
        return grid.mean() + mean_field.entropy(params, elbo._frame["weights"])

    value, slope = elbo([draws], np.asarray(x))
    expected, of_expected = jax.jit(jax.value_and_grad(reference))(x)
    assert value == pytest.approx(float(expected), rel=1e-9)
    np.testing.assert_allclose(slope, of_expected, rtol=1e-6, atol=1e-6 * np.abs(of_expected).max())


def test_a_mixture_has_none():
    assert problem("zinbvcp_two_listed").halves is None and problem("nbvcp", "separable").halves is None
