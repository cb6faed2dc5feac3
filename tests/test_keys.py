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

from scribe_cli.core.facts import Facts
from scribe_cli.core.model import program
from scribe_cli.errors import BadRecipe
from scribe_cli.run.recipe import config
from tests import zoo

POINTS = (-2.5, 0.3, 1.9)


def densities(recipe: dict) -> dict[str, tuple]:
    """{site: log density of theta at POINTS, first element} of the traced model."""
    return {name: at_points for name, (_, at_points) in traced(config.load(recipe).resolve()).items()}


def traced(spec) -> dict[str, tuple]:
    """{site: (shape, log density of theta at POINTS, first element)} of a spec with two components and two datasets."""
    some = {"dataset_of_cell": np.arange(zoo.N_CELLS) % 2, "log_mu_hat": np.zeros(zoo.N_GENES)}
    facts = Facts({**zoo.SIZES, "component": 2, "dataset": 2}, {"log_library": zoo.LOG_LIBRARY, **some})
    shapes = {name: site.shape for name, site in program.sites(spec, facts).items()}

    def at(point):
        thetas = {name: np.full(shape, point) for name, shape in shapes.items()}
        seeded = handlers.seed(lambda: program.draw(spec, facts), jax.random.PRNGKey(0))
        trace = handlers.trace(handlers.substitute(seeded, data=thetas)).get_trace()
        return {name: float(np.ravel(trace[name]["fn"].log_prob(thetas[name]))[0]) for name in shapes}

    found = [at(point) for point in POINTS]
    return {name: (shape, tuple(at_point[name] for at_point in found)) for name, shape in shapes.items()}


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


FREE = {"model": "zinbvcp", "parameterization": "mean_odds", "unconstrained": True}
TWO, DATASETS, ORGANISM = {"n_components": 2}, {"dataset_key": "d"}, {"priors": {"organism": "human"}}

# a recipe and a value of the key that its traced model is changed by
MODEL_KEYS = {
    "model": ({"model": "nbdm"}, "zinb"),
    "parameterization": ({"model": "nbdm"}, "mean_odds"),
    "unconstrained": ({"model": "nbdm"}, True),
    "positive_transform": ({"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}, "softplus"),
    "priors": ({"model": "nbdm"}, {"r": [1.0, 1.0]}),
    "overdispersion": (FREE | {"model": "nbdm"}, "bnb"),
    "n_components": (FREE, 2),
    "mixture_params": (FREE | TWO, "mean"),
    "annotation_key": (FREE | TWO, "type"),
    "annotation_confidence": (FREE | TWO | {"annotation_key": "type"}, 1.0),
    "dataset_key": (FREE | TWO, "d"),
    "dataset_mixing": (FREE | TWO | DATASETS, False),
    "prob_dataset_mode": (FREE | DATASETS | {"prob_dataset_prior": "gaussian"}, "two_level"),
    "prob_prior": (FREE, "neg"),
    "expression_prior": (FREE | TWO, "neg"),
    "zero_inflation_prior": (FREE, "neg"),
    "overdispersion_prior": (FREE | {"overdispersion": "bnb"}, "neg"),
    "expression_dataset_prior": (FREE | DATASETS, "neg"),
    "prob_dataset_prior": (FREE | DATASETS, "neg"),
    "zero_inflation_dataset_prior": (FREE | DATASETS, "neg"),
    "overdispersion_dataset_prior": (FREE | DATASETS | {"overdispersion": "bnb"}, "neg"),
    "capture_scaling_prior": (FREE | DATASETS | ORGANISM, "neg"),
    "horseshoe_tau0": (FREE | {"prob_prior": "horseshoe"}, 0.5),
    "horseshoe_slab_df": (FREE | {"prob_prior": "horseshoe"}, 3.0),
    "horseshoe_slab_scale": (FREE | {"prob_prior": "horseshoe"}, 3.0),
    "neg_u": (FREE | {"prob_prior": "neg"}, 0.5),
    "neg_a": (FREE | {"prob_prior": "neg"}, 0.5),
    "neg_tau": (FREE | {"prob_prior": "neg"}, 0.5),
    "expression_anchor": (FREE | ORGANISM, True),
    "expression_anchor_sigma": (FREE | ORGANISM | {"expression_anchor": True}, 0.5),
}
# these act on the facts that the model is given (test_labels.py)
FACT_KEYS = {"annotation_min_cells", "annotation_component_order"}


@pytest.mark.parametrize("key", MODEL_KEYS)
def test_the_key_changes_the_traced_model(key):
    recipe, value = MODEL_KEYS[key]
    before, after = (config.load(r).resolve() for r in (recipe, recipe | {key: value}))
    labelled = key in ("annotation_key", "annotation_confidence")  # they act on the weights in the likelihood
    assert before.annotation_confidence != after.annotation_confidence if labelled else traced(before) != traced(after)


def test_every_key_of_the_model_is_tried():
    run = {"seed", "inference_method", "engine"}
    assert {key for key in config.FIELDS if "." not in key and key not in config.SHAPE or key == "priors"} - run <= {
        *MODEL_KEYS,
        *FACT_KEYS,
    }


# values of keys of features still to come
LATER_KEYS = {
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
