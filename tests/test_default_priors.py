"""The default priors of MODELS.md 3, row by row, capture's, and those of mixing weights, against the traced program.

The tables are written out here from MODELS.md, with scipy's laws; nothing is taken from the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from tests.traced import (
    COUNTS,
    INPUT,
    LIBRARY,
    N_CELLS,
    OBS,
    STANDARD,
    assert_law,
    beta,
    beta_prime,
    inverse_softplus,
    normal,
    softplus,
    traced,
    truncated_normal,
)

# --- the table -------------------------------------------------------------------------------------------------------

# what is sampled (section 2)
SAMPLED = {
    "canonical": ("r", "p"),
    "mean_prob": ("mu", "p"),
    "mean_odds": ("mu", "phi"),
    "mean_disp": ("mu", "r"),
    "two_state_natural": ("mu", "burst_size", "k_off"),
    "two_state_ratio": ("mu", "burst_size", "switching_ratio"),
    "two_state_mean_fano": ("mu", "excess_fano", "concentration"),
    "two_state_moment_delta": ("mu", "excess_fano", "inv_concentration"),
}
NB = ("canonical", "mean_prob", "mean_odds", "mean_disp")
TWO_STATE = ("two_state_natural", "two_state_ratio", "two_state_mean_fano", "two_state_moment_delta")
SCALARS = ("p", "phi")  # one number shared by genes


@dataclass(frozen=True)
class Default:
    """A row of the table: (law of the lifted value, its numbers) constrained and unconstrained; "m_g": from the data.

    where: the kernel, parameterization or capture that it is for; a row below goes before one above.
    """

    parameter: str
    constrained: tuple
    unconstrained: tuple
    where: str = ""


DEFAULTS = (
    Default("p", (beta, 1, 1), (normal, 0, 1)),
    Default("mu", (normal, 0, 3), (normal, 0, 3), "NB"),
    Default("r", (normal, 0, 3), (normal, 0, 3), "canonical"),
    Default("r", (normal, 0, 1.5), (normal, 0, 1.5), "mean_disp"),
    Default("phi", (beta_prime, 1, 1), (normal, 0, 1)),
    Default("gate", (beta, 1, 9), (normal, -2, 1)),
    Default("p_capture", (beta, 1, 1), (beta, 1, 1)),
    Default("phi_capture", (beta_prime, 1, 1), (beta_prime, 1, 1)),
    Default("mu", (normal, "m_g", 1), (normal, "m_g", 1), "two-state"),
    Default("burst_size", (normal, 0, 1.5), (normal, 0, 1.5)),
    Default("burst_size", (normal, 2, 2), (normal, 2, 2), "eta_capture"),
    Default("excess_fano", (normal, 0, 1.5), (normal, 0, 1.5)),
    Default("excess_fano", (normal, 2, 2), (normal, 2, 2), "eta_capture"),
    Default("k_off", (normal, 3, 2), (normal, 3, 2)),
    Default("switching_ratio", (normal, 3, 2), (normal, 3, 2)),
    Default("concentration", (normal, 3, 2), (normal, 3, 2)),
    Default("inv_concentration", (beta, 1, 50), (normal, -3, 2)),
)
MODELS = ("nbdm", "nbvcp", "zinb", "zinbvcp", "twostate", "twostatevcp")
ECOLI = {"priors": {"organism": "ecoli"}}
LOG_M0 = math.log(3000)


def informed(recipe: Mapping) -> bool:
    """Whether it has the biology-informed prior of capture; of the organisms only ECOLI's M_0 is looked up here."""
    return bool({"organism", "capture_efficiency"} & recipe.get("priors", {}).keys())


def nu_bar(recipe: Mapping) -> float:
    """min(1, mean L_c / M_0) with eta_capture, the mean of capture's prior where it is free, 1 without capture."""
    priors = recipe.get("priors", {})
    if not recipe["model"].endswith("vcp"):
        return 1.0
    if informed(recipe):
        log_m0 = priors["capture_efficiency"][0] if "capture_efficiency" in priors else LOG_M0
        return min(1.0, LIBRARY.mean() / math.exp(log_m0))
    a, b = priors.get("p_capture", priors.get("phi_capture", (1, 1)))
    return a / (a + b)


def m_g(recipe: Mapping) -> np.ndarray:
    """log((sum_c u + 1/2) / (C nu_bar)), rank 3."""
    return np.log((COUNTS.sum(0) + 0.5) / (N_CELLS * nu_bar(recipe))).reshape(1, 1, -1)


def parameterization_of(recipe: Mapping) -> str:
    return recipe.get("parameterization", "two_state_natural" if "twostate" in recipe["model"] else "canonical")


def sampled(recipe: Mapping) -> list[str]:
    """Without hierarchies: the parameterization's, the gate, and capture, which is p_capture or phi_capture if free."""
    model, free = recipe["model"], "phi_capture" if parameterization_of(recipe) == "mean_odds" else "p_capture"
    found = [*SAMPLED[parameterization_of(recipe)], *["gate"] * model.startswith("zinb")]
    return [*found, *["eta_capture" if informed(recipe) else free] * model.endswith("vcp")]


