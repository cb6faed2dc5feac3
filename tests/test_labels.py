"""From obs columns to codes: datasets, components and their labels, and what the priors read from the counts."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.data.counts import CountData
from scribe_cli.data.facts import facts_of
from scribe_cli.data.design import Design
from scribe_cli.data.doubts import doubts
from scribe_cli.data.labels import design_in, design_of, rare, refuse_one_dataset
from scribe_cli.data.selection import Selection
from scribe_cli.errors import BadData, BadRecipe
from tests import fits

N = 12
COUNTS = np.random.default_rng(3).poisson(2.0, (N, 4))
COUNTS[:, 3] = 0
NORMAL = Prior("normal", {"loc": 0.0, "scale": 1.0})
TYPES = ["T", "B", "NK", "B"] * 3


def counts_of(counts=COUNTS, selection: Selection = Selection(), **obs) -> CountData:
    frame = pd.DataFrame(obs, index=pd.Index([f"c{i}" for i in range(len(counts))], dtype=object))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(counts.shape[1])], dtype=object))
    return CountData.build(fits.source(Path("in.h5ad"), scipy.sparse.csr_array(counts), frame, var), selection)


def spec_of(*params: ParamSpec, **more) -> ModelSpec:
    mu = ParamSpec("mu", "mean", "positive", ("gene",), Prior("normal", {"loc": "log_mu_hat", "scale": 1.0}))
    return ModelSpec("negative_binomial", "mean_odds", params or (mu,), **more)


def named(design: Design, codes: np.ndarray, names: tuple[str, ...]) -> list[str]:
    return [names[i] if i >= 0 else "" for i in codes]


def test_datasets_are_the_labels_in_sorted_order():
    data = counts_of(donor=["z", "a", "m"] * 4, plate=[2, 10] * 6)
    design = design_of(data, "donor")
    assert design.datasets == ("a", "m", "z") and design.components == () and design.annotation is None
    assert named(design, design.dataset_of_cell, design.datasets) == ["z", "a", "m"] * 4
    assert design_of(data, "plate").datasets == ("10", "2")
    assert design_of(data) == Design()


def test_labels_name_the_first_components_and_the_rest_are_numbered_by_place():
    data = counts_of(type=TYPES)
    design = design_of(data, n_components=5, annotation_key="type")
    assert design.components == ("B", "NK", "T", "component_3", "component_4")
    assert named(design, design.annotation, design.components) == TYPES
    alone = design_of(data, n_components=2)
    assert alone.components == ("component_0", "component_1") and alone.annotation is None


def test_cells_without_a_label_and_labels_of_too_few_cells_are_unlabelled():
    column = pd.Categorical([*TYPES[:6], None, "", "rare", *TYPES[9:]])
    design = design_of(counts_of(type=column), n_components=3, annotation_key="type", annotation_min_cells=2)
    assert design.components == ("B", "NK", "T")
    assert named(design, design.annotation, design.components) == [*TYPES[:6], "", "", "", *TYPES[9:]]
    fewer = design_of(counts_of(type=column), n_components=3, annotation_key="type", annotation_min_cells=4)
    assert fewer.components == ("B", "component_1", "component_2")  # NK and T have 3 cells or fewer
    assert set(fewer.annotation.tolist()) == {0, -1}


def test_cells_that_are_not_fitted_count_for_no_label():
    data = counts_of(type=TYPES, half=["in"] * 6 + ["out"] * 6, selection=Selection(where={"half": ["in"]}))
    design = design_of(data, n_components=3, annotation_key="type", annotation_min_cells=2)
    assert design.components == ("B", "T", "component_2") and len(design.annotation) == 6  # T, B, NK, B, T, B


def test_the_order_of_components_may_be_given():
    data = counts_of(type=TYPES)
    design = design_of(data, None, 4, "type", 0, ["T", "B"])
    assert design.components == ("T", "B", "NK", "component_3")
    assert named(design, design.annotation, design.components) == TYPES
    rare = design_of(data, None, 3, "type", 4, ["T", "B"])  # only B has 4 cells and more
    assert rare.components == ("B", "component_1", "component_2")
    with pytest.raises(BadData, match=r'no label "Tcell" \(annotation_component_order\).*there are B, NK, T'):
        design_of(data, None, 4, "type", 0, ["Tcell"])


def test_a_label_may_look_like_the_name_of_another_component():
    design = design_of(counts_of(type=["component_1", "x"] * 6), n_components=3, annotation_key="type")
    assert design.components == ("component_1", "x", "component_2")
    design = design_of(counts_of(type=["component_2", "x"] * 6), n_components=3, annotation_key="type")
    assert design.components == ("component_2", "x", "component_2-1")


def test_numbers_are_labels_as_the_recipe_gives_them():
    design = design_of(counts_of(cluster=[0.0, 1.0, np.nan] * 4), None, 2, "cluster", 0, [1, 0])
    assert design.components == ("1", "0") and design.annotation.tolist() == [1, 0, -1] * 4


@pytest.mark.parametrize(
    "keys, error, said",
    [
        ({"n_components": 2, "annotation_key": "type"}, BadRecipe, r"3 labels \(B, NK, T\) and n_components is 2.*3 or more"),
        ({"n_components": 4, "annotation_key": "typ"}, BadData, r'no obs column "typ" \(did you mean "type"\?\)'),
        ({"dataset_key": "donor"}, BadData, 'no obs column "donor".*there are type, gap'),
        ({"dataset_key": "gap"}, BadData, 'no value for 6 of the fitted cells, the first "c1"'),
        ({"n_components": 2, "annotation_key": "none"}, BadData, '"none" has no value in any.*annotation_key'),
        (
            {"n_components": 4, "annotation_key": "type", "annotation_min_cells": 100},
            BadRecipe,
            "annotation_min_cells: no label .* has 100 cells, the most frequent has 6",
        ),
    ],
)
def test_what_cannot_be_a_design_is_refused(keys, error, said):
    with pytest.raises(error, match=said):
        design_of(counts_of(type=TYPES, gap=["x", ""] * 6, none=[None] * N), **keys)


def test_labels_of_too_few_cells_are_said_to_guide_nothing():
    data = counts_of(type=["T"] * 7 + ["B"] * 2 + ["NK"] * 3)
    assert rare(data, "type", 3) == ["labels of fewer than 3 cells, which guide nothing (annotation_min_cells): B (2)"]
    assert rare(data, "type", 2) == []


def over_datasets(name: str, role: str, *axes: str) -> ParamSpec:
    prior = Prior("gaussian", {"m": 0.0, "s": 0.5}, "dataset", NORMAL)
    return ParamSpec(name, role, "positive", ("dataset", *axes), prior)


def test_a_prior_across_one_dataset_is_refused_by_its_key():
    design = design_of(counts_of(donor=["a"] * N), "donor")
    with pytest.raises(BadRecipe, match="expression_dataset_prior: mu is to differ.*remove it") as found:
        refuse_one_dataset(design, spec_of(over_datasets("mu", "mean", "gene")), "donor")
    assert found.value.key == "expression_dataset_prior"
    both = spec_of(over_datasets("mu", "mean", "gene"), over_datasets("mu_eta", "scaling"))
    with pytest.raises(BadRecipe, match="capture_scaling_prior: mu, mu_eta.*remove them"):
        refuse_one_dataset(design, both, "donor")
    weights = ParamSpec("mixing_weights", "weights", "simplex", ("component", "dataset"), Prior("dirichlet", {"a": 1.0}))
    refuse_one_dataset(design, spec_of(weights, mixed=True), "donor")
    refuse_one_dataset(design_of(counts_of(donor=["a", "b"] * 6), "donor"), both, "donor")


def test_other_data_have_the_codes_of_the_model():
    data = counts_of(donor=["stim", "rest", "stim"] * 4)
    design = design_in(data, ["ctrl", "rest", "stim"], "donor")
    assert design.datasets == ("ctrl", "rest", "stim") and design.dataset_of_cell.tolist() == [2, 1, 2] * 4
    assert design_in(data, (), None) == Design()
    own = design_in(data, (), "donor")
    assert own.datasets == ("rest", "stim") and own.dataset_of_cell.tolist() == [1, 0, 1] * 4
    with pytest.raises(BadData, match=r"parameters of each dataset \(ctrl, stim\).*--dataset-key"):
        design_in(data, ["ctrl", "stim"], None)
    with pytest.raises(BadData, match='obs column "donor" has datasets that the fit has not: rest; it has ctrl, stim'):
        design_in(data, ["ctrl", "stim"], "donor")


def test_a_dataset_that_is_a_label_is_doubted():
    def found(types, donors) -> dict:
        data = counts_of(type=types, donor=donors)
        design = design_of(data, "donor", 3, "type")
        return doubts(dataclasses.replace(data, design=design), "donor", None)

    text = found(["T"] * 6 + ["B", "NK"] * 3, ["a"] * 6 + ["b"] * 6)["dataset_is_label"]
    assert "(a is T)" in text and "dataset_key, annotation_key" in text
    assert found(["T"] * 6 + ["B", "T"] * 3, ["a"] * 6 + ["b"] * 6) == {}  # T is elsewhere too
    assert found(["T"] * 5 + [None] + ["B", "NK"] * 3, ["a"] * 6 + ["b"] * 6) == {}  # a has a cell of no label


def test_a_label_that_says_nothing_is_doubted():
    def found(types) -> dict:
        data = counts_of(type=types)
        return doubts(dataclasses.replace(data, design=design_of(data, None, 3, "type")), None, None)

    text = found(["T"] * 7 + ["B"] * 2 + ["Unknown"] * 3)["label_that_says_nothing"]
    assert '"Unknown" (3 cells)' in text and "annotation_key" in text
    assert found(["T"] * 7 + ["B"] * 2 + [None] * 3) == {}


def test_facts_are_those_the_model_names():
    data = counts_of(donor=["a", "b"] * 6, type=TYPES)
    design = design_of(data, "donor", 4, "type")
    data = dataclasses.replace(data, design=design)
    plain = facts_of(data, spec_of(ParamSpec("mu", "mean", "positive", ("gene",), NORMAL)))
    assert plain.sizes == {"cell": N, "gene": 4} and plain.arrays == {}
    weights = ParamSpec("mixing_weights", "weights", "simplex", ("component", "dataset"), Prior("dirichlet", {"a": 1.0}))
    mixed = spec_of(weights, mixed=True)
    facts = facts_of(data, mixed)
    assert facts.sizes == {"cell": N, "gene": 4, "component": 4, "dataset": 2} and set(facts.arrays) == {"dataset_of_cell"}
    assert facts.arrays["dataset_of_cell"].tolist() == [0, 1] * 6
    guided = facts_of(data, dataclasses.replace(mixed, annotation_confidence=3.0))
    assert guided.arrays["annotation"].tolist() == [{"B": 0, "NK": 1, "T": 2}[t] for t in TYPES]


def test_the_mean_a_prior_is_put_around_is_that_of_the_counts_before_capture():
    """MODELS.md 3: log((sum + 1/2)/(C nu_bar)), of an empty gene too."""
    data = counts_of(selection=Selection(genes=["g0", "g3"]))
    total = COUNTS[:, [0, 3]].sum(0)

    def added(**more) -> np.ndarray:
        """-log nu_bar"""
        found = facts_of(data, spec_of(*spec_of().params, *more.pop("params", ()), **more)).arrays["log_mu_hat"]
        return found - np.log((total + 0.5) / N)

    np.testing.assert_allclose(added(), 0.0, atol=1e-14)
    beta = ParamSpec("p_capture", "capture", "unit", ("cell",), Prior("beta", {"a": 2.0, "b": 5.0}))
    np.testing.assert_allclose(added(params=(beta,), capture="p_capture"), -np.log(scipy.stats.beta(2, 5).mean()), rtol=1e-12)
    odds = ParamSpec("phi_capture", "capture", "positive", ("cell",), Prior("beta_prime", {"a": 2.0, "b": 5.0}))
    nu = scipy.stats.beta(2, 5).rvs(200_000, random_state=0)
    assert nu.mean() == pytest.approx(math.exp(-added(params=(odds,), capture="phi_capture")[0]), rel=0.01)


@pytest.mark.parametrize("molecules, hierarchy", [(200.0, False), (200.0, True), (2.0, False)])
def test_with_the_biology_of_capture_nu_bar_is_the_mean_library_size_over_its_molecules(molecules, hierarchy):
    data = counts_of(selection=Selection(genes=["g0", "g3"]))
    log_M0 = "mu_eta" if hierarchy else math.log(molecules)
    base = Prior("normal", {"loc": math.log(molecules), "scale": 1.0})
    scaling = ParamSpec("mu_eta", "scaling", "real", ("dataset",), Prior("gaussian", {"m": -2.0, "s": 0.5}, "dataset", base))
    law = Prior("library_size", {"log_library": "log_library", "log_M0": log_M0, "sigma_M": 0.3})
    capture = ParamSpec("eta_capture", "capture", "positive", ("cell",), law)
    params = (*spec_of().params, *((scaling,) if hierarchy else ()), capture)
    if hierarchy:
        data = dataclasses.replace(data, design=Design(("a", "b"), np.arange(N, dtype=np.int32) % 2))
    facts = facts_of(data, spec_of(*params, capture="eta_capture"))
    nu_bar = min(1.0, COUNTS.sum(1).mean() / molecules)  # over all genes, not those selected
    expected = np.log((COUNTS[:, [0, 3]].sum(0) + 0.5) / (N * nu_bar))
    np.testing.assert_allclose(facts.arrays["log_mu_hat"], expected, rtol=1e-14)
