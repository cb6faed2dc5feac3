"""The store: what is written opens again, in our reader, xarray, arviz and anndata, and says the same."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import warnings

import anndata
import arviz_stats
from tests import fits
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray
import zarr

from scribe_cli.errors import BadRecipe, InputMissing, IOFailure, UsageError
from scribe_cli.io import manifest
from scribe_cli.io.anndata import refuse_foreign_key
from scribe_cli.io.fit import open_fit, rebuild_fit, write_fit
from scribe_cli.io.outputs import Array
from scribe_cli.io.staging import refuse_entry
from scribe_cli.io.summary import at_limits, summarise

CELLS, GENES = [0, 2, 3, 6], [1, 3, 4, -1]
# what anndata 0.10 reads
ENCODINGS = {
    "anndata",
    "dict",
    "raw",
    "array",
    "csr_matrix",
    "csc_matrix",
    "dataframe",
    "categorical",
    "string",
    "string-array",
    "numeric-scalar",
    "rec-array",
    "nullable-integer",
    "nullable-boolean",
}


def written(folder, src=None, **changes):
    """(OUT, the outputs as they were given, with the variables listed)."""
    fit = fits.outputs(src or fits.h5ad(folder), **changes)
    fit = dataclasses.replace(fit, variables=tuple(fit.variables))
    write_fit(folder / "out", fit)
    return folder / "out", fit


def encodings(group):
    """{path: encoding type} of all elements of an h5ad."""
    found = {}
    group.visititems(
        lambda name, e: found.update({name: e.attrs["encoding-type"]} if "encoding-type" in e.attrs else {})
    )
    return found


@pytest.mark.parametrize("dims", [("sample",), ("chain", "draw")])
def test_xarray_opens_the_posterior_as_it_is(tmp_path, dims):
    out, fit = written(
        tmp_path,
        mixed=True,
        dims=dims,
        lifted={"mu": Array(("gene",), np.zeros((50, 5) if len(dims) == 1 else (2, 25, 5)))},
    )
    with xarray.open_datatree(out / "posterior.zarr", engine="zarr") as tree:
        for variable in fit.variables:
            point = tree["map"][variable.name]
            assert point.dims == variable.axes and point.dtype == np.float64
            np.testing.assert_array_equal(point, variable.point)
            if variable.stored:
                draws = tree["posterior"][variable.name]
                assert draws.dims == (*dims, *variable.axes) and draws.dtype == np.float32
                np.testing.assert_array_equal(draws, variable.draws)
        assert "eta_capture" not in tree["posterior"]
        assert list(tree["posterior"].coords["component"].values) == list(fits.COMPONENTS)
        assert tree["map"]["mu"].attrs["descriptive_name"] == "expression"
        assert tree["map"]["mu_unconstrained"].dtype == np.float64
        assert tree["map"]["mixing_weights_unconstrained"].dims == ("component_ratio", "dataset")
        assert tree["unconstrained_posterior"]["mu_unconstrained"].dims == (*dims, "gene")
        assert tree["posterior"].attrs["sample_dims"] == list(dims)
        assert tree.attrs["run_id"] == fit.record.run_id


def test_arviz_reads_chains(tmp_path):
    out, fit = written(tmp_path, dims=("chain", "draw"), sample_stats={"diverging": np.zeros((2, 25), bool)})
    with xarray.open_datatree(out / "posterior.zarr", engine="zarr") as tree:
        rhat = arviz_stats.rhat(tree)
        assert rhat["mu"].dims == ("gene",) and (rhat["mu"] < 2).all()
        assert tree["sample_stats"]["diverging"].dtype == bool


def test_our_reader_gives_back_what_was_written(tmp_path):
    out, fit = written(tmp_path, mixed=True)
    stored = open_fit(out / "fit.h5ad")
    assert stored.names == tuple(v.name for v in fit.variables)
    assert stored.coords == {a: list(n) for a, n in fit.coords.items()}
    assert (stored.spec, stored.record, stored.map_kind) == (fit.spec, fit.record, fit.map_kind)
    for variable in fit.variables:
        assert stored.axes(variable.name) == variable.axes
        np.testing.assert_array_equal(stored.point(variable.name), variable.point)
        if variable.stored:
            np.testing.assert_array_equal(stored.draws(variable.name)[3], variable.draws[3])
        if variable.lifted is not None:
            np.testing.assert_array_equal(stored.lifted(variable.name), variable.lifted)
    assert stored.draws("eta_capture") is None and stored.lifted("r") is None
    np.testing.assert_array_equal(stored.guide["params"]["scale"]["mu"], fit.guide["params"]["scale"]["mu"])
    np.testing.assert_array_equal(stored.group("fit_history")["elbo"], fit.history["elbo"])
    np.testing.assert_array_equal(stored.group("constant_data")["log_library"], fit.constant["log_library"].values)
    assert stored.metrics == {
        "run_id": fit.record.run_id,
        "converged": True,
        "elbo": -3.5,
        "saturated_values": 0,
        "rhat": None,
    }


def test_summaries_are_numpys():
    variable = fits.variable("mu", ("component", "gene"), {"component": 2, "gene": 2500}, dims=(2, 20))
    summary, draws = summarise(variable, 2)
    flat = draws.reshape(40, 2, 2500).astype(float)
    expected = {"mean": flat.mean(0), "sd": flat.std(0, ddof=1)} | {
        f"q{q:02}": np.quantile(flat, q / 100, axis=0) for q in (5, 50, 95)
    }
    for name, values in expected.items():
        np.testing.assert_allclose(summary.statistics[name], values, rtol=2e-7, err_msg=name)
    assert not summary.saturated.any()


def test_values_beyond_float32_are_stored_at_its_limits_and_counted(tmp_path):
    values, beyond = at_limits(np.array([1e300, -1e300, 1e-300, 1.0]), "real")
    assert values.tolist() == [np.finfo("f4").max, -np.finfo("f4").max, 0.0, 1.0] and beyond.tolist() == [
        True,
        True,
        False,
        False,
    ]
    values, beyond = at_limits(np.array([1e-300, 2.0]), "positive")
    assert values[0] > 0 and beyond.tolist() == [True, False]
    src = fits.h5ad(tmp_path)
    mu = fits.variable("mu", ("gene",), {"gene": 5})
    mu.draws[:3, 1] = np.inf
    out, _ = written(tmp_path, src, variables=[mu])
    assert open_fit(out).metrics["saturated_values"] == 3
    assert anndata.read_h5ad(out / "fit.h5ad").var["scribe_reason"].tolist() == ["ppc", "saturated", "ppc", "", "ppc"]
    assert np.isfinite(open_fit(out).draws("mu")[:]).all()


def test_results_lie_in_the_slots_of_the_contract(tmp_path):
    out, fit = written(tmp_path, mixed=True)
    made = anndata.read_h5ad(out / "fit.h5ad")
    points = {v.name: v.point for v in fit.variables}
    np.testing.assert_array_equal(made.var["scribe_gate_map"], points["gate"])
    np.testing.assert_array_equal(made.obs["scribe_eta_capture_map"], points["eta_capture"])
    frame = made.varm["scribe_mu_map"]
    assert list(frame) == [
        "T cell__ctrl",
        "T cell__stim",
        "T cell__rest",
        "CD4|CD8__ctrl",
        "CD4|CD8__stim",
        "CD4|CD8__rest",
    ]
    np.testing.assert_array_equal(frame.to_numpy().T.reshape(2, 3, 5), points["mu"])
    assert list(made.varm["scribe_r_sd"]) == ["T cell", "CD4|CD8"]
    uns = made.uns["scribe"]
    assert uns["schema_version"] == 1 and uns["posterior"] == "posterior.zarr" and uns["recipe"] == "model: nbvcp\n"
    assert uns["scalars"]["p"]["map"] == points["p"]
    np.testing.assert_array_equal(uns["scalars"]["mixing_weights"]["map"], points["mixing_weights"])
    assert list(uns["components"]) == list(fits.COMPONENTS)
    assert made.var["scribe_ok"].tolist() == [False, True, False, True, False]


def test_what_was_not_fitted_stays_with_nan(tmp_path):
    src = fits.h5ad(tmp_path)
    fit = fits.outputs(src, cells=CELLS, genes=GENES, mixed=True)
    write_fit(tmp_path / "out", dataclasses.replace(fit, layers=fits.layers(fit)))
    made = anndata.read_h5ad(tmp_path / "out/fit.h5ad")
    assert made.shape == src.shape
    assert made.var["scribe_fitted"].tolist() == [False, True, False, True, True]
    assert made.obs["scribe_fitted"].tolist() == [True, False, True, True, False, False, True]
    assert made.var["scribe_gate_map"].isna().tolist() == (~made.var["scribe_fitted"]).tolist()
    assert made.varm["scribe_mu_map"].isna().all(axis=1).tolist() == (~made.var["scribe_fitted"]).tolist()
    expected = np.full(src.shape, np.nan)
    expected[np.ix_(CELLS, GENES[:3])] = 10 * np.arange(4)[:, None] + np.arange(3) + 1
    np.testing.assert_array_equal(made.layers["scribe_expected"], expected)
    np.testing.assert_array_equal(made.layers["scribe_ppc"].toarray(), np.where(expected % 2 == 1, expected, 0))
    assert open_fit(tmp_path / "out").coords["gene"] == ["g1", "g3", "g4", "_other"]


def test_the_input_is_kept_bit_for_bit(tmp_path):
    src = fits.h5ad(tmp_path)
    out, _ = written(tmp_path, src)
    with h5py.File(src.path) as before, h5py.File(out / "fit.h5ad") as after:
        for name in (
            "X/data",
            "X/indices",
            "X/indptr",
            "layers/log/data",
            "raw/X/data",
            "obsm/X_pca",
            "obsp/graph/data",
            "uns/nested/numbers",
        ):
            assert (
                after[name].dtype == before[name].dtype and after[name][()].tobytes() == before[name][()].tobytes()
            ), name
    given, made = fits.adata(), anndata.read_h5ad(out / "fit.h5ad")
    # texts: what pandas reads them as is not what they were given as
    pd.testing.assert_frame_equal(made.obs[list(given.obs)], given.obs, check_index_type=False)
    pd.testing.assert_frame_equal(made.raw.var, given.raw.var, check_index_type=False)
    assert (
        made.uns["nested"]["text"] == "yes"
        and made.obsm["frame"]["text"].tolist() == given.obsm["frame"]["text"].tolist()
    )


def test_results_alone_leave_the_data_out(tmp_path):
    out, _ = written(tmp_path, record=fits.record(results_only=True))
    made = anndata.read_h5ad(out / "fit.h5ad")
    assert made.X is None and made.raw is None and not made.layers and not made.obsp
    assert "batch" in made.obs and "X_pca" in made.obsm and "scribe_mu_map" in made.var


@pytest.mark.parametrize("given", ["h5ad", "zarr"])
@pytest.mark.parametrize("wanted", ["h5ad", "zarr"])
def test_any_format_from_any(tmp_path, given, wanted):
    data = fits.adata()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.write_zarr(tmp_path / "in.zarr")
        data.write_h5ad(tmp_path / "in.h5ad")
    src = fits.source(tmp_path / f"in.{given}", scipy.sparse.csr_array(data.X), data.obs, data.var, given)
    fit = fits.outputs(src, mixed=True, record=fits.record(format=wanted))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_fit(tmp_path / "out", dataclasses.replace(fit, layers=fits.layers(fit)))
        assert manifest.finished(tmp_path / "out", fit.record.run_id)
    read = anndata.read_h5ad if wanted == "h5ad" else anndata.read_zarr
    made = read(tmp_path / f"out/fit.{wanted}")
    assert (made.X != data.X).nnz == 0 and (made.layers["log"] != data.layers["log"]).nnz == 0
    np.testing.assert_array_equal(made.obsm["X_pca"], data.obsm["X_pca"])
    assert made.uns["nested"]["text"] == "yes" and made.raw.shape == data.raw.shape
    assert made.obs["batch"].tolist() == data.obs["batch"].tolist()
    assert made.layers["scribe_ppc"].shape == data.shape and made.uns["scribe"]["run_id"] == fit.record.run_id


def test_an_input_that_is_no_anndata(tmp_path):
    data = fits.adata()
    src = fits.source(tmp_path / "matrix.mtx", scipy.sparse.csr_array(data.X), data.obs, data.var, "mtx")
    out, _ = written(tmp_path, src)
    made = anndata.read_h5ad(out / "fit.h5ad")
    assert (
        (made.X != data.X).nnz == 0
        and made.var_names.tolist() == data.var_names.tolist()
        and "scribe_mu_map" in made.var
    )


def test_counts_of_raw_find_their_genes_by_name(tmp_path):
    whole = fits.adata()
    narrow = whole[:, ["g4", "g1"]].copy()
    narrow.raw = whole
    src = fits.h5ad(tmp_path, narrow)
    src = dataclasses.replace(
        src,
        var=whole.var,
        element="raw/X",
        rows=fits.source(src.path, scipy.sparse.csr_array(whole.X), whole.obs, whole.var).rows,
    )
    fit = fits.outputs(src)
    fit = dataclasses.replace(fit, variables=tuple(fit.variables), layers=fits.layers(fit))
    write_fit(tmp_path / "out", fit)
    made = anndata.read_h5ad(tmp_path / "out/fit.h5ad")
    np.testing.assert_array_equal(made.var["scribe_mu_map"], fit.variables[0].point[[4, 1]])
    np.testing.assert_array_equal(made.layers["scribe_expected"][0], [5, 2])
    np.testing.assert_array_equal(made.layers["scribe_ppc"].toarray()[0], [5, 0])


def test_every_encoding_is_one_that_anndata_0_10_reads(tmp_path):
    data = fits.adata()
    data.obs["maybe"] = pd.array(["x", None] * 3 + ["y"], dtype="string")
    del data.obsm["frame"]
    data.uns["texts"] = pd.array(["a", "b"], dtype="string")
    data.obs.index = data.obs.index.astype("string")
    data.obsm["frame"] = pd.DataFrame({"maybe": data.obs["maybe"]}, index=data.obs.index)
    with anndata.settings.override(allow_write_nullable_strings=True):
        src = fits.h5ad(tmp_path, data)
    with h5py.File(src.path, "a") as file:
        assert "nullable-string-array" in encodings(file).values()
        file["uns"].create_dataset("nothing", data=h5py.Empty("f4")).attrs.update(
            {"encoding-type": "null", "encoding-version": "0.1.0"}
        )
        log = file["layers/log/data"][:]
        del file["layers/log/data"]
        file["layers/log"].create_dataset("data", data=log, compression="lzf")
    notices = write_fit(tmp_path / "out", fits.outputs(src, mixed=True))
    assert notices == [f"{src.path}: /uns/nothing is None, which older readers refuse: it is left out of the result"]
    with h5py.File(tmp_path / "out/fit.h5ad") as file:
        assert set(encodings(file).values()) <= ENCODINGS
        assert file["layers/log/data"].compression == "gzip"
    made = anndata.read_h5ad(tmp_path / "out/fit.h5ad")
    assert (
        made.obs["maybe"].isna().tolist() == made.obsm["frame"]["maybe"].isna().tolist() == [False, True] * 3 + [False]
    )
    assert made.uns["texts"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(made.layers["log"].data, log)


def test_an_earlier_fit_under_the_same_key_is_replaced(tmp_path):
    out, _ = written(tmp_path, mixed=True)
    first = anndata.read_h5ad(out / "fit.h5ad")
    (tmp_path / "again").mkdir()
    src = fits.source(out / "fit.h5ad", scipy.sparse.csr_array(first.X), first.obs, first.var)
    notices = write_fit(tmp_path / "again/out", fits.outputs(src, record=fits.record("f" * 16)))
    made = anndata.read_h5ad(tmp_path / "again/out/fit.h5ad")
    assert "scribe_mu_map" in made.var and "scribe_mu_map" not in made.varm and "batch" in made.obs
    assert made.uns["scribe"]["run_id"] == "f" * 16 and "replaced" in notices[0]


def test_a_fit_under_a_longer_key_stays(tmp_path):
    """`scribe` begins `scribe_old`, whose names are its own."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = fits.outputs(fits.h5ad(tmp_path), record=fits.record(key="scribe_old"))
    write_fit(tmp_path / "a/out", first)
    old = anndata.read_h5ad(tmp_path / "a/out/fit.h5ad")
    src = fits.source(tmp_path / "a/out/fit.h5ad", scipy.sparse.csr_array(old.X), old.obs, old.var)
    write_fit(tmp_path / "b/out", fits.outputs(src))
    both = anndata.read_h5ad(tmp_path / "b/out/fit.h5ad")
    src = fits.source(tmp_path / "b/out/fit.h5ad", scipy.sparse.csr_array(both.X), both.obs, both.var)
    notices = write_fit(tmp_path / "out", fits.outputs(src))
    made = anndata.read_h5ad(tmp_path / "out/fit.h5ad")
    assert "key scribe:" in notices[0]
    assert {"scribe_old_fitted", "scribe_fitted"} <= set(made.var) & set(made.obs)
    assert {"scribe", "scribe_old"} <= set(made.uns)
    pd.testing.assert_frame_equal(made.var[[c for c in old.var if c.startswith("scribe_old")]], old.var.filter(like="scribe_old"))


