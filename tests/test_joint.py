"""The log joint of resolved recipes against the one of tests/joint_oracle.py, and that one against known laws."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from scribe_cli.core.model import program
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.numerics import lanes
from tests import exact
from tests import joint_oracle as oracle
from tests import recipes_zoo as recipes

# every kernel, hierarchy, way of mixing, anchor and transform is in one of these
FAST = {
    "nbvcp_mean_odds_human",
    "zinbvcp_canonical_mouse",
    "zinb_bnb_neg",
    "nbvcp_bnb_nested",
    "nbvcp_bnb_two_batch_nested",
    "nbdm_prob_horseshoe",
    "nbvcp_prob_neg_human",
    "zinb_gate_gaussian",
    "nbdm_two_labelled",
    "nbdm_two_prob_horseshoe",
    "zinb_three_labelled_batches",
    "nbdm_batch_two_level_gaussian",
    "nbvcp_batch_two_level_horseshoe",
    "zinb_batch_two_level_neg",
    "zinb_batch_prob_scalar_neg",
    "nbdm_batch_prob_nested",
    "twostatevcp_batch_scaling",
    "nbvcp_batch_scaling_expression",
    "nbdm_two_batch_nested",
    "twostatevcp_two_batch",
    "nbdm_anchor",
    "nbvcp_anchor_canonical_batch",
    "nbdm_anchor_two",
    "twostate_anchor",
    "nbvcp_softplus",
    "zinbvcp_priors",
    "hardest",
}
EACH = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in recipes.RECIPES]


def log_joint(name, thetas, data=recipes.DATA):
    """The program's, in the dense lane."""
    spec = resolve(recipes.RECIPES[name])
    facts = recipes.facts(name, spec).rows(data.rows, data.weight)
    return jax.jit(program.log_joint(spec, lanes.load()["dense"]))(thetas, facts, {"counts": data.counts[data.rows]})


@pytest.mark.parametrize("name", EACH)
def test_log_joint_equals_the_oracle(name):
    thetas = recipes.thetas(name)
    expected = oracle.log_joint(recipes.MODELS[name], thetas, recipes.DATA)
    np.testing.assert_allclose(log_joint(name, thetas), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["hardest", "nbvcp_two_one_mixing"])
def test_weighted_rows_equal_the_oracle(name):
    """Some cells, out of order, each with its own weight: priors of cells and the mixture's terms count as often."""
    data = dataclasses.replace(recipes.DATA, rows=np.array([7, 2, 9, 0, 2]), weight=np.array([3.0, 0.5, 1.0, 2.0, 0.0]))
    thetas = recipes.thetas(name)
    model = recipes.MODELS[name]
    site = f"{model.capture}_unconstrained"
    thetas[site] = thetas[site][:, :5]
    np.testing.assert_allclose(log_joint(name, thetas, data), oracle.log_joint(model, thetas, data), rtol=1e-9)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_sites_are_those_of_the_models(name):
    """Names, axes and shapes."""
    model, spec = recipes.MODELS[name], resolve(recipes.RECIPES[name])
    found = program.sites(spec, recipes.facts(name, spec))
    assert {site: found[site].axes for site in found} == model.sites()
    assert {site: found[site].shape for site in found} == oracle.shapes(model, recipes.DATA)


# --- the oracle itself ----------------------------------------------------------------------------------------------

NAMED = {"two_state_natural": ("mu", "burst_size", "k_off"), "two_state_ratio": ("mu", "burst_size", "switching_ratio")}
NAMED |= {
    "two_state_mean_fano": ("mu", "excess_fano", "concentration"),
    "two_state_moment_delta": ("mu", "excess_fano", "inv_concentration"),
}


@pytest.mark.parametrize("parameterization", NAMED)
@pytest.mark.parametrize(("alpha", "beta", "rate", "u", "log_p"), exact.TWO_STATE)
def test_two_state_pmf_is_the_one_tabulated(parameterization, alpha, beta, rate, u, log_p):
    """Through each parameterization, half of the rate being lost to capture."""
    model = oracle.Model({"model": "twostatevcp", "parameterization": parameterization})
    every = oracle.of_two_state(alpha, beta, 2.0 * rate)
    found = oracle.log_count(model, {name: every[name] for name in NAMED[parameterization]}, 0.5, u)
    assert float(found) == pytest.approx(log_p, abs=1e-4)


def pmf(recipe, v, nu, last):
    return np.exp([float(oracle.log_count(oracle.Model(recipe), v, nu, u)) for u in range(last)])


def test_negative_binomial_is_thinned():
    """Against scipy, and against a binomial part of each count; then with a gate."""
    v, nu, u = {"mu": 3.0, "phi": 0.5}, 0.3, np.arange(400)
    whole = stats.nbinom.pmf(u, 1.5, 0.5 / 1.5)
    thinned = np.array([(whole * stats.binom.pmf(k, u, nu)).sum() for k in range(20)])
    recipe = {"model": "nbvcp", "parameterization": "odds_ratio"}
    np.testing.assert_allclose(pmf(recipe, v, nu, 20), thinned, rtol=1e-10)
    gated = pmf(recipe | {"model": "zinbvcp"}, v | {"gate": 0.2}, nu, 20)
    np.testing.assert_allclose(gated, 0.2 * (np.arange(20) == 0) + 0.8 * thinned, rtol=1e-10)


