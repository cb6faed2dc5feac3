"""Every combination of recipe keys that is refused (MODELS.md 7), its key and its reason; and what is not available yet.

What each hierarchy of MODELS.md 4 needs is asked row by row in test_prior_rows.py, with each of its families.
"""

from __future__ import annotations

import json
import math
import re

import pytest

from scribe_cli.cli.main import main
from scribe_cli.core.model.asked import parameterization_names
from scribe_cli.core.model.refusals import RULES
from scribe_cli.core.model.resolve import resolve
from scribe_cli.errors import BadRecipe
from tests.test_default_priors import NB, SAMPLED
from tests.traced import read

ODDS = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}
BNB = {"overdispersion": "bnb", "unconstrained": True}
TWO = {"n_components": 2}
LAPLACE = {"guide": {"family": "laplace"}}
ORGANISM = {"priors": {"organism": "human"}}

# (recipe, the key it is about, words of the reason)
REFUSED = [
    ({}, "model", "not set"),
    ({"model": "nbdn"}, "model", 'did you mean "nbdm"'),
    ({"model": "nbdm", "parameterization": "mean_od"}, "parameterization", 'did you mean "mean_odds"'),
    *(
        ({"model": model, "parameterization": name}, "parameterization", "two-state")
        for model, names in (("nbdm", parameterization_names()["two_state"]), ("zinbvcp", ["two_state_ratio"]))
        for name in names
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
    (
        {"model": "nbvcp", "parameterization": "mean_odds", "priors": {"capture_efficiency": [12, 0.3], "phi_capture": [1, 1]}},
        "priors.phi_capture",
        "keep one",
    ),
    *(
        ({"model": model, "priors": {"eta_capture": [12, 0.3]}}, "priors.eta_capture", "capture_efficiency")
        for model in ("nbdm", "nbvcp", "twostatevcp")
    ),
    ({"model": "twostate", "priors": {"p_capture": [1, 1]}}, "priors.p_capture", "no capture"),
    ({"model": "twostate", "priors": {"capture_efficiency": [12, 0.3]}}, "priors.capture_efficiency", "no capture"),
    ({"model": "nbvcp", "priors": {"organism": "humn"}}, "priors.organism", 'did you mean "human"'),
    ({"model": "nbvcp", "priors": {"organism": [1.0]}}, "priors.organism", "no organism"),
    ({"model": "nbvcp", "priors": {"capture_efficiency": [200000, 0.3]}}, "priors.capture_efficiency", "write 12.21"),
    ({"model": "nbvcp", "priors": {"capture_efficiency": [12]}}, "priors.capture_efficiency", "2 such numbers"),
    ({"model": "nbvcp", "data": {"library_size": "total"}}, "data.library_size", "organism"),
    ({"model": "nbvcp", "priors": {"p_capture": [1, 2]}, "data": {"library_size": "total"}}, "data.library_size", "organism"),
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
    ({"model": "nbdm", "priors": {"mixing_weights": 5.0}}, "priors.mixing_weights", "one component"),
    ({"model": "nbdm", "priors": {"mixing_weights": 0.0}} | TWO, "priors.mixing_weights", "a > 0"),
    ({"model": "nbdm", "priors": {"mixing_weights": [1.0, 2.0]}} | TWO, "priors.mixing_weights", "found [1.0, 2.0]"),
    # of a parameterization's parameters those of the others are not sampled
    *(
        ({"model": model, "parameterization": name, "priors": {other: [0.5, 1]}}, f"priors.{other}", f"samples no {other}")
        for name, own in SAMPLED.items()
        for model in (["nbdm"] if name in NB else ["twostate"])
        for other in sorted({p for names in SAMPLED.values() for p in names} - {*own})
    ),
    # nor are derived ones
    *(
        ({"model": "twostate", "priors": {name: [0, 1]}}, f"priors.{name}", f"samples no {name}")
        for name in ("alpha", "beta", "r_hat", "k_on")
    ),
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
    (ODDS | {"positive_transform": {"r": "softplus"}}, "positive_transform", "name some of mu, phi"),
    # an anchor's and a hierarchy's location is of the log
    (
        ODDS | {"positive_transform": {"mu": "softplus"}, "expression_anchor": True},
        "positive_transform",
        "mu is no positive parameter",
    ),
    (ODDS | {"positive_transform": {"mu": "softplus"}, "expression_prior": "neg"} | TWO, "positive_transform", "priors.mu"),
    ({"model": "twostate", "unconstrained": True, "positive_transform": {"mu": "softplus"}}, "positive_transform", "priors.mu"),
    (
        {"model": "nbdm", "positive_transform": {"bnb_concentration": "softplus"}} | BNB,
        "positive_transform",
        "bnb_concentration is no",
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
        for name in parameterization_names()["negative_binomial"]
    ),
    ({"model": "twostate", "parameterization": "canonical"}, "parameterization", "negative binomial"),
    *(({"model": model} | BNB, "overdispersion", "promoter") for model in ("twostate", "twostatevcp")),
    ({"model": "twostate", "priors": {"gate": [1, 9]}}, "priors.gate", "no gate"),
    ({"model": "nbvcp", "priors": {"gate": [1, 9]}}, "priors.gate", "no gate"),
    *(
        ({"model": "twostate", "unconstrained": True, key: "neg", "dataset_key": "d"}, key, words)
        for key, words in (
            ("zero_inflation_dataset_prior", "no gate"),
            ("overdispersion_prior", "promoter"),
            ("overdispersion_dataset_prior", "promoter"),
        )
    ),
    (
        {"model": "nbdm", "unconstrained": True, "dataset_key": "d", "capture_scaling_prior": "neg"},
        "capture_scaling_prior",
        "no capture",
    ),
    *(
        ({"model": "nbdm", "unconstrained": True, key: "neg", "dataset_key": "d"}, key, "no omega")
        for key in ("overdispersion_prior", "overdispersion_dataset_prior")
    ),
    ({"model": "twostate", "priors": {"organism": "human"}}, "priors.organism", "twostatevcp"),
    ({"model": "twostate", "unconstrained": True, "prob_prior": "neg"}, "prob_prior", "neither p nor phi"),
    ({"model": "twostate", "unconstrained": True, "zero_inflation_prior": "neg"}, "zero_inflation_prior", "no gate"),
    (
        {"model": "twostate", "unconstrained": True, "dataset_key": "d", "prob_dataset_prior": "neg"},
        "prob_dataset_prior",
        "neither p nor phi",
    ),
    *(
        ({"model": model, "inference_method": "vae"}, "inference_method", "negative binomial")
        for model in ("twostate", "twostatevcp")
    ),
    # what a hierarchy brings is not set beside it
    *(
        ({"model": "nbdm", "priors": {name: [0, 1]}} | BNB, f"priors.{name}", "N(-5, 1)")
        for name in ("bnb_concentration", "omega")
    ),
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
    # bnb has a horseshoe only where no other prior of omega is named
    *(
        ({"model": "nbdm", "horseshoe_tau0": 0.5, "dataset_key": "d", key: family} | BNB, "horseshoe_tau0", "no prior")
        for key, family in (("overdispersion_prior", "neg"), ("overdispersion_dataset_prior", "gaussian"))
    ),
    ({"model": "nbdm", "neg_tau": 0.5} | BNB, "neg_tau", "no prior of this recipe is neg"),
    (
        {"model": "nbdm", "unconstrained": True, "prob_prior": "neg", "horseshoe_slab_df": 3.0},
        "horseshoe_slab_df",
        "no prior of this recipe is a horseshoe",
    ),
    (
        {"model": "nbdm", "unconstrained": True, "prob_prior": "gaussian", "neg_u": 2.0},
        "neg_u",
        "no prior of this recipe is neg",
    ),
    ({"model": "nbdm", "expression_anchor_sigma": 0.5}, "expression_anchor_sigma", "no anchor"),
    *(({"model": m, "expression_anchor": True}, "expression_anchor", "organism") for m in ("nbvcp", "zinbvcp", "twostatevcp")),
    (
        {"model": "nbvcp", "expression_anchor": True, "priors": {"p_capture": [2, 3]}},
        "expression_anchor",
        "free capture",
    ),
    ({"model": "nbdm", "expression_anchor": True} | TWO, "expression_anchor", "expression_prior"),
    (
        {"model": "nbdm", "unconstrained": True, "expression_anchor": True, "dataset_key": "d"}
        | {"expression_dataset_prior": "neg"}
        | TWO,
        "expression_anchor",
        "expression_prior",
    ),
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
    ({"model": "nbdm", "expression_anchor": True, "priors": {"r": [0, 1]}}, "priors.r", "samples no r"),
    ({"model": "nbdm", "expression_anchor": True, "priors": {"mu": [0, 1]}}, "priors.mu", "replaces"),
    ({"model": "twostate", "expression_anchor": True, "priors": {"mu": [0, 1]}}, "priors.mu", "replaces"),
    (
        ODDS | {"expression_anchor": True, "expression_prior": "neg", "priors": {"mu": [0, 1]}} | TWO,
        "priors.mu",
        "replaces",
    ),
    *(
        (ODDS | {"dataset_key": "d", "prob_dataset_prior": "neg", "prob_dataset_mode": mode, "priors": {"phi": [0, 1]}},)
        + ("priors.phi", "replaces")
        for mode in ("scalar", "gene_specific", "two_level")
    ),
    (
        {"model": "zinb", "unconstrained": True, "dataset_key": "d", "zero_inflation_dataset_prior": "neg"}
        | {"priors": {"gate": [0, 1]}},
        "priors.gate",
        "replaces",
    ),
    # mixtures and annotation
    *(
        ({"model": "nbdm", "mixture_params": value}, "mixture_params", "n_components")
        for value in ("biological", "mean", "prob", "gate", ["r"])
    ),
    *(
        ({"model": model, "parameterization": name, "mixture_params": word} | TWO, "mixture_params", "no component axis")
        for model, name, word in (
            ("nbdm", "mean_disp", "prob"),
            ("twostate", "two_state_ratio", "prob"),
            ("twostate", "two_state_ratio", "gate"),
        )
    ),
    ({"model": "nbdm", "mixture_params": ["r"], "expression_anchor": True} | TWO, "mixture_params", "some of mu, p"),
    ({"model": "nbdm", "mixture_params": ["bnb_concentration"]} | TWO, "mixture_params", "no component axis"),
    ({"model": "nbdm", "mixture_params": ["k_off"]} | TWO, "mixture_params", "no component axis"),
    ({"model": "nbdm", "mixture_params": ["mixing_weights"]} | TWO, "mixture_params", "no component axis"),
    ({"model": "nbvcp", "mixture_params": ["eta_capture"]} | ORGANISM | TWO, "mixture_params", "name some of"),
    ({"model": "nbdm", "mixture_params": "gate"} | TWO, "mixture_params", "no component axis"),
    ({"model": "nbdm", "mixture_params": ["mu"]} | TWO, "mixture_params", "some of r, p"),
    ({"model": "nbvcp", "mixture_params": ["p_capture"]} | TWO, "mixture_params", "name some of"),
    ({"model": "nbdm", "annotation_key": "type"}, "annotation_key", "n_components"),
    *(
        ({"model": "nbdm", "annotation_key": "type", key: value}, "annotation_key", "n_components")
        for key, value in (
            ("annotation_confidence", 1.0),
            ("annotation_min_cells", 2),
            ("annotation_component_order", ["a"]),
        )
    ),
    *(
        ({"model": "nbdm", key: value}, key, "annotation_key")
        for key, value in (
            ("annotation_confidence", 1.0),
            ("annotation_min_cells", 2),
            ("annotation_component_order", ["a"]),
        )
    ),
    ({"model": "nbdm", "annotation_confidence": 2.0} | TWO, "annotation_confidence", "annotation_key"),
    ({"model": "nbdm", "annotation_min_cells": 2} | TWO, "annotation_min_cells", "annotation_key"),
    ({"model": "nbdm", "annotation_component_order": ["a"]} | TWO, "annotation_component_order", "annotation_key"),
    (
        {"model": "nbdm", "annotation_key": "type", "annotation_component_order": ["a", "b", "c"]} | TWO,
        "annotation_component_order",
        "more labels",
    ),
    *(
        case
        for value in (True, False)
        for case in (
            ({"model": "nbdm", "dataset_key": "d", "dataset_mixing": value}, "dataset_mixing", "n_components"),
            ({"model": "nbdm", "dataset_mixing": value} | TWO, "dataset_mixing", "dataset_key"),
        )
    ),
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
    *(
        (
            {"model": "zinb", "unconstrained": True, "inference_method": "vae", "dataset_key": "d", key: "neg"},
            key,
            "decoder",
        )
        for key in ("zero_inflation_prior", "zero_inflation_dataset_prior", "expression_dataset_prior")
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
    ({"model": "nbdm", "unconstrained": True, "prob_prior": "gaussian"} | LAPLACE, "guide.family", "no estimate"),
    ({"model": "nbdm", "unconstrained": True, "overdispersion": "bnb"} | LAPLACE, "guide.family", "no estimate"),
    ({"model": "nbdm", "n_components": 2} | LAPLACE, "guide.family", "more than one bump"),
    ({"model": "nbdm", "inference_method": "mcmc"} | LAPLACE, "guide.family", "start at the mode"),
    *(
        ({"model": "nbdm", "svi": {key: value}} | LAPLACE, f"svi.{key}", "no such steps")
        for key, value in (("n_steps", 9), ("batch_size", 9), ("learning_rate", 0.1), ("early_stopping", False))
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

# what the types of the schema refuse already
OF_THE_SCHEMA = [
    ({"model": "nbdm", "priors": {"r": [0, math.inf]}}, "priors.r", "scale > 0"),
    ({"model": "nbdm", "priors": {"r": [True, 1]}}, "priors.r", "found [True, 1]"),
]

# what is known and still to come
NOT_YET = [
    ({"model": "nbdm", "inference_method": "vae"}, "inference_method"),
    ({"model": "zinbvcp", "unconstrained": True, "prob_prior": "neg", "inference_method": "vae"}, "inference_method"),
    *(
        ({"model": "nbdm", "inference_method": "vae", "vae": {key: value}}, f"vae.{key}")
        for key, value in (
            ("latent_dim", 3),
            ("encoder_hidden_dims", [3]),
            ("decoder_hidden_dims", [3]),
            *(("flow", flow) for flow in ("coupling_affine", "coupling_spline", "maf", "iaf")),
        )
    ),
    *(
        ({"model": "nbdm", "guide": {key: value}}, f"guide.{key}")
        for key, value in (
            ("family", "low_rank"),
            ("family", "flow"),
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


def ids(value) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize("recipe, key, words", REFUSED + OF_THE_SCHEMA, ids=ids)
def test_refused(recipe, key, words):
    with pytest.raises(BadRecipe) as caught:
        resolve(recipe)
    assert caught.value.key == key and caught.value.exit_code == 78
    message = str(caught.value)
    assert message.startswith(f"{key}: ") and words in message and "not available yet" not in message
    assert "\n" not in message and "; " in message


@pytest.mark.parametrize("recipe, key", NOT_YET, ids=ids)
def test_not_available_yet(recipe, key):
    with pytest.raises(BadRecipe, match="not available yet") as caught:
        resolve(recipe)
    assert caught.value.key == key and caught.value.exit_code == 78


@pytest.mark.parametrize("recipe, key, words", [*REFUSED, *((r, k, "not available yet") for r, k in NOT_YET)], ids=ids)
def test_the_command_refuses_it_before_it_reads_the_data(recipe, key, words, tmp_path, capsys):
    """Exit code 78 and one line with the reason, though the data are none; nothing is left behind."""
    for name, text in (("r.yaml", json.dumps(recipe)), ("data.h5ad", "no data")):
        (tmp_path / name).write_text(text)
    out = tmp_path / "out"
    assert main(["fit", str(tmp_path / "data.h5ad"), "--recipe", str(tmp_path / "r.yaml"), "-o", str(out)]) == 78
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and f"{key}: " in said[0] and words in said[0]
    assert not out.exists()


ONE_DATASET = {"model": "nbvcp", "unconstrained": True, "dataset_key": "one"} | ORGANISM
AFTER_READING = [
    *(
        (ONE_DATASET | {key: "gaussian"} | more, key, "has one value")
        for key, more in (
            ("expression_dataset_prior", {}),
            ("prob_dataset_prior", {}),
            ("prob_dataset_prior", {"prob_dataset_mode": "scalar"}),
            ("prob_dataset_prior", {"prob_dataset_mode": "two_level"}),
            ("zero_inflation_dataset_prior", {"model": "zinbvcp"}),
            ("overdispersion_dataset_prior", BNB),
            ("capture_scaling_prior", {}),
        )
    ),
    ({"model": "nbdm", "annotation_key": "depth"} | TWO, "annotation_key", "12 labels"),
]


@pytest.mark.parametrize("recipe, key, words", AFTER_READING, ids=ids)
def test_refused_once_the_data_are_read(recipe, key, words):
    """A dataset prior with one dataset; more labels than components."""
    with pytest.raises(BadRecipe, match=words) as caught:
        read(recipe)
    assert caught.value.key == key and caught.value.exit_code == 78


def test_a_label_that_stands_twice_in_the_order_of_components_is_refused():
    """Else it is two components, of which the first is no cell's."""
    with pytest.raises(BadRecipe, match="twice") as caught:
        read({"model": "nbdm", "n_components": 3, "annotation_key": "type", "annotation_component_order": ["B", "B"]})
    assert caught.value.exit_code == 78


# another key is refused first: overdispersion off the real line, n_components with a decoder
OVERRULED = (
    ("overdispersion_prior", "real line"),
    ("overdispersion_dataset_prior", "real line"),
    ("expression_prior", "decoder"),
)


def test_an_anchor_leaves_the_dispersion_its_prior():
    """r is the dispersion where mu is sampled, and the mean elsewhere."""
    spec = resolve({"model": "nbdm", "parameterization": "mean_disp", "expression_anchor": True, "priors": {"r": [0.5, 2]}})
    assert spec["r"].prior.args == resolve({"model": "nbdm", "parameterization": "mean_disp", "priors": {"r": [0.5, 2]}})["r"].prior.args


def test_every_rule_is_met_by_some_refusal():
    """A rule whose reason no recipe here is given would be one that is not tested, or can never act."""
    said = []
    for recipe, _, _ in REFUSED:
        with pytest.raises(BadRecipe) as caught:
            resolve(recipe)
        said.append(str(caught.value))
    for rule in RULES:
        if any(rule.key == key and words in rule.reason for key, words in OVERRULED):
            continue
        reason = re.sub(r"\\\{\w+\\\}", ".*", re.escape(rule.reason))
        assert any(re.match(rf"{re.escape(rule.key)}(\.\w+)?: {reason}; ", text) for text in said), rule