def test_what_others_keep_under_our_key_is_refused(tmp_path):
    src = fits.h5ad(tmp_path)
    refuse_foreign_key(src, "scribe")
    with h5py.File(src.path, "a") as file:
        anndata.io.write_elem(file["uns"], "pca", {"variance": np.ones(3)})
    with pytest.raises(UsageError, match="pca.*--key-added"):
        refuse_foreign_key(src, "pca")
    refuse_foreign_key(src, "scribe")


def test_no_output_replaces_a_part_of_a_fit(tmp_path):
    out, _ = written(tmp_path)
    for path in (out / "metrics.json", out / "tables/new.tsv", out / "posterior.zarr", out / "run.log"):
        with pytest.raises(UsageError, match="part of the fit"):
            refuse_entry(path)
    for path in (out / "mine.tsv", tmp_path / "metrics.json", tmp_path / "tables/new.tsv"):
        refuse_entry(path)


def test_tables(tmp_path):
    out, fit = written(tmp_path, mixed=True, genes=GENES)
    genes = pd.read_csv(out / "tables/gene.tsv.gz", sep="\t", keep_default_na=False, dtype=str)
    assert list(genes)[:4] == ["gene", "component", "dataset", "mu_map"] and len(genes) == 4 * 2 * 3
    row = genes[(genes.gene == "_other") & (genes.component == "CD4/CD8") & (genes.dataset == "stim")].iloc[0]
    points = {v.name: v.point for v in fit.variables}
    assert float(row.mu_map) == points["mu"][1, 1, 3] and float(row.r_map) == points["r"][1, 3]
    assert float(row.gate_map) == points["gate"][3]
    scalars = pd.read_csv(out / "tables/scalar.tsv", sep="\t", keep_default_na=False)
    assert list(scalars) == ["parameter", "component", "dataset", "map", "mean", "sd", "q05", "q50", "q95"]
    assert scalars.parameter.tolist() == ["p"] + ["mixing_weights"] * 6 and scalars.component[0] == ""
    cells = pd.read_csv(out / "tables/cell.tsv.gz", sep="\t")
    assert cells.total_obs.tolist() == list(range(7)) and "eta_capture_q95" in cells
    assert {p.name for p in (out / "tables").iterdir()} == {
        "gene.tsv.gz",
        "cell.tsv.gz",
        "scalar.tsv",
        "ppc_gene.tsv.gz",
        "ppc_hist.tsv.gz",
        "convergence.tsv",
    }
    assert gzip.decompress((out / "tables/ppc_gene.tsv.gz").read_bytes()).startswith(b"gene\tmean_obs\n")


