"""Every recipe key acts: it changes the traced model or the run, or it is refused. The schema itself says which keys.

The laws of the traced model are held against scipy's, with the numbers of MODELS.md 3 written here again.
"""

from __future__ import annotations

import jax
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats
from scipy.special import expit

from scribe_cli.core.model import program
from scribe_cli.errors import BadRecipe
from scribe_cli.run.recipe import config
from tests import zoo

POINTS = (-2.5, 0.3, 1.9)


def densities(recipe: dict) -> dict[str, tuple]:
    """{site: log density of theta at POINTS, first element} of the traced model."""
    spec = config.load(recipe).resolve()
    facts = zoo.facts()
    shapes = {name: site.shape for name, site in program.sites(spec, facts).items()}

    def at(point):
        thetas = {name: np.full(shape, point) for name, shape in shapes.items()}
        seeded = handlers.seed(lambda: program.draw(spec, facts), jax.random.PRNGKey(0))
        trace = handlers.trace(handlers.substitute(seeded, data=thetas)).get_trace()
        return {name: float(np.ravel(trace[name]["fn"].log_prob(thetas[name]))[0]) for name in shapes}

    found = [at(point) for point in POINTS]
    return {name: tuple(at_point[name] for at_point in found) for name in shapes}


def normal(loc, scale):
    return lambda t: stats.norm(loc, scale).logpdf(t)


def logit_beta(a, b):
    return lambda t: stats.beta(a, b).logpdf(expit(t)) + np.log(expit(t) * expit(-t))


def log_beta_prime(a, b):
    """phi = (1-p)/p of p ~ Beta(a, b): log phi = -logit p."""
    return lambda t: logit_beta(a, b)(-t)


def log_truncated_normal(loc, scale):
    return lambda t: stats.truncnorm(-loc / scale, np.inf, loc, scale).logpdf(np.exp(t)) + t


CORE = {
    "canonical": ("r", "p", "p_capture"),
    "mean_prob": ("mu", "p", "p_capture"),
    "mean_odds": ("mu", "phi", "phi_capture"),
    "mean_disp": ("mu", "dispersion", "p_capture"),
}
CONSTRAINED = {
    "r": normal(0, 3),
    "mu": normal(0, 3),
    "dispersion": normal(0, 1.5),
    "p": logit_beta(1, 1),
    "phi": log_beta_prime(1, 1),
    "gate": logit_beta(1, 9),
    "p_capture": logit_beta(1, 1),
    "phi_capture": log_beta_prime(1, 1),
}
UNCONSTRAINED = CONSTRAINED | {"p": normal(0, 1), "phi": normal(0, 1), "gate": normal(-2, 1)}


@pytest.mark.parametrize("unconstrained", [False, True])
@pytest.mark.parametrize("parameterization", CORE)
def test_defaults_of_the_traced_model(parameterization, unconstrained):
    """zinbvcp has every parameter that the other models have."""
    found = densities({"model": "zinbvcp", "parameterization": parameterization, "unconstrained": unconstrained})
    laws = UNCONSTRAINED if unconstrained else CONSTRAINED
    wanted = {name.replace("dispersion", "r"): laws[name] for name in (*CORE[parameterization], "gate")}
    assert set(found) == {f"{name}_unconstrained" for name in wanted}
    for name, law in wanted.items():
        np.testing.assert_allclose(found[f"{name}_unconstrained"], [law(t) for t in POINTS], rtol=1e-12)


