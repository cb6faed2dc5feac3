"""ModelSpec: what the models to come need of it, described by hand; JSON both ways; sites by shapes."""

from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core import axes
from scribe_cli.core.facts import Facts
from scribe_cli.core.model import program
from scribe_cli.core.model.program import Site
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from tests import zoo

K, D, C, G = 2, 3, 5, 4
FACTS = Facts(
    {"component": K, "dataset": D, "cell": C, "gene": G},
    {
        "log_library": jnp.zeros(C),
        "dataset_of_cell": jnp.array([0, 1, 2, 1, 0]),
        "log_mu_hat": jnp.zeros(G),
        "log_mu_hat": jnp.zeros(G),
    },
)


def normal(loc, scale):
    return Prior("normal", {"loc": loc, "scale": scale})


def horseshoe(over, base):
    return Prior("horseshoe", {"tau0": 1.0, "df": 4.0, "slab": 2.0}, over, base)


def gaussian(over, base, m=-2.0):
    return Prior("gaussian", {"m": m, "s": 0.5}, over, base)


def neg(over, base):
    return Prior("neg", {"u": 1.0, "a": 1.0, "tau": 1.0}, over, base)


NESTED = ModelSpec(
    "negative_binomial",
    "mean_prob",
    (
        ParamSpec("mu", "mean", "positive", ("component", "gene"), normal(0.0, 3.0)),
        ParamSpec(
            "p",
            "prob",
            "unit",
            ("component", "dataset", "gene"),
            horseshoe("dataset", horseshoe("gene", normal(0.0, 1.0))),
        ),
        ParamSpec("gate", "gate", "unit", ("gene",), normal(-2.0, 1.0)),
        ParamSpec("p_capture", "capture", "unit", ("cell",), Prior("beta", {"a": 1.0, "b": 1.0})),
        ParamSpec("mixing_weights", "weights", "simplex", ("component", "dataset"), Prior("dirichlet", {"a": 1.0})),
    ),
    capture="p_capture",
    gated=True,
    mixed=True,
)
NESTED_SITES = {
    "mu_unconstrained": Site((K, 1, G), ("component", "gene")),
    "p_loc": Site((K, 1, 1), ("component",)),
    "p_gene_tau": Site((1, 1, 1), ()),
    "p_gene_c2": Site((1, 1, 1), ()),
    "p_gene_lambda": Site((1, 1, G), ("gene",)),
    "p_gene_z": Site((K, 1, G), ("component", "gene")),
    "p_dataset_tau": Site((1, 1, 1), ()),
    "p_dataset_c2": Site((1, 1, 1), ()),
    "p_dataset_lambda": Site((1, 1, G), ("gene",)),
    "p_dataset_z": Site((K, D, G), ("component", "dataset", "gene")),
    "gate_unconstrained": Site((1, 1, G), ("gene",)),
    "p_capture_unconstrained": Site((1, C, 1), ("cell",)),
    "mixing_weights_unconstrained": Site((1, D, 1, K - 1), ("dataset",)),
}

ANCHORED = ModelSpec(
    "beta_negative_binomial",
    "mean_odds",
    (
        ParamSpec("mu", "mean", "positive", ("gene",), normal("log_mu_hat", 0.3)),
        ParamSpec("phi", "prob", "positive", (), normal(0.0, 1.0)),
        ParamSpec("bnb_concentration", "excess", "positive", ("gene",), horseshoe("gene", normal(-5.0, 1.0))),
    ),
)
ANCHORED_SITES = {
    "mu_unconstrained": Site((1, 1, G), ("gene",)),
    "phi_unconstrained": Site((1, 1, 1), ()),
    "bnb_concentration_loc": Site((1, 1, 1), ()),
    "bnb_concentration_gene_tau": Site((1, 1, 1), ()),
    "bnb_concentration_gene_c2": Site((1, 1, 1), ()),
    "bnb_concentration_gene_lambda": Site((1, 1, G), ("gene",)),
    "bnb_concentration_gene_z": Site((1, 1, G), ("gene",)),
}

TWO_STATE = ModelSpec(
    "two_state",
    "two_state_natural",
    (
        ParamSpec("mu", "mean", "positive", ("gene",), normal("log_mu_hat", 1.0)),
        ParamSpec("burst_size", "burst", "positive_softplus", ("gene",), normal(0.0, 1.5)),
        ParamSpec("k_off", "switching", "positive", ("gene",), normal(3.0, 2.0)),
        ParamSpec("p_capture", "capture", "unit", ("cell",), Prior("beta", {"a": 1.0, "b": 1.0})),
    ),
    capture="p_capture",
)
TWO_STATE_SITES = {
    "mu_unconstrained": Site((1, 1, G), ("gene",)),
    "burst_size_unconstrained": Site((1, 1, G), ("gene",)),
    "k_off_unconstrained": Site((1, 1, G), ("gene",)),
    "p_capture_unconstrained": Site((1, C, 1), ("cell",)),
}
LATER = {
    "zinbvcp, nested horseshoes": (NESTED, NESTED_SITES),
    "bnb, anchored": (ANCHORED, ANCHORED_SITES),
    "twostatevcp": (TWO_STATE, TWO_STATE_SITES),
}


@pytest.mark.parametrize(("spec", "expected"), LATER.values(), ids=LATER)
def test_later_models_are_specs_with_their_sites(spec, expected):
    assert program.sites(spec, FACTS) == expected


ALL_SPECS = zoo.SPECS | {name: spec for name, (spec, _) in LATER.items()}


