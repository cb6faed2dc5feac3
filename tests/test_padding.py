"""Rows and genes that fill a problem up count for nothing, whatever the model."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from scribe_cli.core.inference import curvature, mode, whitening
from scribe_cli.core.inference.guides import laplace
from scribe_cli.core.padding import ladder, of_kinds
from scribe_cli.data.counts import CountData
from scribe_cli.data import labels
from scribe_cli.run.fitting import assemble
from scribe_cli.run.recipe import config
from tests import fits

N_CELLS, N_GENES = 33, 13
HUMAN = {"parameterization": "mean_odds", "unconstrained": True, "priors": {"organism": "human"}}
OF_DATASETS = {"dataset_key": "batch", "expression_dataset_prior": "gaussian"}
P_OF_GENES = {"parameterization": "mean_prob", "unconstrained": True, "prob_prior": "gaussian"}
RECIPES = {
    "histogram": {"model": "nbdm", "parameterization": "mean_odds"},
    "gated": {"model": "zinb", "parameterization": "canonical"},
    "bnb": {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True, "overdispersion": "bnb"},
    "twostate": {"model": "twostate"},
    "separable": {"model": "nbvcp"} | HUMAN,
    "gene hierarchy": {"model": "nbdm", "parameterization": "mean_prob", "unconstrained": True, "prob_prior": "horseshoe"},
    "datasets": {"model": "nbvcp"} | OF_DATASETS | HUMAN,
    "anchored": {"model": "nbvcp", "expression_anchor": True} | HUMAN,
    "smooth": {"model": "nbvcp", "priors": {"organism": "human"}} | P_OF_GENES,
    "smooth gated": {"model": "zinbvcp", "priors": {"organism": "human"}} | P_OF_GENES,
    "smooth bnb of datasets": {"model": "nbvcp", "overdispersion": "bnb"} | OF_DATASETS | HUMAN,
    "smooth twostate": {"model": "twostatevcp", "priors": {"organism": "human"}},
    "smooth mixture": {"model": "zinbvcp", "n_components": 2} | HUMAN,
    "mixture": {"model": "nbvcp", "n_components": 2} | HUMAN,
    "mixture without capture": {"model": "nbdm", "n_components": 2, "parameterization": "mean_odds"},
}


@functools.cache
def collected(name: str):
    settings = config.load(RECIPES[name])
    rng = np.random.default_rng(5)
    counts = rng.negative_binomial(0.7, 0.2, (N_CELLS, N_GENES))
    counts[: N_CELLS // 2] = counts[N_CELLS // 2 : 2 * (N_CELLS // 2)]  # equal cells
    obs = pd.DataFrame({"batch": ["a", "b", "b"] * (N_CELLS // 3)}, index=[f"c{i}" for i in range(N_CELLS)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])
    data = CountData.build(fits.source("made.h5ad", scipy.sparse.csr_array(counts), obs, var))
    data = assemble.replace(data, design=labels.design_of(data, settings.dataset_key, settings.n_components))
    spec = settings.resolve()
    return assemble.collect(data, spec), spec


@pytest.mark.parametrize("name", RECIPES)
def test_value_slope_and_curvature_are_those_without(name):
    """Of the log joint on filled-up shared rows, and on every cell by itself; of padding all are 0."""
    of_data, spec = collected(name)
    filled, plain = (assemble.problem(of_data, spec, "auto", None, fill=shared) for shared in (True, False))
    plain = assemble.replace(plain, centred=filled.centred)
    assert filled.facts.sizes["gene"] == ladder(N_GENES) > N_GENES
    n = len(of_data.kinds.total) if filled.lane.shares_rows else N_CELLS
    assert filled.facts.sizes["cell"] == (of_kinds if filled.lane.shares_rows else ladder)(n) > n
    start = assemble.moments(of_data, filled)
    start = {n: v + 0.3 * jnp.sin(1.0 + jnp.arange(v.size)).reshape(v.shape) for n, v in start.items()}
    value, slope = jax.jit(jax.value_and_grad(filled.log_joint))(start, filled.facts, filled.stats)
    bend = curvature.diagonal(curvature.products(filled, start, filled.facts, filled.stats))
    cells = filled.by_cell(start)
    expected, of_cells = jax.jit(jax.value_and_grad(plain.log_joint))(cells, plain.facts, plain.stats)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for site, v in slope.items():
        weight = np.broadcast_to(filled.weight_of(site), v.shape)
        assert not np.asarray(v)[weight == 0].any() and not np.asarray(bend[site])[weight == 0].any()
        one = filled.by_cell({site: v / np.where(weight > 0, weight, 1.0)})[site]
        np.testing.assert_allclose(one, of_cells[site], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["separable", "gated", "smooth twostate"])
def test_a_laplace_guide_is_the_one_without(name):
    """Where each cell has a row of its own; padding is a standard Normal that no direction meets."""
    of_data, spec = collected(name)
    filled, plain = (assemble.problem(cells, spec, "auto", None, fill=cells.each) for cells in (of_data.apart(), of_data))
    assert filled.apart and filled.facts.sizes["gene"] > N_GENES and filled.facts.sizes["cell"] > N_CELLS
    start = mode.find(filled, assemble.moments(of_data.apart(), filled)).thetas
    found, expected = whitening.around(filled, start), whitening.around(plain, filled.by_cell(start))
    spread = laplace.log_sd(expected)
    for site, log_sd in filled.by_cell(laplace.log_sd(found)).items():
        np.testing.assert_allclose(log_sd, spread[site], atol=1e-3)
    for site, weight in filled.weights(start).items():
        for group in (found["log_sd"], *laplace.groups(found, laplace.DIRECTION).values()):
            assert not np.asarray(group[site])[weight == 0].any()
    middle, other_draws = whitening.centred(filled, found), whitening.centred(plain, expected)
    assert max(middle.left, other_draws.left) < whitening.MIDDLE
    for site, loc in filled.by_cell(middle.params["loc"]).items():
        off = (loc - other_draws.params["loc"][site]) / np.exp(spread[site])
        assert np.sqrt(np.mean(np.square(off))) < 0.2, site  # the draws of each may lose .05 nats


@pytest.mark.parametrize("name", ["separable", "gene hierarchy", "datasets", "smooth", "mixture"])
def test_weights_add_up_to_what_there_is(name):
    of_data, spec = collected(name)
    filled, plain = (assemble.problem(of_data, spec, "auto", None, fill=shared) for shared in (True, False))
    for site, found in filled.sites.items():
        total = float(np.broadcast_to(filled.weight_of(site), found.shape).sum())
        assert total == np.prod(plain.sites[site].shape)


@pytest.mark.parametrize(("asked", "size"), [(None, 16), (N_CELLS - 1, N_CELLS - 1), (N_CELLS, None), (10 * N_CELLS, None)])
def test_who_asks_for_all_cells_at_once_gets_them(monkeypatch, asked, size):
    """Of a dense sum that is large otherwise too, which nobody's word divides into minibatches."""
    monkeypatch.setattr(assemble, "WHOLE", 10)
    of_data, spec = collected("histogram")
    minibatch = assemble.problem(of_data, spec, "dense", asked, fill=True).minibatch
    assert (minibatch and minibatch.size) == size
