"""The start of a mixture: components are found in the counts alone, labels are held, and no data are too poor for it."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.sparse import csr_array

from scribe_cli.core.axes import COMPONENT
from scribe_cli.core.inference import components, mode
from scribe_cli.core.inference.components import responsibilities
from scribe_cli.core.model import program
from scribe_cli.run.fitting import assemble, findings, inference
from scribe_cli.run.terminal.console import Console
from tests import mixtures, recovery
from tests import recipes_zoo as recipes
from tests.adjusted_rand import adjusted_rand

SEEDS = range(6)
SMALL = {"n_cells": 300, "n_genes": 60, "changed": 0.3, "fold": 1.0}


@functools.cache
def planted(seed=0, n_components=3):
    weights = {2: (0.7, 0.3), 3: (0.5, 0.3, 0.2), 6: (1 / 6,) * 6}[n_components]
    return mixtures.planted(seed, weights=weights, **SMALL)


@functools.cache
def found(seed=0, n_components=3):
    return responsibilities(planted(seed, n_components).csr, n_components)


def agreement(probabilities, truth):
    return adjusted_rand(probabilities.argmax(0), truth.component)


def assert_probabilities(p, n_components, n_cells):
    assert p.shape == (n_components, n_cells) and np.isfinite(p).all() and p.min() >= 0
    np.testing.assert_allclose(p.sum(0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_components", [2, 3])
def test_planted_components_are_found(seed, n_components):
    """As well as by who knows the truth; the largest stands first."""
    truth, p = planted(seed, n_components), found(seed, n_components)
    assert_probabilities(p, n_components, len(truth.component))
    assert agreement(p, truth) >= agreement(mixtures.bayes(truth), truth) - 0.02 and agreement(p, truth) > 0.9
    assert (np.diff(p.sum(1)) < 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_planted_components_are_found_at_full_size(seed):
    """2,000 x 300, log-fold changes N(0, .5) on a fifth of the genes, totals of 300: as well as from a start at the truth."""
    truth = mixtures.planted(seed)
    of_truth = responsibilities(truth.csr, 3, labels=truth.component, confidence=0.0)  # labels that only say where to start
    best, start, known = (agreement(p, truth) for p in (mixtures.bayes(truth), responsibilities(truth.csr, 3), of_truth))
    print(f"\nseed {seed}: adjusted Rand index {start:.3f}, from the truth {known:.3f}, with the true parameters {best:.3f}")
    assert start >= known - 0.01 and start >= best - 0.1


def test_components_differ_in_what_they_express():
    """Means weighed by the probabilities have the planted log ratios, in the genes with counts enough to show them."""
    truth, p = planted(), found()
    name = [np.bincount(truth.component[p.argmax(0) == k], minlength=3).argmax() for k in range(3)]
    assert sorted(name) == [0, 1, 2]
    sums = p @ truth.counts
    many = sums.min(0) >= 100
    shares = np.log(sums / sums.sum(1, keepdims=True))
    planted_shares = truth.log_mean - np.log(np.exp(truth.log_mean).sum(1, keepdims=True))
    apart, expected = (v[1:, many] - v[:1, many] for v in (shares, planted_shares[name]))
    assert many.sum() > 15 and np.abs(expected).max() > 1
    assert np.abs(apart - expected).max() < 0.4


def test_draws_of_starts_follow_from_the_seed():
    """Clear components are found from any; where there are none, another seed ends elsewhere."""
    nothing = csr_array(np.random.default_rng(0).poisson(2.0, (60, 30)))
    for csr, alike in ((planted().csr, True), (nothing, False)):
        first, again, other = (responsibilities(csr, 3, seed=seed) for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert np.allclose(first, other, atol=0.05) == alike


@pytest.mark.parametrize("axis", ["cells", "genes"])
def test_the_order_of_cells_and_genes_does_not_matter(axis):
    """Another order leads EM other ways, to the same end."""
    truth, rng = planted(), np.random.default_rng(1)
    cells, genes = np.arange(truth.counts.shape[0]), np.arange(truth.counts.shape[1])
    cells, genes = (rng.permutation(cells), genes) if axis == "cells" else (cells, rng.permutation(genes))
    p = responsibilities(csr_array(truth.counts[cells][:, genes]), 3)
    np.testing.assert_allclose(p, found()[:, cells], atol=0.05)


def test_depth_makes_no_component():
    """Cells of one kind whose totals spread over a factor of 20: the probabilities say nothing of the total."""
    one = mixtures.planted(0, **(SMALL | {"weights": (1.0,), "depth": 0.75}))
    total = one.counts.sum(1)
    assert np.quantile(total, 0.98) > 15 * np.quantile(total, 0.02)
    p = responsibilities(one.csr, 2)
    deep = total > np.median(total)
    assert abs(p[0, deep].mean() - p[0, ~deep].mean()) < 0.15


def test_genes_that_vary_are_looked_at_first(monkeypatch):
    """Of many genes those whose counts vary beyond chance and depth: with them alone the components are found."""
    truth = planted()
    silent = np.random.default_rng(0).poisson(3.0 * truth.nu[:, None], (300, 200))
    mixed = csr_array(np.hstack([silent[:, :100], truth.counts, silent[:, 100:]]))
    monkeypatch.setattr("scribe_cli.core.inference.components.GENES", 20)
    assert agreement(responsibilities(mixed, 3), truth) > 0.85


def test_few_cells_teach_the_others(monkeypatch):
    """Where there are more than are learnt from, all get their probabilities from what those taught."""
    truth = planted()
    monkeypatch.setattr("scribe_cli.core.inference.components.CELLS", 150)
    p = responsibilities(truth.csr, 3)
    assert_probabilities(p, 3, 300)
    assert agreement(p, truth) > 0.95


# --- labels ---------------------------------------------------------------------------------------------------------


def labels_of(truth, names, per_component=10):
    """(cells,): some cells of each component k are called names[k], all others -1."""
    label = np.full(len(truth.component), -1)
    for k, name in enumerate(names):
        if name >= 0:
            label[np.flatnonzero(truth.component == k)[:per_component]] = name
    return label


@pytest.mark.parametrize("names", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (3, 5, 0, 4, 1, 2)])
def test_components_are_those_of_the_labels(names):
    """Whatever their sizes: the component of a label is where its cells are, with a few labels of each.

    Of six components no dozen of starts would meet the right one of 720 orders by chance.
    """
    truth = planted(0, len(names))
    label = labels_of(truth, names)
    p = responsibilities(truth.csr, len(names), labels=label, confidence=3.0)
    assert_probabilities(p, len(names), len(label))
    assert (p.argmax(0) == np.array(names)[truth.component]).mean() > 0.98
    assert (p.argmax(0)[label >= 0] == label[label >= 0]).all()


@pytest.mark.parametrize("names", [(-1, 2, -1), (-1, -1, 0), (1, -1, -1)])
def test_components_without_labels_stand_in_the_order_of_their_size(names):
    """On the places that labels leave."""
    truth = planted()
    p = responsibilities(truth.csr, 3, labels=labels_of(truth, names), confidence=3.0)
    place = list(names)
    for k in (0, 1, 2):  # planted by falling size
        if place[k] < 0:
            place[k] = min(set(range(3)) - set(place))
    assert (p.argmax(0) == np.array(place)[truth.component]).mean() > 0.98


def test_confidence_pulls_cells_to_their_labels():
    """Labels at random in counts that say nothing: with much confidence a cell is of its label."""
    counts, label = csr_array(np.random.default_rng(0).poisson(1.0, (60, 8))), np.arange(60) % 2
    own = [responsibilities(counts, 2, labels=label, confidence=c)[label, np.arange(60)] for c in (0.5, 5.0, 50.0)]
    assert own[0].mean() < own[1].mean() < own[2].mean()
    assert own[2].min() > 1 - 1e-10


# --- the start of a model ---------------------------------------------------------------------------------------------


def start_of(recipe, counts, **obs):
    """{parameter: lifted value} at which a fit of the recipe starts, and the spec."""
    asked, collected = recovery.read(recipe, counts, **obs)
    spec = asked.resolve()
    problem = assemble.problem(collected, spec, "auto", None, fill=True)
    at = program.thetas(spec, problem.cells, problem.by_cell(assemble.start(collected, problem)), problem.centred)
    return {name: np.asarray(v) for name, v in at.items()}, spec


# components of all; of the mean, the gate, p, of two of them; of other kernels; under a hierarchy
STARTED = (
    *("nbdm_two", "nbvcp_three_mean", "zinb_two_gate", "nbdm_two_prob", "zinbvcp_two_listed"),
    *("nbdm_bnb_two", "twostate_three_by_slot", "nbvcp_two_expression_gaussian"),
)


@pytest.mark.parametrize("name", STARTED)
def test_no_two_components_start_alike(name):
    """In what tells them apart, that is their means, or where these are shared every other parameter of theirs."""
    at, spec = start_of(recipes.RECIPES[name], recipes.COUNTS)
    mean = spec.role("mean")
    own = [p.name for p in spec.params if COMPONENT in p.axes and p.role != "weights"]
    apart = [mean.name] if COMPONENT in mean.axes else own
    assert apart and all(np.isfinite(v).all() for v in at.values())
    for parameter in apart:
        theta = at[parameter]
        between = np.abs(theta[:, None] - theta[None]).max((2, 3)) + 9.0 * np.eye(len(theta))
        assert between.min() > 0.1, parameter
    assert np.abs(at["mixing_weights"]).max() < 5.0


def test_a_model_starts_at_the_means_of_its_components():
    """With labels, in the labels' order: ratios of means between components are those planted, weights are their shares."""
    truth = planted()
    kind = np.array(["c", "a", "b", None], object)[np.where(labels_of(truth, (0, 1, 2)) >= 0, truth.component, 3)]
    recipe = recipes.of("nbdm", "mean_odds", recipes.LABELS, n_components=3)
    at, _ = start_of(recipe, truth.counts, type=kind)
    log_mu, named = at["mu"][:, 0], [1, 2, 0]  # a, b, c
    many = truth.counts.sum(0) > 600
    ratio, expected = log_mu[1:] - log_mu[:1], truth.log_mean[named][1:] - truth.log_mean[named][:1]
    assert many.sum() >= 10 and np.corrcoef(ratio[:, many].ravel(), expected[:, many].ravel())[0, 1] > 0.95
    w = np.exp(np.append(at["mixing_weights"].ravel(), 0.0))
    np.testing.assert_allclose(w / w.sum(), np.bincount(truth.component)[named] / 300, atol=0.03)


