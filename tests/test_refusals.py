"""Every combination of recipe keys that is refused, its key and its reason; and what is not available yet."""

from __future__ import annotations

import math

import pytest

from scribe_cli.core.model.asked import parameterization_names
from scribe_cli.core.model.refusals import RULES
from scribe_cli.core.model.resolve import resolve
from scribe_cli.errors import BadRecipe

ODDS = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}
BNB = {"overdispersion": "bnb", "unconstrained": True}
TWO = {"n_components": 2}
ORGANISM = {"priors": {"organism": "human"}}

# (recipe, the key it is about, words of the reason)
REFUSED = [
    ({}, "model", "not set"),
    ({"model": "nbdn"}, "model", 'did you mean "nbdm"'),
    ({"model": "nbdm", "parameterization": "mean_od"}, "parameterization", 'did you mean "mean_odds"'),
    *(
        ({"model": "nbdm", "parameterization": name}, "parameterization", "two-state")
        for name in parameterization_names()["two_state"]
    ),
    # capture
    ({"model": "nbdm", "priors": {"organism": "human"}}, "priors.organism", "no capture"),
    ({"model": "zinb", "priors": {"capture_efficiency": [12, 0.3]}}, "priors.capture_efficiency", "no capture"),
    ({"model": "nbdm", "priors": {"p_capture": [1, 1]}}, "priors.p_capture", "no capture"),
    ({"model": "nbdm", "priors": {"phi_capture": [1, 1]}}, "priors.phi_capture", "no capture"),
    (
        {"model": "nbvcp", "priors": {"organism": "human", "capture_efficiency": [12, 0.3]}},
        "priors.capture_efficiency",
        "keep one",
    ),
    ({"model": "nbvcp", "priors": {"organism": "human", "p_capture": [1, 1]}}, "priors.p_capture", "keep one"),
    (
        {"model": "nbvcp", "priors": {"capture_efficiency": [12, 0.3], "p_capture": [1, 1]}},
        "priors.p_capture",
        "keep one",
    ),
    (
        {"model": "nbvcp", "parameterization": "mean_odds", "priors": {"organism": "human", "phi_capture": [1, 1]}},
        "priors.phi_capture",
        "keep one",
    ),
    ({"model": "nbvcp", "priors": {"eta_capture": [12, 0.3]}}, "priors.eta_capture", "capture_efficiency"),
    ({"model": "nbvcp", "priors": {"organism": "humn"}}, "priors.organism", 'did you mean "human"'),
    ({"model": "nbvcp", "priors": {"organism": [1.0]}}, "priors.organism", "no organism"),
    ({"model": "nbvcp", "priors": {"capture_efficiency": [200000, 0.3]}}, "priors.capture_efficiency", "write 12.21"),
    ({"model": "nbvcp", "priors": {"capture_efficiency": [12]}}, "priors.capture_efficiency", "2 such numbers"),
    ({"model": "nbvcp", "data": {"library_size": "total"}}, "data.library_size", "organism"),
    # priors
    ({"model": "nbdm", "priors": {"mu": [0, 1]}}, "priors.mu", "samples no mu"),
    ({"model": "nbdm", "priors": {"gat": [0, 1]}}, "priors.gat", "samples no gat"),
    ({"model": "zinb", "priors": {"gat": [0, 1]}}, "priors.gat", 'did you mean "gate"'),
    (
        {"model": "nbvcp", "parameterization": "mean_odds", "priors": {"p_capture": [1, 1]}},
        "priors.p_capture",
        "samples no p_capture",
    ),
    ({"model": "nbdm", "priors": {"p": [1]}}, "priors.p", "Beta(a, b) as [a > 0, b > 0]"),
    ({"model": "nbdm", "priors": {"p": [0, 1]}}, "priors.p", "a > 0"),
    ({"model": "nbdm", "priors": {"p": 1.0}}, "priors.p", "2 such numbers"),
    ({"model": "nbdm", "priors": {"p": "flat"}}, "priors.p", "found flat"),
    ({"model": "nbdm", "priors": {"r": [0, 0]}}, "priors.r", "scale > 0"),
    ({"model": "nbdm", "priors": {"r": [0, math.inf]}}, "priors.r", "scale > 0"),
    ({"model": "nbdm", "priors": {"r": [True, 1]}}, "priors.r", "found [True, 1]"),
    ({"model": "nbdm", "priors": {"mixing_weights": 5.0}}, "priors.mixing_weights", "one component"),
    # positive_transform
    ({"model": "nbdm", "positive_transform": "softplus"}, "positive_transform", "unconstrained: true"),
    ({"model": "nbdm", "positive_transform": {"r": "softplus"}}, "positive_transform", "unconstrained: true"),
    ({"model": "nbdm", "unconstrained": True, "positive_transform": "softplus"}, "positive_transform", "unless named"),
    (
        {"model": "nbdm", "unconstrained": True, "positive_transform": {"r": "softplus"}},
        "positive_transform",
        "priors.r",
    ),
    (
        {"model": "nbdm", "unconstrained": True, "positive_transform": {"p": "softplus"}},
        "positive_transform",
        "p is no positive",
    ),
    (
        ODDS | {"model": "nbvcp", "positive_transform": {"phi_capture": "softplus"}},
        "positive_transform",
        "phi_capture is no",
    ),
    (
        ODDS | {"model": "nbvcp", "positive_transform": {"eta_capture": "softplus"}} | ORGANISM,
        "positive_transform",
        "eta_capture is no",
    ),
    # two-state models are of another kernel
    *(
        ({"model": "twostatevcp", "parameterization": name}, "parameterization", "negative binomial")
        for name in ("canonical", "linked", "mean_odds", "mean_disp")
    ),
    ({"model": "twostate"} | BNB, "overdispersion", "promoter"),
    ({"model": "twostate", "priors": {"organism": "human"}}, "priors.organism", "twostatevcp"),
    ({"model": "twostate", "unconstrained": True, "prob_prior": "neg"}, "prob_prior", "neither p nor phi"),
    ({"model": "twostate", "unconstrained": True, "zero_inflation_prior": "neg"}, "zero_inflation_prior", "no gate"),
    (
        {"model": "twostate", "unconstrained": True, "dataset_key": "d", "prob_dataset_prior": "neg"},
        "prob_dataset_prior",
        "neither p nor phi",
    ),
    ({"model": "twostate", "inference_method": "vae"}, "inference_method", "negative binomial"),
    # what a hierarchy brings is not set beside it
    *(({"model": "nbdm", "priors": {name: [0, 1]}} | BNB, f"priors.{name}", "N(-5, 1)") for name in ("bnb_concentration", "omega")),
    (
        {"model": "nbvcp", "unconstrained": True, "dataset_key": "d", "capture_scaling_prior": "neg"}
        | {"priors": {"organism": "human", "mu_eta": [0, 1]}},
        "priors.mu_eta",
        "log M_0",
    ),
    # hierarchies: what each needs
    *(
        ({"model": "zinbvcp", "dataset_key": "d", key: "neg"} | more, key, "real line")
        for key, more in (
            ("prob_prior", {}),
            ("expression_prior", TWO),
            ("zero_inflation_prior", {}),
            ("expression_dataset_prior", {}),
            ("prob_dataset_prior", {}),
            ("zero_inflation_dataset_prior", {}),
            ("capture_scaling_prior", ORGANISM),
        )
    ),
    ({"model": "nbdm", "overdispersion": "bnb"}, "overdispersion", "unconstrained: true"),
    (
        {"model": "nbdm", "parameterization": "mean_disp", "unconstrained": True, "prob_prior": "neg"},
        "prob_prior",
        "neither p nor phi",
    ),
    (
        {
            "model": "nbdm",
            "parameterization": "mean_disp",
            "unconstrained": True,
            "dataset_key": "d",
            "prob_dataset_prior": "neg",
        },
        "prob_dataset_prior",
        "neither p nor phi",
    ),
    ({"model": "nbdm", "unconstrained": True, "expression_prior": "neg"}, "expression_prior", "n_components"),
    (
        {"model": "nbdm", "unconstrained": True, "expression_prior": "neg", "mixture_params": "prob"} | TWO,
        "expression_prior",
        "mixture_params",
    ),
    ({"model": "nbvcp", "unconstrained": True, "zero_inflation_prior": "neg"}, "zero_inflation_prior", "no gate"),
    (
        {"model": "nbvcp", "unconstrained": True, "dataset_key": "d", "zero_inflation_dataset_prior": "neg"},
        "zero_inflation_dataset_prior",
        "no gate",
    ),
    (
        {"model": "nbdm", "unconstrained": True, "overdispersion_prior": "neg"},
        "overdispersion_prior",
        "overdispersion: bnb",
    ),
    ({"model": "nbdm", "overdispersion_prior": "gaussian"} | BNB, "overdispersion_prior", "horseshoe or neg"),
    (
        {"model": "nbdm", "unconstrained": True, "dataset_key": "d", "overdispersion_dataset_prior": "neg"},
        "overdispersion_dataset_prior",
        "overdispersion: bnb",
    ),
    *(
        ({"model": "zinbvcp", "unconstrained": True, key: "neg"} | ORGANISM | more, key, "dataset_key")
        for key, more in (
            ("expression_dataset_prior", {}),
            ("prob_dataset_prior", {}),
            ("zero_inflation_dataset_prior", {}),
            ("overdispersion_dataset_prior", BNB),
            ("capture_scaling_prior", {}),
        )
    ),
    (
        {"model": "nbvcp", "unconstrained": True, "dataset_key": "d", "capture_scaling_prior": "neg"},
        "capture_scaling_prior",
        "organism",
    ),
    *(
        (
            {
                "model": "nbdm",
                "unconstrained": True,
                "dataset_key": "d",
                "prob_prior": "neg",
                "prob_dataset_prior": "neg",
            }
            | {"prob_dataset_mode": mode},
            "prob_prior",
            "gene_specific",
        )
        for mode in ("scalar", "two_level")
    ),
    ({"model": "nbdm", "prob_dataset_mode": "scalar"}, "prob_dataset_mode", "prob_dataset_prior"),
    *(
        ({"model": "nbdm", key: 7.0}, key, "horseshoe")
        for key in ("horseshoe_tau0", "horseshoe_slab_df", "horseshoe_slab_scale")
    ),
    *(({"model": "nbdm", key: 7.0}, key, "neg") for key in ("neg_u", "neg_a", "neg_tau")),
    (
        {"model": "nbdm", "unconstrained": True, "prob_prior": "gaussian", "neg_u": 2.0},
        "neg_u",
        "no prior of this recipe is neg",
    ),
    ({"model": "nbdm", "expression_anchor_sigma": 0.5}, "expression_anchor_sigma", "no anchor"),
    ({"model": "nbvcp", "expression_anchor": True}, "expression_anchor", "organism"),
    ({"model": "nbdm", "expression_anchor": True} | TWO, "expression_anchor", "expression_prior"),
    # priors that something replaces
    (
        {"model": "zinb", "unconstrained": True, "zero_inflation_prior": "neg", "priors": {"gate": [0, 1]}},
        "priors.gate",
        "replaces",
    ),
    ({"model": "nbdm", "unconstrained": True, "prob_prior": "neg", "priors": {"p": [0, 1]}}, "priors.p", "replaces"),
    (ODDS | {"prob_prior": "neg", "priors": {"phi": [0, 1]}}, "priors.phi", "replaces"),
    (
        {"model": "nbdm", "parameterization": "mean_prob", "expression_anchor": True, "priors": {"mu": [0, 1]}},
        "priors.mu",
        "replaces",
    ),
    ({"model": "nbdm", "expression_anchor": True, "priors": {"r": [0, 1]}}, "priors.r", "replaces"),
    # mixtures and annotation
    ({"model": "nbdm", "mixture_params": "mean"}, "mixture_params", "n_components"),
    ({"model": "nbdm", "mixture_params": "gate"} | TWO, "mixture_params", "no component axis"),
    ({"model": "nbdm", "mixture_params": ["mu"]} | TWO, "mixture_params", "some of r, p"),
    ({"model": "nbvcp", "mixture_params": ["p_capture"]} | TWO, "mixture_params", "not capture"),
    ({"model": "nbdm", "annotation_key": "type"}, "annotation_key", "n_components"),
    ({"model": "nbdm", "annotation_confidence": 2.0} | TWO, "annotation_confidence", "annotation_key"),
    ({"model": "nbdm", "annotation_min_cells": 2} | TWO, "annotation_min_cells", "annotation_key"),
    ({"model": "nbdm", "annotation_component_order": ["a"]} | TWO, "annotation_component_order", "annotation_key"),
    (
        {"model": "nbdm", "annotation_key": "type", "annotation_component_order": ["a", "b", "c"]} | TWO,
        "annotation_component_order",
        "more labels",
    ),
    ({"model": "nbdm", "dataset_key": "d", "dataset_mixing": True}, "dataset_mixing", "n_components"),
    ({"model": "nbdm", "dataset_mixing": True} | TWO, "dataset_mixing", "dataset_key"),
    # vae
    ({"model": "nbdm", "inference_method": "vae"} | TWO, "n_components", "vae"),
    ({"model": "nbdm", "inference_method": "vae", "priors": {"r": [0, 1]}}, "priors.r", "decoder"),
    (
        {"model": "nbdm", "parameterization": "mean_prob", "inference_method": "vae", "priors": {"mu": [0, 1]}},
        "priors.mu",
        "decoder",
    ),
    ({"model": "zinb", "inference_method": "vae", "priors": {"gate": [1, 9]}}, "priors.gate", "decoder"),
    ({"model": "nbdm", "inference_method": "vae", "expression_anchor": True}, "expression_anchor", "decoder"),
    (
        {"model": "zinb", "unconstrained": True, "inference_method": "vae", "zero_inflation_prior": "neg"},
        "zero_inflation_prior",
        "decoder",
    ),
    # keys of the run that nothing reads
    *(
        ({"model": "nbdm", "mcmc": {key: value}}, f"mcmc.{key}", "inference_method: mcmc")
        for key, value in (
            ("n_warmup", 9),
            ("n_samples", 9),
            ("n_chains", 9),
            ("svi_init", False),
            ("target_accept", 0.9),
        )
    ),
    ({"model": "nbdm", "vae": {"latent_dim": 3}}, "vae.latent_dim", "inference_method: vae"),
    *(
        (
            {"model": "nbdm", "inference_method": "mcmc", "mcmc": {"svi_init": False}, "svi": {key: value}},
            f"svi.{key}",
            "svi_init",
        )
        for key, value in (("n_steps", 9), ("batch_size", 9), ("learning_rate", 0.1), ("early_stopping", False))
    ),
    (
        {"model": "nbdm", "inference_method": "mcmc", "mcmc": {"svi_init": False}, "guide": {"rank": 3}},
        "guide.rank",
        "svi_init",
    ),
    ({"model": "nbdm", "inference_method": "mcmc", "svi": {"n_samples": 100}}, "svi.n_samples", "mcmc.n_samples"),
    ({"model": "nbdm", "svi": {"early_stopping": False}}, "svi.early_stopping", "svi.n_steps"),
    (
        {"model": "nbdm", "inference_method": "mcmc", "output": {"unconstrained": True}},
        "output.unconstrained",
        "always",
    ),
    ({"model": "nbdm", "output": {"ppc_samples": 501}}, "output.ppc_samples", "more draws"),
    ({"model": "nbdm", "output": {"samples": ["mu", "gate"]}}, "output.samples", "no draws of gate"),
    ({"model": "nbvcp", "output": {"samples": ["eta_capture"]}}, "output.samples", 'did you mean "p_capture"'),
]