@pytest.mark.parametrize("spec", ALL_SPECS.values(), ids=ALL_SPECS)
def test_json_both_ways(spec):
    text = spec.to_json()
    assert ModelSpec.from_json(text) == spec
    assert ModelSpec.from_json(text).to_json() == text
    assert set(json.loads(text)) == {f.name for f in dataclasses.fields(ModelSpec)}


def one(name, role, param_axes, prior):
    """A spec with one hierarchical parameter beside a plain one."""
    return ModelSpec("negative_binomial", "mean_prob", (ParamSpec(name, role, "positive", param_axes, prior),))


# DESIGN.md 3: location = all minus `over`; global pieces also minus gene; local ones location's plus gene
HIERARCHIES = {
    "expression_prior: gaussian": (
        one("mu", "mean", ("component", "gene"), gaussian("component", normal(0.0, 3.0))),
        {"mu_loc": ("gene",), "mu_component_scale": (), "mu_component_z": ("component", "gene")},
    ),
    "expression_dataset_prior: neg": (
        one("mu", "mean", ("dataset", "gene"), neg("dataset", normal(0.0, 3.0))),
        {
            "mu_loc": ("gene",),
            "mu_dataset_zeta": ("gene",),
            "mu_dataset_psi": ("gene",),
            "mu_dataset_z": ("dataset", "gene"),
        },
    ),
    "both expression priors": (
        one(
            "mu",
            "mean",
            ("component", "dataset", "gene"),
            horseshoe("dataset", gaussian("component", normal(0.0, 3.0))),
        ),
        {
            "mu_loc": ("gene",),
            "mu_component_scale": (),
            "mu_component_z": ("component", "gene"),
            "mu_dataset_tau": (),
            "mu_dataset_c2": (),
            "mu_dataset_lambda": ("gene",),
            "mu_dataset_z": ("component", "dataset", "gene"),
        },
    ),
    "prob_dataset_mode: two_level": (
        one("p", "prob", ("dataset", "gene"), horseshoe("gene", gaussian("dataset", normal(0.0, 1.0), 0.0))),
        {
            "p_loc": (),
            "p_dataset_scale": (),
            "p_dataset_z": ("dataset",),
            "p_gene_tau": ("dataset",),
            "p_gene_c2": ("dataset",),
            "p_gene_lambda": ("dataset", "gene"),
            "p_gene_z": ("dataset", "gene"),
        },
    ),
    "prob_dataset_mode: scalar": (
        one("p", "prob", ("dataset",), horseshoe("dataset", normal(0.0, 1.0))),
        {
            "p_loc": (),
            "p_dataset_tau": (),
            "p_dataset_c2": (),
            "p_dataset_lambda": ("dataset",),
            "p_dataset_z": ("dataset",),
        },
    ),
    "zero_inflation_prior: gaussian": (
        one("gate", "gate", ("gene",), gaussian("gene", normal(-2.0, 1.0))),
        {"gate_loc": (), "gate_gene_scale": (), "gate_gene_z": ("gene",)},
    ),
}


@pytest.mark.parametrize(("spec", "expected"), HIERARCHIES.values(), ids=HIERARCHIES)
def test_sites_of_a_hierarchy(spec, expected):
    found = program.sites(spec, FACTS)
    assert {name: site.axes for name, site in found.items()} == expected
    for site in found.values():
        assert site.shape == axes.shape3(site.axes, FACTS.sizes)


def test_traits():
    assert NESTED.hierarchical and ANCHORED.hierarchical and not TWO_STATE.hierarchical
    assert NESTED.per_cell and TWO_STATE.per_cell and not ANCHORED.per_cell
    assert [p.name for p in NESTED.core] == ["mu", "p"]
    assert [p.name for p in ANCHORED.core] == ["mu", "phi"] and ANCHORED.family == "negative_binomial"
    assert NESTED.role("gate").name == "gate" and NESTED.role("excess") is None
    assert NESTED["p"].axes == ("component", "dataset", "gene")
    assert NESTED.coordinate_axes("log_r") == ("component", "dataset", "gene")


def test_axes_are_stored_in_order_and_squeezed():
    assert axes.in_order(("gene", "component", "dataset")) == ("component", "dataset", "gene")
    assert axes.union((), ("gene",), ("dataset",)) == ("dataset", "gene")
    assert axes.without(("component", "dataset", "gene"), "dataset") == ("component", "gene")
    assert axes.shape3(("dataset", "gene"), FACTS.sizes) == (1, D, G)
    assert axes.squeezed(("component", "cell"), FACTS.sizes) == (K, C)


def test_facts_of_some_rows():
    """Cells' arrays follow the rows; genes' arrays, sizes and the weight are as told."""
    facts = Facts(FACTS.sizes, FACTS.arrays | {"log_library": jnp.arange(5.0)})
    part = facts.rows(np.array([3, 0]), 2.5)
    assert part.sizes == {**FACTS.sizes, "cell": 2} and part.weight == 2.5
    np.testing.assert_array_equal(part.arrays["log_library"], [3.0, 0.0])
    np.testing.assert_array_equal(part.arrays["dataset_of_cell"], [1, 0])
    np.testing.assert_array_equal(part.arrays["log_mu_hat"], facts.arrays["log_mu_hat"])
    assert part.array3("log_library").shape == (1, 2, 1) and part.array3("log_mu_hat").shape == (1, 1, G)
    assert facts.rows(np.array([0, 1]), jnp.array([1.0, 4.0])).weight3().shape == (1, 2, 1)