@pytest.mark.parametrize(
    "model, parameterization, name, numbers, law",
    [
        ("nbvcp", "canonical", "p", [2, 5], logit_beta(2, 5)),
        ("nbvcp", "canonical", "p_capture", [2, 5], logit_beta(2, 5)),
        ("nbvcp", "mean_odds", "phi", [2, 5], log_beta_prime(2, 5)),
        ("nbvcp", "mean_odds", "phi_capture", [2, 5], log_beta_prime(2, 5)),
        ("zinb", "canonical", "gate", [2, 5], logit_beta(2, 5)),
        ("zinb", "mean_disp", "r", [-1, 0.5], normal(-1, 0.5)),
        ("zinb", "mean_disp", "mu", [-1, 0.5], normal(-1, 0.5)),
    ],
)
def test_priors_of_the_recipe_in_the_traced_model(model, parameterization, name, numbers, law):
    found = densities({"model": model, "parameterization": parameterization, "priors": {name: numbers}})
    np.testing.assert_allclose(found[f"{name}_unconstrained"], [law(t) for t in POINTS], rtol=1e-12)


@pytest.mark.parametrize(
    "priors, log_m0, sigma",
    [
        ({"organism": "human"}, np.log(2e5), 0.3),
        ({"organism": "mouse"}, np.log(2e5), 0.3),
        ({"organism": "yeast"}, np.log(6e4), 0.3),
        ({"organism": "ecoli"}, np.log(3e3), 0.3),
        ({"capture_efficiency": [9.5, 0.7]}, 9.5, 0.7),
    ],
)
def test_the_prior_of_capture_in_the_traced_model(priors, log_m0, sigma):
    law = log_truncated_normal(log_m0 - zoo.LOG_LIBRARY[0], sigma)
    found = densities({"model": "nbvcp", "priors": priors})["eta_capture_unconstrained"]
    np.testing.assert_allclose(found, [law(t) for t in POINTS], rtol=1e-9)


# a recipe and a value of the key that its traced model is changed by
MODEL_KEYS = {
    "model": ({"model": "nbdm"}, "zinb"),
    "parameterization": ({"model": "nbdm"}, "mean_odds"),
    "unconstrained": ({"model": "nbdm"}, True),
    "positive_transform": ({"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}, "softplus"),
    "priors": ({"model": "nbdm"}, {"r": [1.0, 1.0]}),
}


@pytest.mark.parametrize("key", MODEL_KEYS)
def test_the_key_changes_the_traced_model(key):
    recipe, value = MODEL_KEYS[key]
    assert densities(recipe) != densities(recipe | {key: value})


# values of keys of features still to come, in a recipe that would otherwise stand
LATER_KEYS = {
    "overdispersion": "bnb",
    "n_components": 2,
    "mixture_params": "mean",
    "annotation_key": "type",
    "annotation_confidence": 1.0,
    "annotation_min_cells": 5,
    "annotation_component_order": ["a"],
    "dataset_mixing": True,
    "prob_dataset_mode": "scalar",
    **dict.fromkeys(
        (
            "prob_prior",
            "expression_prior",
            "zero_inflation_prior",
            "overdispersion_prior",
            "expression_dataset_prior",
            "prob_dataset_prior",
            "zero_inflation_dataset_prior",
            "overdispersion_dataset_prior",
            "capture_scaling_prior",
        ),
        "neg",
    ),
    **dict.fromkeys(("horseshoe_tau0", "horseshoe_slab_df", "horseshoe_slab_scale", "neg_u", "neg_a", "neg_tau"), 0.5),
    "expression_anchor": True,
    "expression_anchor_sigma": 0.5,
    "vae.latent_dim": 3,
    "vae.encoder_hidden_dims": [3],
    "vae.decoder_hidden_dims": [3],
    "vae.flow": "maf",
    "guide.family": "low_rank",
    "guide.rank": 2,
    "guide.joint_params": ["r"],
    "guide.dense_params": ["r"],
    "guide.flow": "iaf",
    "guide.amortize_capture": True,
}


@pytest.mark.parametrize("key", LATER_KEYS)
def test_the_key_of_a_later_feature_is_refused(key):
    found = config.load({"model": "zinbvcp", "unconstrained": True}, {key: LATER_KEYS[key]})
    with pytest.raises(BadRecipe, match=key):
        found.resolve()