# what is known and still to come
NOT_YET = [
    ({"model": "nbdm", "inference_method": "vae"}, "inference_method"),
    ({"model": "nbdm", "inference_method": "vae", "vae": {"latent_dim": 3}}, "vae.latent_dim"),
    *(
        ({"model": "nbdm", "guide": {key: value}}, f"guide.{key}")
        for key, value in (
            ("family", "low_rank"),
            ("rank", 3),
            ("joint_params", ["r"]),
            ("dense_params", ["r"]),
            ("flow", "iaf"),
            ("amortize_capture", True),
        )
    ),
    ({"model": "nbdm", "output": {"layers": ["ppc", "denoised"]}}, "output.layers"),
    ({"model": "nbdm", "output": {"layers": ["rqr"]}}, "output.layers"),
]


@pytest.mark.parametrize("recipe, key, words", REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refused(recipe, key, words):
    with pytest.raises(BadRecipe) as caught:
        resolve(recipe)
    assert caught.value.key == key
    message = str(caught.value)
    assert message.startswith(f"{key}: ") and words in message and "not available yet" not in message
    assert "\n" not in message and "; " in message


@pytest.mark.parametrize("recipe, key", NOT_YET, ids=lambda v: v if isinstance(v, str) else "")
def test_not_available_yet(recipe, key):
    with pytest.raises(BadRecipe, match="not available yet") as caught:
        resolve(recipe)
    assert caught.value.key == key


def test_every_rule_is_met_by_some_refusal():
    """A rule that no recipe here reaches would be one that is not tested, or can never act."""
    met = {(key, words) for _, key, words in REFUSED}
    keys = {key.split(".")[0] if key.split(".")[0] in ("svi", "mcmc", "vae", "guide") else key for key, _ in met} | {
        k for k, _ in met
    }
    assert {rule.key for rule in RULES} <= keys