def test_without_tables(tmp_path):
    out, _ = written(tmp_path, write_tables=False)
    assert not (out / "tables").exists()


def test_equal_runs_are_equal_bytes(tmp_path):
    src, sums = fits.h5ad(tmp_path), []
    for name in "ab":
        fit = fits.outputs(src, mixed=True)
        write_fit(tmp_path / name, dataclasses.replace(fit, layers=fits.layers(fit)))
        sums.append((tmp_path / name / "manifest.json").read_bytes())
    assert sums[0] == sums[1]
    files = json.loads(sums[0])["files"]
    assert len(files) > 50 and files["fit.h5ad"] == hashlib.sha256((tmp_path / "a/fit.h5ad").read_bytes()).hexdigest()


@pytest.mark.parametrize("format", ["h5ad", "zarr"])
def test_the_fit_is_made_again_from_store_and_input(tmp_path, format):
    src = fits.h5ad(tmp_path)
    out, fit = written(tmp_path, src, mixed=True, cells=CELLS, genes=GENES, record=fits.record(format=format))
    before = (out / "manifest.json").read_bytes()
    (out / f"fit.{format}").rename(tmp_path / "gone")
    assert not manifest.finished(out, fit.record.run_id)
    rebuild_fit(out, src, {})
    assert (out / "manifest.json").read_bytes() == before
    assert manifest.finished(out, fit.record.run_id)