def default_of(parameter: str, recipe: Mapping) -> tuple:
    """The row of DEFAULTS that holds in a recipe."""
    kernel = "two-state" if "twostate" in recipe["model"] else "NB"
    here = {"", kernel, parameterization_of(recipe), *["eta_capture"] * informed(recipe)}
    rows = [d for d in DEFAULTS if d.parameter == parameter and d.where in here]
    return rows[-1].unconstrained if recipe.get("unconstrained") else rows[-1].constrained


def law_of(parameter: str, recipe: Mapping) -> Callable:
    """The law of a parameter's lifted value: the default's, with the numbers of the recipe where it has some."""
    law, *numbers = default_of(parameter, recipe)
    numbers = recipe.get("priors", {}).get(parameter, numbers)
    return law(*(m_g(recipe) if n == "m_g" else n for n in numbers))


def axes_of(parameter: str) -> tuple[str, ...]:
    return () if parameter in SCALARS else ("cell",) if parameter.endswith("_capture") else ("gene",)


WITHOUT_HIERARCHY = [
    {"model": model, "parameterization": name, "unconstrained": free, **capture}
    for names, models in ((NB, ("zinbvcp",)), (TWO_STATE, ("twostate", "twostatevcp")))
    for name in names
    for model in models
    for free in (False, True)
    for capture in (({}, ECOLI) if model == "twostatevcp" else ({},))
]


@pytest.mark.parametrize("recipe", WITHOUT_HIERARCHY, ids=lambda r: "-".join(map(str, r.values())))
def test_default_priors(recipe):
    """Every sampled parameter has the row's law, one site and its axes, and there is no other site."""
    t = traced(recipe)
    assert t.axes() == {f"{name}_unconstrained": axes_of(name) for name in sampled(recipe)}
    for name in sampled(recipe):
        if name != "eta_capture":
            assert_law(t, f"{name}_unconstrained", law_of(name, recipe))


NUMBERS = {
    "p": [2, 5],
    "phi": [3, 0.5],
    "mu": [1.3, 0.7],
    "r": [-0.4, 0.9],
    "gate": [2, 7],
    "p_capture": [2, 5],
    "phi_capture": [5, 3],
    "burst_size": [0.6, 1.1],
    "excess_fano": [0.8, 1.2],
    "k_off": [1.7, 0.6],
    "switching_ratio": [1.8, 0.5],
    "concentration": [1.9, 0.8],
    "inv_concentration": [2, 9],
}


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("parameterization", SAMPLED)
def test_numbers_of_the_recipe_replace_the_default(parameterization, free):
    """All of them at once: they follow the parameter's default family, also unconstrained."""
    recipe = {"model": "zinbvcp" if parameterization in NB else "twostatevcp", "parameterization": parameterization}
    recipe |= {"unconstrained": free}
    recipe |= {"priors": {name: NUMBERS[name] for name in sampled(recipe)}}
    for name in sampled(recipe):
        assert_law(traced(recipe), f"{name}_unconstrained", law_of(name, recipe))


def test_every_default_is_replaced_by_some_recipe():
    assert set(NUMBERS) == {default.parameter for default in DEFAULTS}


@pytest.mark.parametrize(
    "recipe",
    [
        {"model": "twostatevcp"},
        {"model": "twostatevcp", "priors": {"p_capture": [2, 5]}},
        {"model": "twostatevcp", "priors": {"organism": "ecoli"}},
        {"model": "twostatevcp", "priors": {"capture_efficiency": [3.0, 0.2]}},  # nu_bar is 1, as no more can be captured
        {"model": "twostatevcp", "priors": {"capture_efficiency": [6.0, 0.2]}},
    ],
    ids=str,
)
def test_the_location_of_a_two_state_mean_is_read_from_the_data(recipe):
    assert_law(traced(recipe), "mu_unconstrained", normal(m_g(recipe), 1))


ODDS, FANO = ({"parameterization": name, "unconstrained": True} for name in ("mean_odds", "two_state_mean_fano"))
SOFT = {"unconstrained": True, "positive_transform": "softplus"}
ONE_SOFT = {"positive_transform": {"concentration": "softplus"}}
SOFTENED = [  # recipe, {parameter: (softplus?, m, s)}
    ({"model": "nbdm"} | ODDS | SOFT, {"phi": (True, 0, 1), "mu": (False, 0, 3)}),
    ({"model": "twostate"} | SOFT, {"burst_size": (True, 0, 1.5), "k_off": (True, 3, 2), "mu": (False, "m_g", 1)}),
    ({"model": "twostate"} | FANO | ONE_SOFT, {"excess_fano": (False, 0, 1.5), "concentration": (True, 3, 2)}),
]