# --- components that share their means --------------------------------------------------------------------------------


def test_cells_are_parted_by_their_totals_where_components_share_their_means():
    total = np.random.default_rng(0).permutation(np.arange(1, 31))
    p = responsibilities(csr_array(total[:, None]), 3, by_composition=False)
    assert_probabilities(p, 3, 30)
    np.testing.assert_array_equal(p.argmax(0), (total - 1) // 10)
    assert p.max(0).min() > 0.9 and p.min() > 0
    label = np.where(total > 25, 0, -1)
    labelled = responsibilities(csr_array(total[:, None]), 3, labels=label, confidence=3.0, by_composition=False)
    assert (labelled.argmax(0)[label == 0] == 0).all()
    np.testing.assert_array_equal(labelled[:, label < 0], p[:, label < 0])


# --- poor data ------------------------------------------------------------------------------------------------------

COUNTS = np.random.default_rng(0).poisson(2.0, (30, 8))
POOR = {
    "an empty cell": np.vstack([COUNTS, np.zeros((2, 8), int)]),
    "a silent gene": np.hstack([COUNTS, np.zeros((30, 1), int)]),
    "one gene": COUNTS[:, :1],
    "two genes": COUNTS[:, :2],
    "all cells equal": np.tile(COUNTS[:1], (30, 1)),
    "two distinct cells": np.repeat(COUNTS[:2], 15, 0),
    "two cells": COUNTS[:2],
    "one cell": COUNTS[:1],
    "one cell with counts": np.vstack([COUNTS[:1], np.zeros((9, 8), int)]),
    "one huge count": np.where(np.arange(30)[:, None] == 3, 10**9, COUNTS),
    "one count in all": np.eye(30, 8, dtype=int) * (np.arange(30)[:, None] == 4),
}


@pytest.mark.parametrize("by_composition", [True, False])
@pytest.mark.parametrize("name", POOR)
def test_poor_data_get_probabilities(name, by_composition):
    """Of as many components as are asked for, and the same ones again."""
    csr = csr_array(POOR[name].astype(np.int32))
    csr.eliminate_zeros()
    p = responsibilities(csr, 3, by_composition=by_composition)
    assert_probabilities(p, 3, csr.shape[0])
    np.testing.assert_array_equal(responsibilities(csr, 3, by_composition=by_composition), p)


@pytest.mark.parametrize("name", POOR)
def test_poor_data_with_labels_get_probabilities(name):
    label = np.full(len(POOR[name]), -1)
    label[:2] = [2, 0][: len(label)]
    p = responsibilities(csr_array(POOR[name].astype(np.int32)), 3, labels=label, confidence=3.0)
    assert_probabilities(p, 3, len(label))


def test_rounding_does_not_tell_equal_cells_apart():
    """What the decomposition leaves of directions in which no cell differs is no reason to start elsewhere."""
    csr = csr_array(POOR["all cells equal"].astype(float))
    space = components._space(csr, 3, np.random.default_rng(0))
    assert space.shape[1] > 1 and (space == space[:1]).all() and (space[:, 1:] == 0).all()
    np.testing.assert_array_equal(components._distance(space, space[:3]), np.zeros((30, 3)))


def test_equal_cells_have_equal_probabilities():
    """Two kinds of cell and three components: each kind is of one, and not of the same one."""
    p = responsibilities(csr_array(POOR["two distinct cells"].astype(np.int32)), 3)
    assert (p[:, :15] == p[:, :1]).all() and (p[:, 15:] == p[:, 15:16]).all()
    assert p[:, 0].argmax() != p[:, 15].argmax()


@pytest.mark.parametrize("method", ["svi", "mcmc"])
def test_a_seed_starts_components_elsewhere(monkeypatch, method):
    """Whatever the method: stability is seen by other seeds."""
    seen = []
    monkeypatch.setattr(assemble.components, "responsibilities", lambda *_, seed, **__: seen.append(seed) or 1 / 0)
    recipe = {"model": "nbdm", "n_components": 2, "inference_method": method, "seed": 7}
    asked, collected = recovery.read(recipe, COUNTS)
    with pytest.raises(ZeroDivisionError):
        inference.infer(collected, asked.resolve(), asked, Console(quiet=True))
    assert seen == [7]


def test_many_counts_leave_cells_where_they_are_told_apart():
    """The start is the mode with each cell held at its component, so that the mode is near."""
    truth = mixtures.planted(3, n_cells=150, n_genes=60, library=50_000.0, changed=0.5, fold=0.7)
    asked, collected = recovery.read({"model": "nbvcp", "parameterization": "mean_odds", "n_components": 3}, truth.counts)
    problem = assemble.problem(collected, asked.resolve(), "auto", None, fill=True)
    found = mode.find(problem, assemble.start(collected, problem))
    assert found.converged and found.steps <= 20  # 73 from the moments alone


# --- what is said of them


def said(component, annotation=None):
    """Of cells that are each surely of one component."""
    return findings.components(["T", "B", "component_2"], np.eye(3)[component], None if annotation is None else np.array(annotation))


def test_components_without_cells_are_named():
    assert said([0, 0, 1, 2]) == {}
    assert "B of 3 components have no cells" in said([0, 0, 2, 2])["empty_components"]


def test_components_that_their_labels_have_left_are_named():
    assert said([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, -1, -1]) == {}
    assert said([0, 0, 1, 0, 2, 2], [0, 0, 1, 1, -1, -1]) == {}  # half of them
    text = said([0, 0, 1, 0, 0, 2], [0, 0, -1, 1, 1, 1])["components_left_labels"]
    assert "of 3 cells labelled B 0 are in it, 2 in T" in text and "annotation_confidence" in text