def test_two_runs_in_one_directory_are_refused(tmp_path):
    out, fit = written(tmp_path)
    assert manifest.finished(out, fit.record.run_id) and not manifest.finished(out, "e" * 16)
    text = (out / "metrics.json").read_text()
    (out / "metrics.json").write_text(text.replace(fit.record.run_id, "e" * 16))
    assert not manifest.finished(out, fit.record.run_id)
    with pytest.raises(IOFailure, match=r"two runs .*metrics.json eeee"):
        open_fit(out)
    with pytest.raises(InputMissing, match="no fit there"):
        open_fit(tmp_path)
    with pytest.raises(InputMissing, match="no such fit"):
        open_fit(tmp_path / "nowhere")


def test_another_run_is_refused_by_name(tmp_path):
    out, fit = written(tmp_path)
    manifest.refuse_other(out, fit.record.fingerprint)
    manifest.refuse_other(tmp_path / "new", fit.record.fingerprint)
    with pytest.raises(BadRecipe, match="another run: input differs"):
        manifest.refuse_other(out, {**fit.record.fingerprint, "input": "other"})


def test_run_ids_hang_on_fingerprint_and_versions():
    first = manifest.fingerprint({"model": "nbdm", "seed": 1}, "scribe", "h5ad", "abc")
    assert first == manifest.fingerprint({"seed": 1, "model": "nbdm"}, "scribe", "h5ad", "abc")
    ids = {
        manifest.run_id(first, {"jax": "1"}),
        manifest.run_id(first, {"jax": "2"}),
        manifest.run_id({**first, "input": "x"}, {"jax": "1"}),
    }
    assert len(ids) == 3


