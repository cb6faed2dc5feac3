"""Lanes: each equals the dense one in value and gradient on every model where it is legal."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core.axes import DATASET
from scribe_cli.core.inference import initial
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.model import program
from scribe_cli.core.model.capture import COORDINATES
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.numerics import choose, kernels, lanes, mixture
from scribe_cli.core.numerics.counts import LARGEST
from scribe_cli.errors import BadRecipe
from scribe_cli.run.fitting import assemble, interpolation
from scribe_cli.run.recipe import config
from tests import recipes_zoo as recipes
from tests import recovery, zoo

FAST = [(name, lane.name) for name, spec in zoo.SPECS.items() for lane in choose.legal(spec) if lane.name != "dense"]
STATS = zoo.stats()
each_fast = pytest.mark.parametrize(("name", "lane"), FAST)


@functools.cache
def likelihood(lane):
    """f(natural, facts, stats) -> (log-likelihood, gradient in natural coordinates): compiled once a shape of model."""
    terms, kernel = lanes.load()[lane].terms, kernels.load("negative_binomial")
    return jax.jit(jax.value_and_grad(lambda *args: sum(terms(kernel, *args).values())))


def natural(name, thetas):
    return program.natural(zoo.SPECS[name], zoo.log_values(name, thetas))


def differences(name, lane, thetas):
    """(relative difference of the value; largest difference of a coordinate's gradient, relative to its norm)."""
    point = natural(name, thetas)
    fast, fast_gradient = likelihood(lane)(point, zoo.facts(), STATS)
    dense, gradient = likelihood("dense")(point, zoo.facts(), STATS)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((fast, fast_gradient)))
    pairs = zip(jax.tree.leaves(fast_gradient), jax.tree.leaves(gradient), strict=True)
    return abs(fast / dense - 1), max(np.linalg.norm(f - d) / np.linalg.norm(d) for f, d in pairs)


def test_the_data_hold_the_cases_that_lanes_treat_apart():
    largest = zoo.COUNTS.max(0)
    assert (largest == 0).any() and (largest == 1).any() and (largest > LARGEST).any()
    assert (zoo.COUNTS.sum(1) == 0).any() and len(np.unique(zoo.COUNTS.sum(1))) < zoo.N_CELLS


def test_which_lanes_are_legal():
    """Histogram: nothing of a cell's own. Separable: capture, one p, no gate. Smooth: capture. Dense: always."""
    for name, spec in zoo.SPECS.items():
        legal = {lane.name for lane in choose.legal(spec)}
        model, parameterization, *variant = name.split("-")
        captured, gated = zoo.MODELS[model]
        shared = parameterization != "mean_disp" and "gene_p" not in variant
        assert "dense" in legal
        assert ("histogram" in legal) == (not captured)
        assert ("separable" in legal) == (captured and shared and not gated)
        assert ("smooth" in legal) == captured


def test_choose_takes_the_cheapest_and_dense_for_audits():
    assert choose.choose(zoo.SPECS["nbdm-canonical"]).name == "histogram"
    assert choose.choose(zoo.SPECS["nbvcp-mean_odds"]).name == "separable"
    assert choose.choose(zoo.SPECS["zinbvcp-mean_odds"]).name == "smooth"
    assert choose.choose(zoo.SPECS["nbdm-canonical"], "dense").name == "dense"


@each_fast
def test_lane_equals_dense(name, lane):
    for seed in range(3):
        value, gradient = differences(name, lane, zoo.thetas(name, (-3.0, 3.0), seed))
        assert value <= 1e-12 and gradient <= 1e-9


@each_fast
def test_lane_equals_dense_where_the_model_is_nearly_poisson(name, lane):
    """r to 1e8: a rising factorial is there a difference of large terms."""
    value, gradient = differences(name, lane, zoo.thetas(name, (3.0, 8.0)))
    print(f"\n{name} {lane}: r from 1e3 to 1e8, value {value:.0e}, gradient {gradient:.0e}")
    assert value <= 1e-9 and gradient <= 1e-6


@each_fast
def test_lane_equals_dense_where_dispersions_underflow(name, lane):
    thetas = zoo.thetas(name)
    site = "mu_unconstrained" if "mu_unconstrained" in thetas else "r_unconstrained"
    value, gradient = differences(name, lane, thetas | {site: thetas[site] - 800.0})
    assert value <= 1e-12 and gradient <= 1e-9


