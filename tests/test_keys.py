"""Every recipe key that is about the model acts: it changes the traced program. The schema itself says which keys.

What each prior then is, is held against MODELS.md in test_default_priors.py and test_prior_rows.py.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest

from scribe_cli.core.model.asked import parameterization_names
from scribe_cli.errors import BadRecipe
from scribe_cli.run.recipe import config
from tests import recipes_zoo
from tests.traced import Traced, traced

FREE = {"model": "zinbvcp", "parameterization": "mean_odds", "unconstrained": True}
NBDM = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}
TWO, DATASETS, ORGANISM = {"n_components": 2}, {"dataset_key": "batch"}, {"priors": {"organism": "human"}}
BNB, LABELS = {"overdispersion": "bnb"}, TWO | {"annotation_key": "type"}
FAMILIES = ("gaussian", "horseshoe", "neg")

# of each key a recipe and values: the programs with them, and without the key, are all different
MODEL_KEYS: dict[str, tuple] = {
    "model": ({"model": "nbdm"}, "nbvcp", "zinb", "zinbvcp", "twostate", "twostatevcp"),
    "parameterization": ({"model": "nbdm"}, "mean_prob", "mean_odds", "mean_disp"),
    "unconstrained": ({"model": "nbdm"}, True),
    "positive_transform": (
        {"model": "twostate", "unconstrained": True},
        "softplus",
        {"burst_size": "softplus"},
        {"k_off": "softplus"},
    ),
    "priors": (
        {"model": "nbvcp"},
        {"r": [1.0, 1.0]},
        {"p": [2.0, 1.0]},
        {"p_capture": [2.0, 1.0]},
        {"organism": "human"},
        {"organism": "yeast"},
        {"organism": "ecoli"},
        {"capture_efficiency": [9.0, 0.3]},
        {"capture_efficiency": [9.0, 0.4]},
    ),
    "overdispersion": (NBDM, "bnb"),
    "n_components": (NBDM, 2),
    "mixture_params": (
        NBDM | TWO | BNB | {"model": "zinb"},
        "biological",
        "mean",
        "prob",
        "gate",
        ["mu", "gate"],
        ["bnb_concentration"],
    ),
    "annotation_key": (NBDM | TWO, "type"),
    "annotation_confidence": (NBDM | LABELS, 0.5, 1.0),
    "annotation_min_cells": (NBDM | LABELS, 4),  # T is the label of 3 cells
    "annotation_component_order": (NBDM | LABELS, ["T", "B"]),
    "dataset_mixing": (NBDM | TWO | DATASETS, False),
    "prob_dataset_mode": (NBDM | DATASETS | {"prob_dataset_prior": "gaussian"}, "scalar", "two_level"),
    "prob_prior": (FREE, *FAMILIES),
    "expression_prior": (FREE | TWO, *FAMILIES),
    "zero_inflation_prior": (FREE, *FAMILIES),
    "overdispersion_prior": (FREE | BNB | {"horseshoe_tau0": 0.5, "prob_prior": "horseshoe"}, "neg"),
    "expression_dataset_prior": (FREE | DATASETS, *FAMILIES),
    "prob_dataset_prior": (FREE | DATASETS, *FAMILIES),
    "zero_inflation_dataset_prior": (FREE | DATASETS, *FAMILIES),
    "overdispersion_dataset_prior": (FREE | DATASETS | BNB, *FAMILIES),
    "capture_scaling_prior": (FREE | DATASETS | ORGANISM, *FAMILIES),
    "horseshoe_tau0": (FREE | {"prob_prior": "horseshoe"}, 0.5),
    "horseshoe_slab_df": (FREE | {"prob_prior": "horseshoe"}, 3.0),
    "horseshoe_slab_scale": (FREE | {"prob_prior": "horseshoe"}, 3.0),
    "neg_u": (FREE | {"prob_prior": "neg"}, 0.5),
    "neg_a": (FREE | {"prob_prior": "neg"}, 0.5),
    "neg_tau": (FREE | {"prob_prior": "neg"}, 0.5),
    "expression_anchor": (FREE | ORGANISM, True),
    "expression_anchor_sigma": (FREE | ORGANISM | {"expression_anchor": True}, 0.5),
}


def densities(t: Traced) -> dict[str, tuple]:
    """{site: (shape, axes, log density of each of its elements)} at random values, the same for the same sites."""
    axes = t.axes()
    return {name: (t.thetas[name].shape, axes[name], tuple(np.ravel(t.log_density(name)))) for name in t.sites}


def differ(a: Traced, b: Traced) -> bool:
    """In a law, or with the same laws in the likelihood of the counts."""
    return densities(a) != densities(b) or a.log_likelihood != b.log_likelihood


@pytest.mark.parametrize("key", MODEL_KEYS)
def test_the_key_changes_the_traced_model(key):
    """Each of its values does, to another model."""
    recipe, *values = MODEL_KEYS[key]
    found = {str(value): traced(recipe | ({} if value is None else {key: value})) for value in (None, *values)}
    assert [pair for pair in itertools.combinations(found, 2) if not differ(found[pair[0]], found[pair[1]])] == []


# what is read from the data is not in the spec, and unconstrained changes nothing where the columns of MODELS.md 3 agree
NOT_IN_THE_SPEC = {"n_components", "annotation_min_cells", "annotation_component_order", "unconstrained"}


@pytest.mark.parametrize("key", sorted(MODEL_KEYS.keys() - NOT_IN_THE_SPEC))
def test_in_no_recipe_is_the_key_ignored(key):
    """It changes the spec, or it is refused: in every recipe of the zoo."""
    _, *values = MODEL_KEYS[key]
    # biological is all where there is no gate, and canonical samples what mean_prob does under an anchor
    value, acts = next(v for v in values if v not in ("biological", "mean_prob")), 0
    for name, recipe in recipes_zoo.RECIPES.items():
        if recipe.get(key, config.FIELDS[key].default) == value:
            continue
        try:
            changed = config.load(recipe | {key: value}).resolve()
        except BadRecipe as error:
            assert error.exit_code == 78
            continue
        acts += 1
        assert changed != config.load(recipe).resolve(), name
    assert acts


def test_the_same_recipe_is_the_same_model():
    """What changes a model above is the key: a second trace of the recipe, and its defaults written out, change nothing."""
    recipe = NBDM | LABELS
    first = Traced(recipe)
    assert not differ(first, Traced(recipe))
    assert not differ(first, Traced(recipe | {"annotation_confidence": 3.0, "annotation_component_order": ["B", "T"]}))
    assert not differ(first, Traced(recipe | {"annotation_min_cells": 3, "horseshoe_tau0": 1.0, "mixture_params": "all"}))


@pytest.mark.parametrize("recipe", [NBDM | TWO, NBDM | TWO | {"expression_dataset_prior": "gaussian"}], ids=["mixing", "prior"])
def test_a_dataset_key_gives_datasets_parameters_of_their_own(recipe):
    """Weights, unless dataset_mixing is false, and what a dataset prior is set on."""
    apart = {site for site, axes in traced(recipe | DATASETS).axes().items() if "dataset" in axes}
    assert apart == {"mixing_weights_unconstrained", *(["mu_dataset_z"] if "expression_dataset_prior" in recipe else [])}


ALIASES = {
    "nbdm": {"standard": "canonical", "linked": "mean_prob", "odds_ratio": "mean_odds"},
    "twostate": {
        "natural": "two_state_natural",
        "ratio": "two_state_ratio",
        "mean_fano": "two_state_mean_fano",
        "fano": "two_state_mean_fano",
        "moment_delta": "two_state_moment_delta",
        "delta": "two_state_moment_delta",
    },
}


@pytest.mark.parametrize("model, kernel", [("nbdm", "negative_binomial"), ("twostate", "two_state")])
def test_an_alias_is_the_parameterization_it_names(model, kernel):
    """And there are no names besides: four parameterizations of each kernel."""
    specs = {name: config.load({"model": model, "parameterization": name}).resolve() for name in parameterization_names()[kernel]}
    assert len(set(map(str, specs.values()))) == 4 == len(set(specs) - set(ALIASES[model]))
    for alias, name in ALIASES[model].items():
        assert specs[alias] == specs[name] and specs[name].parameterization == name


def test_each_two_state_parameterization_samples_its_own():
    names = ("two_state_natural", "two_state_ratio", "two_state_mean_fano", "two_state_moment_delta")
    found = [traced({"model": "twostate", "parameterization": name}) for name in names]
    assert all(set(a.sites) != set(b.sites) for a, b in itertools.combinations(found, 2))


def words(kind: Any) -> set[str]:
    """The words that a key may be, of its type."""
    if get_origin(kind) is Literal:
        return set(get_args(kind))
    return set() if get_origin(kind) is dict else {word for part in get_args(kind) for word in words(part)}


@pytest.mark.parametrize("key", [key for key in MODEL_KEYS if words(config.FIELDS[key].annotation)])
def test_every_word_of_the_key_is_tried(key):
    recipe, *values = MODEL_KEYS[key]
    base = recipe.get(key, config.FIELDS[key].default)
    implied = {"overdispersion_prior": {"horseshoe", "gaussian"}}  # what bnb has by itself, and what is refused
    tried = {base, *(v for v in values if isinstance(v, str))} | implied.get(key, set())
    assert words(config.FIELDS[key].annotation) <= tried


def test_every_key_of_the_model_is_tried():
    run = {"seed", "inference_method", "engine", "dataset_key"}
    keys = {key for key in config.FIELDS if "." not in key and not config.SHAPE[key]}
    assert keys - run == set(MODEL_KEYS)


# values of keys of features still to come
LATER_KEYS = {
    "vae.latent_dim": 3,
    "vae.encoder_hidden_dims": [3],
    "vae.decoder_hidden_dims": [3],
    "vae.flow": "maf",
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