@pytest.mark.parametrize("version", ["v0.7.8", "v0.10"])
def test_zarr_formats_are_kept(tmp_path, version):
    data = fits.adata()
    format = 2 if version == "v0.7.8" else 3
    with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=format):
        warnings.simplefilter("ignore")
        data.write_zarr(tmp_path / "in.zarr")
    src = fits.source(tmp_path / "in.zarr", scipy.sparse.csr_array(data.X), data.obs, data.var, "zarr")
    out, _ = written(tmp_path, src, record=fits.record(format="zarr"))
    assert zarr.open_group(out / "fit.zarr", mode="r").metadata.zarr_format == format
    assert manifest.one_run(out) == fits.record().run_id


def test_layouts_before_anndata_0_7(tmp_path):
    data, path = fits.adata(), tmp_path / "old.h5ad"
    with h5py.File(path, "w") as file:
        file["X"] = data.X.toarray()
        names = np.array([(n.encode(),) for n in data.obs_names], [("index", "S8")])
        genes = np.array([(n.encode(),) for n in data.var_names], [("index", "S8")])
        file["obs"], file["var"], file["raw.var"] = names, genes, genes
        file["obsm"] = np.array([(row,) for row in data.obsm["X_pca"]], [("X_pca", "f8", (2,))])
        file["uns/text"] = "yes"
        for name, part in (("data", data.X.data), ("indices", data.X.indices), ("indptr", data.X.indptr)):
            file[f"raw.X/{name}"] = part
        file["raw.X"].attrs.update({"h5sparse_format": "csr", "h5sparse_shape": data.shape})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out, _ = written(tmp_path, fits.source(path, scipy.sparse.csr_array(data.X), data.obs, data.var))
    made = anndata.read_h5ad(out / "fit.h5ad")
    np.testing.assert_array_equal(made.X, data.X.toarray())
    np.testing.assert_array_equal(made.raw.X.toarray(), data.X.toarray())
    np.testing.assert_array_equal(made.obsm["X_pca"], data.obsm["X_pca"])
    assert made.raw.var_names.tolist() == data.var_names.tolist() and made.uns["text"] == "yes"