@pytest.mark.parametrize("name", ["nbvcp-mean_odds", "nbvcp-mean_odds-eta"])
def test_equal_cells_share_a_row(name):
    """Rows of equal kind, weighted by their number, give the joint of all cells; a row's slope is its cells' sum."""
    total, row, number = np.unique(zoo.COUNTS.sum(1), return_inverse=True, return_counts=True)
    first = np.array([np.flatnonzero(row == k)[0] for k in range(len(total))])
    separate = zoo.thetas(name)
    site = next(s for s in separate if "capture" in s)
    shared = separate | {site: separate[site][:, : len(total)]}
    separate[site] = shared[site][:, row]
    kinds = zoo.facts().rows(first, number.astype(float))
    value, slopes = zoo.joint_and_slopes(name, "separable")(shared, kinds, STATS | {"row_total": total.astype(float)})
    expected, cells = zoo.joint_and_slopes(name, "dense")(separate, zoo.facts(), STATS)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    cells[site] = np.bincount(row, np.ravel(cells[site])).reshape(1, -1, 1)
    for k, expected in cells.items():
        np.testing.assert_allclose(slopes[k], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "lane"), [("nbvcp-mean_odds", "separable"), ("nbvcp-mean_odds", "dense")])
def test_padding_rows_of_weight_zero_change_nothing(name, lane):
    """Rows that only fill a shape, under jit as in a fit: they get no slope either."""
    thetas, real = zoo.thetas(name), 9
    weight = (np.arange(zoo.N_CELLS) < real).astype(float)
    counts = np.where(weight[:, None] > 0, zoo.COUNTS, 0)
    padded, slopes = zoo.joint_and_slopes(name, lane)(thetas, zoo.facts(weight), zoo.stats(counts))
    bare = thetas | {"phi_capture_unconstrained": thetas["phi_capture_unconstrained"][:, :real]}
    expected = zoo.joint(name, "dense")(bare, zoo.facts().rows(np.arange(real), 1.0), {"counts": counts[:real]})
    np.testing.assert_allclose(padded, expected, rtol=1e-12)
    assert (np.asarray(slopes["phi_capture_unconstrained"])[0, real:] == 0).all()


def test_minibatches_average_to_the_whole():
    """Three batches of four cells, each weighted by 3: the mean of their joints and slopes is that of all cells."""
    name, site = "zinbvcp-mean_odds", "phi_capture_unconstrained"
    thetas = zoo.thetas(name)
    whole, slopes = zoo.joint_and_slopes(name, "dense")(thetas, zoo.facts(np.ones(zoo.N_CELLS)), {"counts": zoo.COUNTS})
    values, gene_slopes = [], []
    for index in np.random.default_rng(0).permutation(zoo.N_CELLS).reshape(3, 4):
        batch, facts = thetas | {site: thetas[site][:, index]}, zoo.facts().rows(index, np.full(4, 3.0))
        value, gradient = zoo.joint_and_slopes(name, "dense")(batch, facts, {"counts": zoo.COUNTS[index]})
        values.append(value)
        gene_slopes.append(gradient["mu_unconstrained"])
        np.testing.assert_allclose(gradient[site], 3 * slopes[site][:, index], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.mean(values), whole, rtol=1e-12)
    np.testing.assert_allclose(np.mean(gene_slopes, 0), slopes["mu_unconstrained"], rtol=1e-10, atol=1e-8)


# --- recipes: every kernel, components, datasets and hierarchies, on statistics that are made as a fit makes them -------

