"""From a recipe's keys to a ModelSpec: names, default priors, and what replaces them."""

from __future__ import annotations

import math

import pytest

from scribe_cli.core.model import derive
from scribe_cli.core.model.asked import ask
from scribe_cli.core.model.resolve import resolve, stored_names
from scribe_cli.core.model.spec import ModelSpec, Prior

PARAMETERIZATIONS = ("canonical", "mean_prob", "mean_odds", "mean_disp")

# MODELS.md 3, written a second time: (family, arguments) constrained and unconstrained
DEFAULTS = {
    ("canonical", "r"): (("normal", 0, 3), ("normal", 0, 3)),
    ("canonical", "p"): (("beta", 1, 1), ("normal", 0, 1)),
    ("mean_prob", "mu"): (("normal", 0, 3), ("normal", 0, 3)),
    ("mean_prob", "p"): (("beta", 1, 1), ("normal", 0, 1)),
    ("mean_odds", "mu"): (("normal", 0, 3), ("normal", 0, 3)),
    ("mean_odds", "phi"): (("beta_prime", 1, 1), ("normal", 0, 1)),
    ("mean_disp", "mu"): (("normal", 0, 3), ("normal", 0, 3)),
    ("mean_disp", "r"): (("normal", 0, 1.5), ("normal", 0, 1.5)),
    **{(p, "gate"): (("beta", 1, 9), ("normal", -2, 1)) for p in PARAMETERIZATIONS},
    **{(p, "p_capture"): (("beta", 1, 1), ("beta", 1, 1)) for p in PARAMETERIZATIONS if p != "mean_odds"},
    ("mean_odds", "phi_capture"): (("beta_prime", 1, 1), ("beta_prime", 1, 1)),
}
AXES = {"p": (), "phi": (), "p_capture": ("cell",), "phi_capture": ("cell",), "eta_capture": ("cell",)}


def law(prior: Prior) -> tuple:
    return (prior.family, *(v for v in prior.args.values() if not isinstance(v, str)))


@pytest.mark.parametrize("unconstrained", [False, True])
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("model", ["nbdm", "nbvcp", "zinb", "zinbvcp"])
def test_defaults(model, parameterization, unconstrained):
    spec = resolve({"model": model, "parameterization": parameterization, "unconstrained": unconstrained})
    core = [name for p, name in DEFAULTS if p == parameterization and name not in ("gate", "p_capture", "phi_capture")]
    capture = "phi_capture" if parameterization == "mean_odds" else "p_capture"
    wanted = core + ["gate"] * (model[:4] == "zinb") + [capture] * (model[-3:] == "vcp")
    assert [p.name for p in spec.params] == wanted
    assert spec.gated == ("gate" in wanted) and spec.capture == (capture if capture in wanted else None)
    for param in spec.params:
        assert law(param.prior) == DEFAULTS[parameterization, param.name][int(unconstrained)]
        assert param.axes == AXES.get(param.name, ("gene",))
        assert not param.prior.over and not param.prior.base
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "alias, name", [("standard", "canonical"), ("linked", "mean_prob"), ("odds_ratio", "mean_odds")]
)
def test_aliases(alias, name):
    assert resolve({"model": "nbdm", "parameterization": alias}) == resolve({"model": "nbdm", "parameterization": name})


@pytest.mark.parametrize("priors", [{}, {"organism": "human"}])
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("model", ["nbdm", "nbvcp", "zinb", "zinbvcp"])
def test_what_may_be_stored_is_what_is_reported(model, parameterization, priors):
    if priors and not model.endswith("vcp"):
        return
    recipe = {"model": model, "parameterization": parameterization, "priors": priors}
    kept = {row.name for row in derive.reported(resolve(recipe)) if row.stored}
    assert set(stored_names(ask(recipe))) == kept


def test_the_default_parameterization_is_canonical():
    assert resolve({"model": "nbdm"}).parameterization == "canonical"