def test_beta_negative_binomial_has_the_mean_and_the_variance_of_the_models():
    """Mean of the thinned NB, its variance times 1 + omega."""
    recipe = {"model": "nbvcp", "parameterization": "mean_prob", "overdispersion": "bnb"}
    u, mu, p, nu, omega = np.arange(1500), 4.0, 0.4, 0.5, 0.05
    found = pmf(recipe, {"mu": mu, "p": p, "omega": omega}, nu, len(u))
    mean, p_hat = mu * nu, p * nu / (1 - p * (1 - nu))
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found * u).sum() == pytest.approx(mean, rel=1e-7)
    assert (found * (u - mean) ** 2).sum() == pytest.approx((1 + omega) * mean / (1 - p_hat), rel=1e-5)


def test_a_label_weighs_as_the_models_say():
    model = oracle.Model({"model": "nbdm", "n_components": 3, "annotation_key": "type", "annotation_confidence": 1.5})
    thetas = {"mixing_weights_unconstrained": np.log([0.2 / 0.5, 0.3 / 0.5]).reshape(1, 1, 1, 2)}
    of_cell = [np.exp(oracle.log_weights(model, thetas, c, recipes.DATA)) for c in (0, 1)]
    pulled = np.array([0.2 * np.exp(1.5), 0.3, 0.5])
    np.testing.assert_allclose(of_cell, [pulled / pulled.sum(), [0.2, 0.3, 0.5]], rtol=1e-12)


def law_of(log_density, low, high):
    """Its integral over the line."""
    return integrate.quad(lambda t: np.exp(log_density(np.full((1, 1, 1), t))), low, high, points=[-3, 0, 3], limit=400)[0]


@pytest.mark.parametrize("base", [("normal", 0.7, 1.3), ("beta", 2.0, 5.0), ("beta_prime", 0.5, 3.0)])
def test_base_densities_are_normalised(base):
    param = oracle.Param("x", "unit", (), base)
    density = lambda t: oracle.log_base(None, param, {"x_unconstrained": t}, recipes.DATA)  # noqa: E731
    assert law_of(density, -30, 30) == pytest.approx(1, abs=1e-5)


def test_capture_prior_is_normalised():
    """Where the truncation cuts half of the normal away, in log eta."""
    data = dataclasses.replace(recipes.DATA, log_library=np.full(1, np.log(2e5)), rows=np.arange(1))
    model = oracle.Model({"model": "nbvcp", "priors": {"organism": "human"}})
    density = lambda t: oracle.log_eta(model, t, model.informed, {}, data)  # noqa: E731
    assert law_of(density, -40, 4) == pytest.approx(1, abs=1e-8)


def log_of(law, t):
    return law.pdf(np.exp(t)) * np.exp(t)


AT = 0.3
GAUSSIAN, HORSESHOE, NEG = (
    oracle.Level(family, "gene", args)
    for family, args in {"gaussian": (-2.0, 0.5), "horseshoe": (0.5, 5.0, 1.5), "neg": (1.5, 0.8, 2.0)}.items()
)
CONDITIONAL = [  # the law of a site at AT, the others being there too
    (GAUSSIAN, "z", stats.norm.pdf(AT)),
    (GAUSSIAN, "scale", stats.norm(-2, 0.5).pdf(AT)),
    (HORSESHOE, "z", stats.norm.pdf(AT)),
    (HORSESHOE, "tau", log_of(stats.halfcauchy(scale=0.5), AT)),
    (HORSESHOE, "lambda", log_of(stats.halfcauchy(), AT)),
    (HORSESHOE, "c2", log_of(stats.invgamma(2.5, scale=5 * 1.5**2 / 2), AT)),
    (NEG, "z", stats.norm.pdf(AT)),
    (NEG, "psi", log_of(stats.gamma(1.5, scale=np.exp(-AT)), AT)),
    # of zeta given psi: its prior's shape .8 and the 1.5 of psi's, rate 2 + psi
    (NEG, "zeta", log_of(stats.gamma(0.8 + 1.5, scale=1 / (2 + np.exp(AT))), AT)),
]


@pytest.mark.parametrize(("level", "piece", "law"), CONDITIONAL, ids=lambda v: v if isinstance(v, str) else getattr(v, "family", ""))
def test_levels_have_these_conditional_laws(level, piece, law):
    """The density over its integral along one site."""
    param = oracle.Param("x", "real", ("gene",), ("normal", 0.0, 1.0), (level,))
    at = {f"x_gene_{name}": np.full((1, 1, 1), AT) for name in (*oracle.PIECES[level.family], "z")}
    density = lambda t: oracle.log_level(param, level, at | {f"x_gene_{piece}": t})  # noqa: E731
    whole = np.exp(density(np.full((1, 1, 1), AT)))
    assert whole / law_of(density, -40, 40) == pytest.approx(law, rel=1e-7)