LABELS_AND_BATCHES = (recipes.FREE, recipes.TWO, recipes.BATCH, recipes.LABELS)
OF_P = {"prob_dataset_prior": "gaussian", "prob_dataset_mode": "scalar"}
# what tests/recipes_zoo.py has not: capture with components of datasets, whose means, or p, or both are a dataset's own
MORE = {
    "nbvcp_two_batch": recipes.of("nbvcp", "mean_odds", *LABELS_AND_BATCHES, expression_dataset_prior="gaussian"),
    "nbvcp_two_batch_scalar": recipes.of("nbvcp", "canonical", recipes.HUMAN, *LABELS_AND_BATCHES, mixture_params="mean", **OF_P),
    "nbvcp_two_batch_both": recipes.of("nbvcp", "mean_prob", *LABELS_AND_BATCHES, expression_dataset_prior="neg", **OF_P),
}
RECIPES = recipes.RECIPES | MORE
RESOLVED = {name: resolve(recipe) for name, recipe in RECIPES.items()}
COMPARED = [(name, lane.name) for name, spec in RESOLVED.items() for lane in choose.legal(spec) if lane.name != "dense"]
WHOLLY = {
    ("nbdm_batch_prob_scalar", "histogram"),
    ("nbvcp_batch_prob_scalar_horseshoe", "separable"),
    ("nbvcp_two_batch_both", "mixture"),
    ("hardest", "smooth"),
}
# values of datasets in the core, in the gate, in p and in the weights; labels; other kernels
BY_VALUE = {
    ("zinb_batch_gate", "histogram"),
    ("zinb_batch_two_level_neg", "histogram"),
    ("zinb_bnb_datasets", "histogram"),
    ("twostate_batch_expression", "histogram"),
    ("nbvcp_batch_expression_horseshoe", "separable"),
    ("nbdm_two_batch_two_level", "mixture"),
    ("nbvcp_three_mean", "mixture"),
    ("zinb_three_labelled_batches", "mixture"),
    ("nbvcp_bnb_human", "smooth"),
    ("zinbvcp_two_listed", "smooth"),
    ("nbvcp_batch_scaling_expression", "smooth"),
    ("zinbvcp_batch_gate_nested", "smooth"),
}
# Curvature in capture is where the smooth lane is least precise: two derivatives of a polynomial magnify the rounding of its
# values at the nodes, which of the two-state quadrature is 1e-13, by the square of the square of their number.
CURVATURE = {("smooth", "two_state"): 2e-7, ("smooth", "negative_binomial"): 1e-8, ("smooth", "beta_negative_binomial"): 1e-8}
OBS = {
    "batch": np.array(["a", "b"])[recipes.DATASET_OF_CELL],
    "type": np.array(["first", "second", None], object)[recipes.ANNOTATION],
}


@functools.cache
def collected(name):
    return recovery.read(RECIPES[name], recipes.COUNTS, **OBS)[1]


def stats(name, lane):
    data, chosen = collected(name), lanes.load()[lane]
    parts = () if chosen.exact else interpolation.parts(RESOLVED[name], data.cells, data.counts.total)
    return assemble.stats(chosen, RESOLVED[name], data, False, parts)


@functools.cache
def point(name):
    """Natural coordinates at random sites, in which no two elements are equal; captures where inference may meet them."""
    spec, facts, rng = RESOLVED[name], collected(name).cells, np.random.default_rng(len(name))
    sites = {site: rng.normal(0.0, 0.6, found.shape) for site, found in program.sites(spec, facts).items()}
    x = program.replay(spec, facts, sites)
    if spec.capture:
        low, high = initial.capture_range(spec, facts, collected(name).counts.total)
        log_nu = low + (high - 1e-3 - low) * rng.uniform(0.05, 1.0, x[spec.capture].shape)
        x[spec.capture] = COORDINATES[spec.capture].from_log_nu(log_nu)
    return program.natural(spec, x)


def facts_of(name, weight=1.0):
    """Of cells, each with its weight."""
    return collected(name).cells.rows(np.arange(recipes.N_CELLS), weight * np.ones(recipes.N_CELLS))


def summed(lane, kernel, mix):
    terms, kernel = lanes.load()[lane].terms, kernels.load(kernel)
    return lambda natural, facts, stats: sum(terms(kernel, natural, facts, stats, mix).values())


@functools.cache
def value(lane, kernel, mix=mixture.marginal):
    return jax.jit(summed(lane, kernel, mix))


def value_by(name, lane, mix=mixture.marginal):
    return value(lane, RESOLVED[name].kernel, mix)(point(name), facts_of(name), stats(name, lane))


@functools.cache
def curved(lane, kernel):
    """f(natural, direction, facts, stats) -> ((value, gradient), (slope, the Hessian's product) along the direction)."""
    total = summed(lane, kernel, mixture.marginal)

    def along(natural, direction, facts, stats):
        return jax.jvp(lambda at: jax.value_and_grad(total)(at, facts, stats), (natural,), (direction,))

    return jax.jit(along)