@pytest.mark.parametrize("organism, molecules", [("human", 2e5), ("mouse", 2e5), ("yeast", 6e4), ("ecoli", 3e3)])
def test_organisms(organism, molecules):
    spec = resolve({"model": "nbvcp", "priors": {"organism": organism}})
    assert spec.capture == "eta_capture"
    prior = spec["eta_capture"].prior
    assert dict(prior.args) == {"log_M0": math.log(molecules), "sigma_M": 0.3, "log_library": "log_library"}
    stated = resolve({"model": "nbvcp", "priors": {"capture_efficiency": [math.log(molecules), 0.3]}})
    assert stated == spec


@pytest.mark.parametrize(
    "recipe, name, wanted",
    [
        ({"model": "nbdm"}, "p", ("beta", 2.0, 3.0)),
        ({"model": "nbdm"}, "r", ("normal", 2.0, 3.0)),
        ({"model": "nbdm", "unconstrained": True}, "p", ("normal", 2.0, 3.0)),
        ({"model": "zinb"}, "gate", ("beta", 2.0, 3.0)),
        ({"model": "nbvcp"}, "p_capture", ("beta", 2.0, 3.0)),
        ({"model": "nbvcp", "parameterization": "mean_odds"}, "phi_capture", ("beta_prime", 2.0, 3.0)),
        (
            {"model": "nbvcp", "parameterization": "mean_odds", "unconstrained": True},
            "phi_capture",
            ("beta_prime", 2.0, 3.0),
        ),
        ({"model": "nbdm", "parameterization": "mean_odds"}, "phi", ("beta_prime", 2.0, 3.0)),
        ({"model": "nbdm", "parameterization": "mean_prob"}, "mu", ("normal", 2.0, 3.0)),
    ],
)
def test_priors_of_the_recipe_replace_the_default(recipe, name, wanted):
    assert law(resolve(recipe | {"priors": {name: [2, 3]}})[name].prior) == wanted


ODDS = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}


def test_softplus_keeps_the_median_of_the_default():
    phi = resolve(ODDS | {"positive_transform": "softplus"})["phi"]
    assert phi.support == "positive_softplus"
    assert phi.prior.args["loc"] == pytest.approx(math.log(math.expm1(1.0)), rel=1e-14)
    assert phi.prior.args["scale"] == 1.0


def test_softplus_leaves_mu_and_r_unless_they_are_named():
    assert resolve(ODDS | {"positive_transform": "softplus"})["mu"].support == "positive"
    named = resolve(ODDS | {"positive_transform": {"mu": "softplus", "phi": "exp"}, "priors": {"mu": [100, 50]}})
    assert named["mu"].support == "positive_softplus" and law(named["mu"].prior) == ("normal", 100.0, 50.0)
    assert named["phi"].support == "positive"


ORGANISM = {"priors": {"organism": "human"}}

LEGAL = [
    {
        "model": "zinbvcp",
        "inference_method": "mcmc",
        "svi": {"n_steps": 9, "early_stopping": False},
        "mcmc": {"n_chains": 2},
    },
    {
        "model": "nbdm",
        "svi": {"n_steps": 9, "batch_size": 9, "learning_rate": 0.1, "early_stopping": False, "n_samples": 9},
    },
    {"model": "nbvcp", "data": {"library_size": "total"}} | ORGANISM,
    {"model": "nbvcp", "dataset_key": "batch", "engine": "dense", "seed": 1},
    {
        "model": "nbdm",
        "output": {"samples": ["mu", "p"], "layers": ["ppc", "expected"], "tables": False, "data": "results"},
    },
    {"model": "nbdm", "inference_method": "mcmc", "output": {"ppc_samples": 4000}},
]


@pytest.mark.parametrize("recipe", LEGAL, ids=str)
def test_legal(recipe):
    assert [p.name for p in resolve(recipe).params][:2] == ["r", "p"]