@pytest.mark.parametrize("recipe, wanted", SOFTENED, ids=["phi", "all", "one"])
def test_softplus_moves_the_location(recipe, wanted):
    """N(softplus^-1(e^m), s), and the value is softplus of it."""
    t = traced(recipe)
    for name, (soft, m, s) in wanted.items():
        m = m_g(recipe) if m == "m_g" else m
        assert_law(t, f"{name}_unconstrained", normal(inverse_softplus(np.exp(m)) if soft else m, s))
        theta = t.thetas[f"{name}_unconstrained"]
        np.testing.assert_allclose(t.log_values[name], np.log(softplus(theta)) if soft else theta, rtol=1e-12)


def test_a_named_mean_is_softplus_of_its_own_numbers():
    recipe = {"model": "nbdm", "positive_transform": {"mu": "softplus"}, "priors": {"mu": [40.0, 30.0]}}
    t = traced(recipe | ODDS)
    assert_law(t, "mu_unconstrained", normal(40, 30))
    np.testing.assert_allclose(t.log_values["mu"], np.log(softplus(t.thetas["mu_unconstrained"])), rtol=1e-12)
    assert_law(t, "phi_unconstrained", STANDARD)


# --- capture ---------------------------------------------------------------------------------------------------------

# priors: (M_0, sigma_M)
CAPTURE = (
    ({"organism": "human"}, 200_000, 0.3),
    ({"organism": "mouse"}, 200_000, 0.3),
    ({"organism": "yeast"}, 60_000, 0.3),
    ({"organism": "ecoli"}, 3_000, 0.3),
    ({"capture_efficiency": [5.5, 0.7]}, math.exp(5.5), 0.7),
)


@pytest.mark.parametrize("model", ["nbvcp", "zinbvcp", "twostatevcp"])
@pytest.mark.parametrize("priors, molecules, sigma", CAPTURE, ids=lambda v: str(v))
def test_capture_knows_the_molecules_of_a_cell(model, priors, molecules, sigma):
    """eta ~ Normal(log M_0 - log L_c, sigma_M), eta >= 0; L_c of all genes of the input, of an empty cell too."""
    t = traced({"model": model, "priors": priors})
    law = truncated_normal(math.log(molecules) - np.log(LIBRARY).reshape(1, -1, 1), sigma)
    assert t.axes("eta_capture") == {"eta_capture_unconstrained": ("cell",)}
    assert not t.axes("p_capture") and not t.axes("phi_capture")
    assert_law(t, "eta_capture_unconstrained", law)


def test_library_sizes_may_be_a_column():
    t = traced({"model": "nbvcp", "priors": {"organism": "ecoli"}, "data": {"library_size": "depth"}})
    law = truncated_normal(LOG_M0 - np.log(OBS["depth"]).reshape(1, -1, 1), 0.3)
    assert_law(t, "eta_capture_unconstrained", law)


# --- mixing weights --------------------------------------------------------------------------------------------------

THREE, BATCHES = {"model": "nbdm", "n_components": 3}, {"dataset_key": "batch"}
WEIGHTS = [  # recipe, the Dirichlet's number, number of simplices
    (THREE, 1.0, 1),
    (THREE | {"priors": {"mixing_weights": 5.0}}, 5.0, 1),
    (THREE | BATCHES, 1.0, 2),
    (THREE | BATCHES | {"priors": {"mixing_weights": 0.5}}, 0.5, 2),
    (THREE | BATCHES | {"dataset_mixing": False}, 1.0, 1),
]


@pytest.mark.parametrize("recipe, a, n", WEIGHTS, ids=["one", "5", "of datasets", "0.5 of datasets", "shared by datasets"])
def test_mixing_weights_are_dirichlet(recipe, a, n):
    """In log(w_k / w_K), whose Jacobian is the product of the weights."""
    t = traced(recipe)
    site = "mixing_weights_unconstrained"
    assert t.thetas[site].shape == (1, n, 1, 2) and t.axes("mixing_weights") == {site: ("dataset",) if n > 1 else ()}
    assert t.spec["mixing_weights"].axes == (("component", "dataset") if n > 1 else ("component",))
    w = np.exp(np.concatenate([t.thetas[site][0, :, 0], np.zeros((n, 1))], 1))
    w /= w.sum(1, keepdims=True)
    expected = [stats.dirichlet.logpdf(row, [a] * 3) + np.log(row).sum() for row in w]
    np.testing.assert_allclose(np.ravel(t.log_density(site)), expected, rtol=1e-9)
    np.testing.assert_allclose(np.exp(t.log_values["mixing_weights"])[..., 0], w.T, rtol=1e-12)


def test_the_small_data_are_what_the_laws_above_are_tried_on():
    """A gene without counts, a cell without counts, a gene that is not fitted, and nu_bar below 1 and at it."""
    assert not COUNTS[:, 2].any() and not INPUT[4].any() and LIBRARY[4] == 1
    assert (INPUT.sum(1) > COUNTS.sum(1)).any()
    assert nu_bar(ECOLI | {"model": "nbvcp"}) < nu_bar({"model": "nbvcp", "priors": {"capture_efficiency": [6.0, 0.2]}}) < 1
    assert nu_bar({"model": "nbvcp", "priors": {"capture_efficiency": [3.0, 0.2]}}) == 1