def assert_close(found, expected, rtol):
    """Each leaf relative to its norm."""
    for f, e in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(f).all() and np.linalg.norm(f - e) <= rtol * np.linalg.norm(e) > 0


def curved_by(name, lane, natural=None, weight=1.0):
    natural, rng = point(name) if natural is None else natural, np.random.default_rng(5)
    direction = jax.tree.map(lambda v: jnp.asarray(rng.normal(size=v.shape)), natural)
    return curved(lane, RESOLVED[name].kernel)(natural, direction, facts_of(name, weight), stats(name, lane))


def test_every_lane_is_compared():
    for cases in (COMPARED, WHOLLY, BY_VALUE):
        assert {lane for _, lane in cases} | {"dense"} == set(lanes.load())
    assert WHOLLY | BY_VALUE < set(COMPARED) and not WHOLLY & BY_VALUE


@pytest.mark.parametrize(("name", "lane"), [c if c in WHOLLY else pytest.param(*c, marks=pytest.mark.slow) for c in COMPARED])
def test_lane_of_a_recipe_equals_dense_in_value_slopes_and_curvature(name, lane):
    """Curvature: the products that an optimiser and a sampler's scales are made of."""
    found, dense = curved_by(name, lane), curved_by(name, "dense")
    assert_close(found[0], dense[0], 1e-10)
    assert_close(found[1], dense[1], CURVATURE.get((lane, RESOLVED[name].kernel), 1e-10))


@pytest.mark.parametrize(("name", "lane"), sorted(BY_VALUE))
def test_lane_of_a_recipe_equals_dense_in_value(name, lane):
    assert_close(value_by(name, lane), value_by(name, "dense"), 1e-12)


def test_parts_of_genes_are_together_what_one_part_is():
    """In value, slopes and curvature, whichever genes are in which, in several data sets."""
    name = "zinbvcp_batch_gate_nested"
    one = stats(name, "smooth")
    (whole,) = interpolation.of(problem_with(name, one))
    genes = np.arange(len(whole.genes)) % 3 == 1
    parts = interpolation.Part(genes, whole.nodes), interpolation.Part(~genes, whole.nodes)
    two = assemble.stats(lanes.load()["smooth"], RESOLVED[name], collected(name), False, parts)
    assert [part.genes.tolist() for part in interpolation.of(problem_with(name, two))] == [genes.tolist(), (~genes).tolist()]
    natural, facts, along = point(name), facts_of(name), curved("smooth", RESOLVED[name].kernel)
    direction = jax.tree.map(lambda v: jnp.asarray(np.random.default_rng(6).normal(size=v.shape)), natural)
    found, expected = (along(natural, direction, facts, of) for of in (two, one))
    assert_close(found, expected, 1e-11)


def problem_with(name, of_rows):
    return Problem(RESOLVED[name], lanes.load()["smooth"], facts_of(name), of_rows, facts_of(name))


def test_mixture_lane_with_the_components_held():
    """As curvatures see it: components of cells at their probabilities (numerics/mixture.py)."""
    name = "nbvcp_three_mean"
    held, dense = (value_by(name, lane, mixture.complete) for lane in ("mixture", "dense"))
    assert_close(held, dense, 1e-12)
    assert held < value_by(name, "mixture") - 1e-3


@pytest.mark.parametrize(("log_r", "least"), [(18.0, 1e-8), (-800.0, 1e-10)])
def test_mixture_lane_equals_dense_at_the_ends_of_dispersion(log_r, least):
    """Nearly Poisson, of the same means, where its tables are large and cancel; and where r underflows in one component."""
    name = "nbvcp_two_batch_both"
    at = point(name)
    if log_r > 0:
        core = {"log_r": at.core["log_r"] + log_r, "logit_p": at.core["logit_p"] - log_r}
    else:
        core = at.core | {"log_r": at.core["log_r"] + np.array([log_r, 0.0]).reshape(2, 1, 1)}
    natural = dataclasses.replace(at, core=core)
    assert_close(curved_by(name, "mixture", natural)[0], curved_by(name, "dense", natural)[0], least)


