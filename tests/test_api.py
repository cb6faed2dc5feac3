"""The Python API: the fit of the command line, the AnnData left alone, arrays that say what the store says."""

from __future__ import annotations

import dataclasses
import gc
import subprocess
import sys

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
import xarray

import scribe_cli
from scribe_cli.core.facts import Facts
from scribe_cli.core.inference import marginals
from scribe_cli.core.inference.posterior import Posterior
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.core.model.supports import SUPPORTS
from scribe_cli.errors import BadData, BadRecipe, InputMissing, UsageError
from scribe_cli.io import memory
from scribe_cli.io.elements import named
from scribe_cli.io.fit import write_fit
from scribe_cli.io.outputs import Array
from tests import fits

CELLS, GENES, DRAWS = 40, 12, 30
RECIPE = {
    "model": "nbvcp",
    "parameterization": "mean_odds",
    "priors": {"organism": "human"},
    "output": {"ppc_samples": 5},
    "data": {"min_cells": 20},
}
OVERRIDES = {"svi": {"n_steps": 100}, "svi__n_samples": DRAWS, "seed": 3}


def made(n_cells: int = CELLS, n_genes: int = GENES) -> anndata.AnnData:
    rng = np.random.default_rng(1)
    mean = rng.gamma(2.0, 3.0, n_genes) * rng.uniform(0.5, 1.5, (n_cells, 1))
    counts = scipy.sparse.csr_matrix(rng.poisson(rng.gamma(2.0, mean / 2.0)).astype(np.float32))
    obs = pd.DataFrame(
        {"batch": ["a", "b"] * (n_cells // 2), "gap": [None, "x"] * (n_cells // 2)},
        index=[f"c{i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(n_genes)]}, index=[f"g{i}" for i in range(n_genes)])
    out = anndata.AnnData(counts, obs, var)
    out.layers["log"] = counts.log1p()
    out.uns["nested"] = {"numbers": np.arange(3)}
    return out


@pytest.fixture(scope="module")
def data():
    return made()


@pytest.fixture(scope="module")
def res(data):
    before = data.copy()
    found = scribe_cli.fit(data, RECIPE, **OVERRIDES)
    assert (data.X != before.X).nnz == 0 and data.uns.keys() == before.uns.keys()
    assert list(named(data.layers)) == ["log"]
    pd.testing.assert_frame_equal(data.obs, before.obs)
    pd.testing.assert_frame_equal(data.var, before.var)
    return found


def test_importing_the_package_loads_nothing():
    code = (
        "import sys, scribe_cli; heavy = {'numpy', 'jax', 'pandas', 'anndata', 'zarr', 'click'}\n"
        "print(sorted(heavy & set(sys.modules))); scribe_cli.load; print('jax' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\nFalse\n"
    )
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        getattr(scribe_cli, "fitt")  # noqa: B009


def test_in_memory_and_on_disk_are_one_run(res, data, tmp_path):
    memory.write(tmp_path / "in.h5ad", data)
    out = tmp_path / "out"
    other = scribe_cli.fit(tmp_path / "in.h5ad", RECIPE, output=out, **OVERRIDES)
    assert other.stored.run_id == res.stored.run_id and other.path == out
    for name, values in res.get_map().items():
        np.testing.assert_array_equal(other.get_map()[name], values)
        np.testing.assert_array_equal(scribe_cli.load(out / "fit.h5ad").get_map()[name], values)
    written = (out / "posterior.zarr" / ".zattrs").stat().st_mtime_ns
    scribe_cli.fit(data, RECIPE, output=out, **OVERRIDES)
    assert (out / "posterior.zarr" / ".zattrs").stat().st_mtime_ns == written
    with pytest.raises(BadRecipe, match="another run"):
        scribe_cli.fit(data, RECIPE, output=out, **{**OVERRIDES, "seed": 4})


def test_a_result_in_memory_goes_with_its_last_reference(res, data):
    assert res.path.is_dir() and not (res.path.parent / memory.NAME).exists()
    folder = memory.Folder()
    path, view = folder.path, dataclasses.replace(res, folder=folder)[:2]
    del folder
    gc.collect()
    assert path.is_dir()
    del view
    gc.collect()
    assert not path.exists()


def test_map_is_the_stores_and_has_descriptive_names(res):
    found = res.get_map()
    assert set(found) == {"r", "p", "mu", "phi", "p_capture", "phi_capture", "eta_capture"}
    assert found["mu"].shape == (GENES,) and found["phi"].shape == () and found["p_capture"].shape == (CELLS,)
    np.testing.assert_allclose(found["r"], found["mu"] * found["phi"], rtol=1e-12)
    np.testing.assert_allclose(found["p_capture"], np.exp(-found["eta_capture"]), rtol=1e-12)
    named = res.get_map(descriptive_names=True)
    assert list(named)[:4] == ["dispersion", "prob", "expression", "odds"] and named["expression"] is not None
    np.testing.assert_array_equal(named["expression"], found["mu"])


def test_posterior_samples_are_the_stored_draws_and_any_number(res):
    drawn = res.get_posterior_samples(DRAWS)
    for name in ("mu", "r", "phi", "p_capture"):
        np.testing.assert_allclose(drawn[name], res.stored.draws(name)[:], rtol=2e-7)
    np.testing.assert_allclose(drawn["r"], drawn["mu"] * drawn["phi"][:, None], rtol=1e-12)
    many = res.get_posterior_samples(2000, descriptive_names=True)
    assert many["expression"].shape == (2000, GENES) and many["capture_log_ratio"].shape == (2000, CELLS)
    law = res.get_distributions()["mu"]
    z = (np.log(many["expression"]).mean(0) - np.asarray(law.loc)) / np.asarray(law.scale) * np.sqrt(2000)
    assert np.abs(z).max() < 4.5
    with pytest.raises(UsageError, match="at least 1"):
        res.get_posterior_samples(0)


def test_distributions_are_of_the_sampled_parameters(res):
    laws = res.get_distributions(descriptive_names=True)
    assert {n: law.batch_shape for n, law in laws.items()} == {
        "expression": (GENES,),
        "odds": (),
        "capture_log_ratio": (CELLS,),
    }
    guide = res.stored.guide["params"]
    loc, sd = guide["loc"]["mu_unconstrained"].ravel(), np.exp(guide["log_sd"]["mu_unconstrained"].ravel())
    np.testing.assert_allclose(laws["expression"].mean, np.exp(loc + sd**2 / 2), rtol=1e-12)
    np.testing.assert_allclose(res[[3, 1]].get_distributions()["mu"].mean, np.exp(loc + sd**2 / 2)[[3, 1]], rtol=1e-12)


@pytest.mark.parametrize("support", ["positive", "positive_softplus", "real", "unit"])
def test_a_law_is_the_normal_of_its_coordinate(support):
    spec = ModelSpec(
        "negative_binomial", "mean_odds", (ParamSpec("mu", "mean", support, ("gene",), Prior("normal", {})),)
    )
    loc, log_sd = np.array([-0.5, 0.7]), np.array([-1.0, 0.2])
    params = {"loc": {"mu_unconstrained": loc[None, None]}, "log_sd": {"mu_unconstrained": log_sd[None, None]}}
    law = marginals.of_mean_field(spec, params, {"mu_unconstrained": ("gene",)}, {"gene": 2})["mu"]
    theta, step = np.array([-0.3, 1.1]), 1e-5
    value, above, below = (
        np.asarray(SUPPORTS[support].value(SUPPORTS[support].to_log(theta + d))) for d in (0, step, -step)
    )
    expected = scipy.stats.norm.logpdf(theta, loc, np.exp(log_sd)) - np.log((above - below) / (2 * step))
    np.testing.assert_allclose(law.log_prob(value), expected, rtol=1e-8)


def test_log_likelihood_is_scipys_at_the_map(res, data):
    point = res.get_map()
    logit = np.log(point["p"]) - np.log1p(-point["p"]) + np.log(point["p_capture"])[:, None]
    expected = scipy.stats.nbinom.logpmf(data.X.toarray(), point["r"], 1 / (1 + np.exp(logit)))
    assert res.log_likelihood(data) == pytest.approx(expected.sum(), rel=1e-10)
    np.testing.assert_allclose(res.log_likelihood(data, by="cell"), expected.sum(1), rtol=1e-9)
    np.testing.assert_allclose(res.log_likelihood(data[::-1], by="gene"), expected.sum(0), rtol=1e-9)
    assert res.log_likelihood(data[:5].copy()) == pytest.approx(expected[:5].sum(), rel=1e-9)
    view = res[["g7", "g2"]]
    np.testing.assert_allclose(view.log_likelihood(data, by="gene"), expected.sum(0)[[7, 2]], rtol=1e-9)
    np.testing.assert_allclose(view.log_likelihood(data, by="cell"), expected[:, [7, 2]].sum(1), rtol=1e-9)
    with pytest.raises(UsageError, match="total, cell or gene"):
        res.log_likelihood(data, by="row")
    stranger = data.copy()
    stranger.obs_names = [f"new{i}" for i in range(CELLS)]
    with pytest.raises(BadData, match="^AnnData: .*not in the fit"):
        res.log_likelihood(stranger)


def test_ppc_samples_are_counts_of_the_posterior(res):
    n = 1000
    counts = res.get_ppc_samples(n)
    assert counts.shape == (n, CELLS, GENES) and counts.dtype == np.int32 and counts.min() >= 0
    drawn = res.get_posterior_samples(n)
    mean = drawn["mu"][:, None] * drawn["p_capture"][:, :, None]
    variance = mean * (1 + mean / drawn["r"][:, None])
    z = (counts - mean).sum((0, 1)) / np.sqrt(variance.sum((0, 1)))
    assert np.abs(z).max() < 4
    assert 0.8 < ((counts - mean) ** 2).sum() / variance.sum() < 1.25
    some = res.get_ppc_samples(n, genes=["g5", "g0"])
    assert some.shape == (n, CELLS, 2)
    z = (some - mean[:, :, [5, 0]]).sum((0, 1)) / np.sqrt(variance[:, :, [5, 0]].sum((0, 1)))
    assert np.abs(z).max() < 4
    np.testing.assert_array_equal(res["g5"].get_ppc_samples(3), res.get_ppc_samples(3, genes="g5"))
    assert (np.diff(counts, axis=0) != 0).any((1, 2)).all()


def test_a_view_is_the_same_fit_on_some_genes(res):
    mu = res.get_map()["mu"]
    mask = np.arange(GENES) % 3 == 0
    for key, at in (
        (["g4", "g1"], [4, 1]),
        ("g4", [4]),
        (slice(2, 5), [2, 3, 4]),
        (mask, np.flatnonzero(mask)),
        (5, [5]),
        (-1, [GENES - 1]),
    ):
        view = res[key]
        np.testing.assert_array_equal(view.get_map()["mu"], mu[at])
        assert list(view.genes) == [f"g{i}" for i in np.atleast_1d(at)]
        assert view.get_posterior_samples(4)["r"].shape == (4, len(at)) and view.get_map()["p_capture"].shape == (
            CELLS,
        )
    assert list(res[2:8][[0, 1]].genes) == ["g2", "g3"] and list(res[2:8]["g6"].genes) == ["g6"]
    for key, said in ((["g1", "gg7"], 'did you mean "g7"'), ([99], "12 genes")):
        with pytest.raises((BadData, UsageError), match=said):
            res[key]
    with pytest.raises(BadData, match="not in the fit: gene g9"):
        res[2:8]["g9"]


def test_to_anndata_from_the_fit_and_joined_by_name(res, data):
    own = res.to_anndata()
    assert (own.X != data.X).nnz == 0 and "nested" in own.uns and own.uns["scribe"]["run_id"] == res.stored.run_id
    np.testing.assert_array_equal(own.var["scribe_mu_map"], res.get_map()["mu"])
    order = np.random.default_rng(0).permutation(CELLS)[:25]
    part = data[order, np.arange(GENES)[::-1]].copy()
    part.obs_names = ["stranger", *part.obs_names[1:]]
    before = part.copy()
    joined = res.to_anndata(part)
    assert part.obs.equals(before.obs) and part.var.equals(before.var) and "scribe" not in part.uns
    np.testing.assert_array_equal(joined.var["scribe_mu_map"], res.get_map()["mu"][::-1])
    np.testing.assert_array_equal(joined.obs["scribe_p_capture_map"].iloc[1:], res.get_map()["p_capture"][order[1:]])
    assert (
        np.isnan(joined.obs["scribe_p_capture_map"].iloc[0])
        and joined.obs["scribe_fitted"].tolist() == [False] + [True] * 24
    )
    again = res.to_anndata(joined)
    pd.testing.assert_frame_equal(again.obs, joined.obs)
    assert list(res[["g3", "g1"]].to_anndata(part).var_names) == ["g3", "g1"]
    with pytest.raises(BadData, match="none of the 40 fitted cells"):
        res.to_anndata(fits.adata())


def test_layers_of_the_fit_are_joined_too(tmp_path):
    src = fits.h5ad(tmp_path)
    fit = fits.outputs(src, cells=[0, 2, 3, 6], genes=[1, 3, 4, -1])
    write_fit(tmp_path / "out", dataclasses.replace(fit, layers=fits.layers(fit)))
    found = scribe_cli.load(tmp_path / "out")
    own = found.to_anndata()
    order = [6, 1, 0, 3]
    joined = found.to_anndata(fits.adata()[order, np.arange(5)[::-1]])
    for name in ("scribe_ppc", "scribe_expected"):
        a, b = (
            x.layers[name].toarray() if scipy.sparse.issparse(x.layers[name]) else x.layers[name] for x in (own, joined)
        )
        np.testing.assert_array_equal(b, a[order][:, ::-1])
    (tmp_path / "out" / "fit.h5ad").unlink()
    with pytest.raises(InputMissing, match="run the command of the fit again"):
        found.to_anndata()
    assert list(named(found.to_anndata(fits.adata()).layers)) == ["log"]


def test_to_datatree_and_summary(res):
    tree = res[["g3", "g1"]].to_datatree()
    assert isinstance(tree, xarray.DataTree) and tree["posterior"]["mu"].dims == ("sample", "gene")
    np.testing.assert_array_equal(tree["posterior"]["mu"], res.stored.draws("mu")[:][:, [3, 1]])
    np.testing.assert_array_equal(res.to_datatree()["map"]["p_capture"], res.get_map()["p_capture"])
    table = res.summary(descriptive_names=True)
    np.testing.assert_array_equal(table[table.parameter == "expression"]["map"].astype(float), res.get_map()["mu"])
    assert set(res["g3"].summary().gene) == {"g3"} and "40 cells x 12 genes, not converged" in repr(res)


@pytest.mark.parametrize(
    "change, error, said",
    [
        (lambda a: a.X.toarray(), UsageError, "neither an AnnData nor"),
        (lambda a: "/nowhere.h5ad", InputMissing, "nowhere"),
        (
            lambda a: anndata.AnnData(a.layers["log"], a.obs, a.var, layers={"counts": a.X}),
            BadData,
            r"^AnnData \(X\) does not hold.*--layer counts",
        ),
    ],
)
def test_bad_data_is_a_scribe_error(data, change, error, said):
    with pytest.raises(error, match=said) as found:
        scribe_cli.fit(change(data), RECIPE)
    assert "\n" not in str(found.value) and "/tmp" not in str(found.value)


@pytest.mark.parametrize(
    "recipe, output, overrides, error, said",
    [
        (RECIPE, None, {"svi__n_step": 3}, BadRecipe, "svi.n_steps"),
        (RECIPE, None, {"priors": {"gate": [0, 1]}}, BadRecipe, "gate"),
        ({}, None, {}, BadRecipe, "model"),
        ("nbvpc", None, {}, InputMissing, 'did you mean "nbvcp"'),
        (RECIPE, "out.h5ad", {}, UsageError, "a directory"),
        (RECIPE, None, {"device": "tpu"}, UsageError, "tpu"),
    ],
)
def test_bad_calls_are_scribe_errors(data, recipe, output, overrides, error, said):
    with pytest.raises(error, match=said):
        scribe_cli.fit(data, recipe, output, **overrides)


def test_what_has_no_place_in_a_file_is_told(tmp_path):
    odd = made(6, 4)
    odd.obs["mixed"], odd.obs["when"] = [1, "a"] * 3, pd.Timestamp(0)
    odd.obs["maybe"] = pd.Series([True, None] * 3, dtype=object).to_numpy()
    odd.obs["whole"], odd.obs["none"] = np.array([1, None] * 3, object), np.array([None] * 6, object)
    odd.obs["text"] = pd.array(["u", None] * 3, dtype="string")
    odd.uns |= {
        "pair": (1, 2),
        "deep": {"set": {1}, "list": [1.0, 2.0], "frame": pd.DataFrame({"a": ["x"]})},
        "words": ["a", "b"],
    }
    odd.raw = odd.copy()
    notices = memory.write(tmp_path / "odd.h5ad", odd)
    lost = ("obs['mixed']", "obs['when']", "uns['pair']", "uns/deep['set']")
    assert [n.split(" has no place")[0] for n in notices] == [f"AnnData: {place}" for place in lost]
    back = anndata.read_h5ad(tmp_path / "odd.h5ad")
    assert (
        (back.X != odd.X).nnz == 0
        and (back.raw.X != odd.raw.X).nnz == 0
        and list(back.var.symbol) == list(odd.var.symbol)
    )
    assert list(named(back.layers)) == ["log"]
    assert back.obs["gap"].isna().tolist() == odd.obs["gap"].isna().tolist() and back.obs["text"].tolist()[0] == "u"
    assert back.obs["maybe"].tolist()[0] is True and back.obs["maybe"].isna().sum() == 3
    assert (
        back.obs["whole"].tolist()[0] == 1
        and back.obs["none"].isna().all()
        and list(back.obs) == ["batch", "gap", "maybe", "whole", "none", "text"]
    )
    assert back.uns["deep"]["list"].tolist() == [1.0, 2.0] and back.uns["words"].tolist() == ["a", "b"]
    assert back.uns["deep"]["frame"]["a"].tolist() == ["x"] and (back.layers["log"] != odd.layers["log"]).nnz == 0


def test_chains_give_their_own_draws(tmp_path):
    spec = resolve({"model": "nbdm", "parameterization": "mean_odds"})
    rng = np.random.default_rng(0)
    draws = {"mu": rng.normal(size=(2, 10, 1, 1, 5)), "phi": rng.normal(size=(2, 10, 1, 1, 1))}
    point = {site: v.mean((0, 1)) for site, v in draws.items()}
    chains = Posterior(spec, Facts({"cell": 7, "gene": 5}), ("chain", "draw"), draws, point, "lifted_mean")
    lifted = {
        "mu": Array(("gene",), draws["mu"].reshape(2, 10, 5)),
        "phi": Array((), draws["phi"].reshape(2, 10)),
    }
    fit = fits.outputs(
        fits.h5ad(tmp_path),
        dims=("chain", "draw"),
        spec=spec,
        variables=chains.variables(),
        lifted=lifted,
        guide=None,
        constant={"library_size": Array(("cell",), np.ones(7))},
    )
    write_fit(tmp_path / "out", fit)
    found = scribe_cli.load(tmp_path / "out")
    every = found.get_posterior_samples(20)
    np.testing.assert_allclose(every["mu"], np.exp(draws["mu"].reshape(20, 5)), rtol=1e-6)
    np.testing.assert_allclose(found.get_posterior_samples(3)["r"], every["r"][[0, 10, 19]], rtol=1e-12)
    assert found.get_ppc_samples(2, genes="g1").shape == (2, 7, 1)
    with pytest.raises(BadRecipe, match="hold 20 draws.*mcmc.n_samples"):
        found.get_posterior_samples(21)
    with pytest.raises(UsageError, match="get_posterior_samples"):
        found.get_distributions()
