"""Lanes: each equals the dense one in value and gradient on every model where it is legal."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

from scribe_cli.core.model import program
from scribe_cli.core.numerics import choose, kernels, lanes
from scribe_cli.core.numerics.counts import WIDTHS
from tests import zoo

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
    assert (largest == 0).any() and (largest == 1).any() and (largest > WIDTHS[-1]).any()
    assert (zoo.COUNTS.sum(1) == 0).any() and len(np.unique(zoo.COUNTS.sum(1))) < zoo.N_CELLS


def test_which_lanes_are_legal():
    """Histogram: nothing of a cell's own. Separable: capture, one p, no gate. Dense: always."""
    for name, spec in zoo.SPECS.items():
        legal = {lane.name for lane in choose.legal(spec)}
        model, parameterization, *variant = name.split("-")
        captured, gated = zoo.MODELS[model]
        shared = parameterization != "mean_disp" and "gene_p" not in variant
        assert "dense" in legal
        assert ("histogram" in legal) == (not captured)
        assert ("separable" in legal) == (captured and shared and not gated)


def test_choose_takes_the_cheapest_and_dense_for_audits():
    assert choose.choose(zoo.SPECS["nbdm-canonical"]).name == "histogram"
    assert choose.choose(zoo.SPECS["nbvcp-mean_odds"]).name == "separable"
    assert choose.choose(zoo.SPECS["zinbvcp-mean_odds"]).name == "dense"
    assert choose.choose(zoo.SPECS["nbdm-canonical"], "dense").name == "dense"


def test_every_lane_is_compared():
    assert {lane for _, lane in FAST} | {"dense"} == set(lanes.load())


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