def test_mixture_lane_weighs_cells():
    """Padding of weight 0, and cells that stand for several."""
    name, weight = "nbvcp_two_batch_both", np.random.default_rng(0).integers(0, 4, recipes.N_CELLS)
    assert (weight == 0).any()
    found, dense = (curved_by(name, lane, weight=weight) for lane in ("mixture", "dense"))
    assert_close(found, dense, 1e-10)
    plain = curved_by(name, "mixture")[0][0]
    assert abs(found[0][0] / plain - 1) > 0.01


def test_equal_cells_of_a_dataset_share_a_row():
    """As a fit sums them, rows with the number of their cells: cells of different datasets are never one row."""
    name = "nbvcp_batch_prob_scalar_horseshoe"
    spec, n = RESOLVED[name], recipes.N_CELLS
    u = recipes.COUNTS[np.arange(2 * n) % n]  # each cell once more, in the same dataset
    obs = {"batch": np.array(["a", "b"])[recipes.DATASET_OF_CELL[np.arange(2 * n) % n]]}
    _, twice = recovery.read(RECIPES[name], u, **obs)
    shared = assemble.problem(twice, spec, "auto", None, fill=True)
    separate = assemble.problem(twice, spec, "dense", None, fill=False)
    kinds = {(d, t, p) for d, t, p in zip(obs["batch"], u.sum(1), twice.counts.library, strict=True)}
    assert shared.lane.name == "separable" and int((shared.facts.weight > 0).sum()) == len(kinds) < 2 * n == separate.facts.sizes["cell"]
    rng, totals = np.random.default_rng(0), []
    of_rows = {site: rng.normal(0.0, 0.6, found.shape) for site, found in shared.sites.items()}
    for problem, sites in ((shared, of_rows), (separate, shared.by_cell(of_rows))):
        x = jax.jit(lambda sites, facts: program.replay(spec, facts, sites))(sites, problem.facts)
        totals.append(value(problem.lane.name, spec.kernel)(program.natural(spec, x), problem.facts, problem.stats))
    np.testing.assert_allclose(*totals, rtol=1e-12)
    assert shared.facts.sizes[DATASET] == 2


def test_which_lanes_recipes_allow():
    """Histogram: no capture, one component. Separable: capture, NB, one p of all genes, no gate, one component. Mixture:

    components, and with capture what the separable one needs. Smooth: capture.
    """
    for name, recipe in RECIPES.items():
        captured, mixed = recipe["model"].endswith("vcp"), recipe.get("n_components", 1) > 1
        own_p = recipe.get("parameterization") == "mean_disp" or "prob_prior" in recipe
        own_p |= "prob_dataset_prior" in recipe and recipe.get("prob_dataset_mode") != "scalar"
        plain = recipe["model"].startswith("nb") and "overdispersion" not in recipe and not own_p
        legal = {"histogram"} if not captured and not mixed else set()
        legal |= {"separable"} if captured and plain and not mixed else set()
        legal |= {"mixture"} if mixed and (plain or not captured) else set()
        legal |= {"smooth"} if captured else set()
        assert {lane.name for lane in choose.legal(RESOLVED[name])} == legal | {"dense"}, name


def test_a_lane_that_is_not_legal_is_never_taken():
    """All cheaper than the dense one, which is what is left; and each reads statistics that a fit can make."""
    for name, spec in RESOLVED.items():
        legal = choose.legal(spec)
        assert choose.choose(spec) is min(legal, key=lambda lane: lane.cost), name
        assert choose.choose(spec).name != "dense", name
        assert all(set(lane.statistics(spec)) <= set(assemble.STATISTICS) for lane in legal)
        assert choose.choose(spec, "dense").name == "dense"


@pytest.mark.parametrize("lane", sorted(set(lanes.load()) - {"dense"}))
def test_a_recipe_names_no_lane_but_the_dense_one(lane):
    """A lane is chosen by the model: one that is named, legal or not, is refused with what may be."""
    with pytest.raises(BadRecipe, match=f'engine: expected auto or dense, found the text "{lane}"'):
        config.load(RECIPES["nbdm"] | {"engine": lane}, {})
    assert config.load(RECIPES["nbdm"] | {"engine": "dense"}, {}).engine == "dense"
