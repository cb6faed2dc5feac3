"""A fit seen in part: one component, one dataset and its cells, some genes; and the components of cells in every slot."""

from __future__ import annotations

import dataclasses

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.special
import scipy.stats
import zarr

import scribe_cli
from scribe_cli.core.facts import Facts
from scribe_cli.core.inference.posterior import Posterior, squeeze
from scribe_cli.core.model import derive, program
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.model.supports import SUPPORTS
from scribe_cli.errors import BadData, UsageError
from scribe_cli.io.fit import open_fit, rebuild_fit, write_fit
from scribe_cli.io.outputs import Array
from scribe_cli.io.part import Part
from scribe_cli.io.store import lifted_dims
from scribe_cli.run import params, redraw
from scribe_cli.run.result import Result
from tests import fits

COMPONENTS, DATASETS = ("T/NK", "β cell", "component_2"), ("ctrl", "stim")
CELLS, GENES, DRAWS = 24, 5, 12
SIZES = {"component": 3, "dataset": 2, "cell": CELLS, "gene": GENES}
CODES = np.arange(CELLS) % 3 % 2  # 16 cells of ctrl
RECIPE = {
    "model": "zinbvcp",
    "parameterization": "mean_odds",
    "unconstrained": True,
    "n_components": 3,
    "mixture_params": ["mu", "gate"],
    "dataset_key": "batch",
    "expression_dataset_prior": "horseshoe",
}


def rank3(axes, support="real") -> tuple[int, ...]:
    """The shape of theta: of a simplex one component less."""
    shape = [1, 1, 1]
    for axis in axes:
        shape[{"component": 0, "dataset": 1, "cell": 1, "gene": 2}[axis]] = SIZES[axis] - (support == "simplex" and axis == "component")
    return tuple(shape)


@pytest.fixture(scope="module")
def posterior() -> Posterior:
    """Draws of a mixture over datasets as chains have them, far apart along every axis."""
    spec, rng = resolve(RECIPE), np.random.default_rng(5)
    facts = Facts(SIZES, {"dataset_of_cell": CODES.astype(np.int32)})
    pieces = {name: site for name, site in program.sites(spec, facts).items() if derive.is_piece(name)}
    shapes = {p.name: rank3(p.axes, p.support) for p in spec.params}
    draws = {name: rng.normal(size=shape) + 0.1 * rng.normal(size=(2, DRAWS // 2, *shape)) for name, shape in shapes.items()}
    point = {name: v.mean((0, 1)) for name, v in draws.items()}
    scales = {name: rng.normal(size=(2, DRAWS // 2, *site.shape)) for name, site in pieces.items()}
    return Posterior(spec, facts, ("chain", "draw"), draws, point, "lifted_mean", scales)


def cell_data() -> anndata.AnnData:
    data = fits.adata(CELLS, GENES)
    data.obs["batch"] = np.array(DATASETS)[CODES]
    return data


@pytest.fixture(scope="module")
def probabilities() -> np.ndarray:
    return np.random.default_rng(2).dirichlet(np.full(3, 0.3), CELLS)


@pytest.fixture(scope="module")
def out(posterior, probabilities, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    spec, sites = posterior.spec, program.sites(posterior.spec, posterior.facts)
    lifted = {p.name: Array(lifted_dims(p.axes, p.support), squeeze(posterior.draws[p.name], p.axes)) for p in spec.params}
    lifted |= {name: Array(sites[name].axes, squeeze(v, sites[name].axes)) for name, v in posterior.pieces.items()}
    fit = fits.outputs(
        fits.h5ad(folder, cell_data()),
        spec=spec,
        variables=posterior.variables(),
        dims=("chain", "draw"),
        lifted=lifted,
        guide=None,
        component_prob=probabilities,
        constant={
            "library_size": Array(("cell",), np.ones(CELLS)),
            "dataset_of_cell": Array(("cell",), CODES.astype(np.int32)),
        },
        record=fits.record(method="mcmc", resolved="model: zinbvcp\ndataset_key: batch\ndata: {where: {}}\n"),
    )
    fit = dataclasses.replace(fit, coords={**fit.coords, "component": COMPONENTS, "dataset": DATASETS})
    write_fit(folder / "out", fit)
    return folder / "out"


@pytest.fixture(scope="module")
def res(out) -> Result:
    return scribe_cli.load(out)


def along(values, axes, **at):
    """Values at one place of some axes, the axis gone; by NumPy's own indexing."""
    return values[(..., *(at.get(axis, slice(None)) for axis in axes))]


@pytest.mark.parametrize(
    "view, at",
    [
        (lambda r: r.get_component(1), {"component": 1}),
        (lambda r: r.get_component("β cell"), {"component": 1}),
        (lambda r: r.get_component(-1), {"component": 2}),
        (lambda r: r.get_dataset("stim"), {"dataset": 1, "cell": np.flatnonzero(CODES == 1)}),
        (lambda r: r.get_component(np.int64(0)).get_dataset(0), {"component": 0, "dataset": 0, "cell": np.flatnonzero(CODES == 0)}),
        (lambda r: r[["g4", "g1"]].get_dataset("ctrl").get_component("T/NK"), {"component": 0, "dataset": 0, "gene": [4, 1], "cell": np.flatnonzero(CODES == 0)}),
    ],
    ids=["component", "by name", "last", "dataset", "both", "all"],
)
def test_a_view_loses_the_axes_it_picks_and_keeps_the_rest(res, view, at):
    seen, whole = view(res), res.get_map()
    axes = {name: res.stored.axes(name) for name in whole}
    assert set(axes.values()) >= {("component", "dataset", "gene"), ("component", "gene"), ("component", "dataset"), ("cell",), ()}
    drawn, of_view = res.get_posterior_samples(4), seen.get_posterior_samples(4)
    summarised = seen.summary()
    for name, found in seen.get_map().items():
        np.testing.assert_array_equal(found, along(whole[name], axes[name], **at), err_msg=name)
        np.testing.assert_array_equal(of_view[name], along(drawn[name], axes[name], **at), err_msg=name)
        if "gene" not in at or "gene" in axes[name]:
            mine = summarised[summarised.parameter == name]
            np.testing.assert_array_equal(mine["map"].astype(float), np.ravel(found), err_msg=name)
            for axis in at.keys() & {"component", "dataset"} & set(axes[name]):
                assert set(mine[axis]) == {res.stored.coords[axis][at[axis]]}
    assert list(seen.cells) == [f"cell{i}" for i in at.get("cell", range(CELLS))]
    assert list(seen.genes) == [f"g{i}" for i in at.get("gene", range(GENES))]
    assert all(res.stored.coords[axis][at[axis]] in repr(seen) for axis in at if axis in ("component", "dataset"))


def test_what_is_not_there_is_a_usage_error_with_what_is(res, tmp_path):
    for ask, said in (
        (lambda: res.get_component("T/NX"), r"did you mean \"T/NK\"\?\); there are T/NK, β cell, component_2"),
        (lambda: res.get_component(3), "component 3 is not in the fit; there are T/NK"),
        (lambda: res.get_component(-4), "component -4"),
        (lambda: res.get_dataset(True), "dataset True"),
        (lambda: res.get_dataset(1.0), "dataset 1.0"),
        (lambda: res.get_dataset("ctrl").get_dataset("stim"), 'is the dataset "ctrl" already'),
        (lambda: res.get_component(0).log_likelihood(cell_data()), "no law of whole data"),
    ):
        with pytest.raises(UsageError, match=said):
            ask()
    write_fit(tmp_path / "out", fits.outputs(fits.h5ad(tmp_path)))
    plain = scribe_cli.load(tmp_path / "out")
    with pytest.raises(UsageError, match="has no components.*n_components"):
        plain.get_component(0)
    with pytest.raises(UsageError, match="has no datasets.*dataset_key"):
        plain.get_dataset("a")


def test_to_datatree_is_of_the_part(res):
    tree = res[["g3"]].get_component("β cell").get_dataset("stim").to_datatree()
    draws = res.stored.draws("mu")[:]
    np.testing.assert_array_equal(tree["posterior"]["mu"], draws[:, :, 1, 1, [3]])
    assert tree["posterior"]["mu"].dims == ("chain", "draw", "gene") and tree["posterior"]["gate"].dims == ("chain", "draw", "gene")
    assert tree["posterior"]["mu"].coords["component"] == "β cell"
    assert tree["map"]["phi_capture"].sizes["cell"] == (CODES == 1).sum()
    np.testing.assert_array_equal(tree["constant_data"]["dataset_of_cell"], np.ones((CODES == 1).sum()))


def test_to_anndata_is_of_the_part(res, probabilities):
    point, cells = res.get_map(), np.flatnonzero(CODES == 1)
    made = res.get_dataset("stim").to_anndata()
    assert list(made.obs_names) == [f"cell{i}" for i in cells] and made.n_vars == GENES
    frame = made.varm["scribe_mu_map"]
    assert list(frame) == ["T|NK", "β cell", "component_2"]
    np.testing.assert_array_equal(frame.to_numpy().T, point["mu"][:, 1])
    np.testing.assert_array_equal(made.uns["scribe"]["scalars"]["mixing_weights"]["map"], point["mixing_weights"][:, 1])
    np.testing.assert_allclose(made.obsm["scribe_component_prob"], probabilities[cells], rtol=1e-6)
    both = res[["g4", "g0"]].get_component(0).get_dataset("stim").to_anndata(cell_data()[::-1])
    np.testing.assert_array_equal(both.var["scribe_mu_map"], point["mu"][0, 1, [4, 0]])
    np.testing.assert_array_equal(both.var["scribe_gate_map"], point["gate"][0, [4, 0]])
    assert "scribe_mu_map" not in both.varm and list(both.var_names) == ["g4", "g0"]
    assert list(both.obs_names) == [f"cell{i}" for i in cells]
    assert list(res.to_anndata().varm["scribe_mu_map"]) == [f"{k}__{d}" for k in ("T|NK", "β cell", "component_2") for d in DATASETS]


@pytest.mark.parametrize("k, d", [(None, None), (0, None), (2, 1), (None, 0)])
def test_replicate_counts_are_those_of_the_part(res, k, d):
    """Against the moments of the draws' own parameters: of a component (1 - gate) mu nu and the gated NB around it; of the
    fit the mixture of these; cells have the mu of their dataset."""
    draws, repeats = res.get_posterior_samples(DRAWS), 20
    view = res if k is None else res.get_component(k)
    view = view if d is None else view.get_dataset(d)
    cells = np.arange(CELLS) if d is None else np.flatnonzero(CODES == d)
    mu, r = (draws[name][:, :, CODES[cells]] for name in ("mu", "r"))  # (draw, component, cell, gene)
    gate, nu = draws["gate"][:, :, None], draws["p_capture"][:, None, cells, None]
    weights = draws["mixing_weights"][:, :, CODES[cells], None] if k is None else np.eye(3)[k][None, :, None, None]
    mean = (weights * (1 - gate) * mu * nu).sum(1)
    second = (weights * (1 - gate) * (mu * nu + (1 + 1 / r) * (mu * nu) ** 2)).sum(1)
    total = np.zeros(GENES)
    for seed in range(repeats):
        counts = redraw.counts(view.stored, DRAWS, view.part, seed)
        assert counts.shape == (DRAWS, len(cells), GENES)
        total += (counts - mean).sum((0, 1))
    z = total / np.sqrt(repeats * (second - mean**2).sum((0, 1)))
    assert np.abs(z).max() < 4
    again = view[["g4"]].get_ppc_samples(3)
    assert again.shape == (3, len(cells), 1) and again.dtype == np.int32


def test_a_part_by_itself():
    values = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    axes = ("component", "dataset", "gene")
    part = Part({"component": 1, "gene": np.array([3, 0])})
    np.testing.assert_array_equal(part.of(values, axes), values[1][:, [3, 0]])
    np.testing.assert_array_equal(part.of(np.stack([values, -values]), axes)[1], -values[1][:, [3, 0]])
    assert part.axes(axes) == ("dataset", "gene") and part.picked == {"component": 1}
    np.testing.assert_array_equal(part.rank3(values, axes), values[[1]][:, :, [3, 0]])
    np.testing.assert_array_equal(part.rank3(values[:1], ("dataset", "gene")), values[:1][:, :, [3, 0]])
    assert part.sizes({"component": 2, "dataset": 3, "gene": 4}) == {"dataset": 3, "gene": 2}
    np.testing.assert_array_equal(part.labelled.of(values, axes), values[[1]][:, :, [3, 0]])
    assert list(part.names("component", {"component": ["a", "b"]})) == ["b"] and part.picks == Part({"component": 1})


# the components of cells


def test_components_of_cells_are_in_obs_obsm_the_table_and_the_store(out, probabilities):
    made, p = anndata.read_h5ad(out / "fit.h5ad"), probabilities.astype(np.float32)
    names = np.array(COMPONENTS)[p.argmax(1)]
    entropy = scipy.stats.entropy(probabilities, axis=1)
    assert made.obs["scribe_component"].tolist() == names.tolist()
    np.testing.assert_allclose(made.obs["scribe_component_entropy"], entropy, atol=1e-6)
    frame = made.obsm["scribe_component_prob"]
    assert list(frame) == ["T|NK", "β cell", "component_2"] and list(frame.index) == list(made.obs_names)
    np.testing.assert_array_equal(frame.to_numpy(), p)
    table = pd.read_csv(out / "tables/cell.tsv.gz", sep="\t")
    assert len(table) == CELLS and table["component"].tolist() == names.tolist()
    for i, name in enumerate(COMPONENTS):
        np.testing.assert_array_equal(table[f"component_prob_{name}"].astype(np.float32), p[:, i])
    np.testing.assert_allclose(table["component_entropy"], entropy, atol=1e-6)
    stored = open_fit(out)
    np.testing.assert_array_equal(stored.results.component_prob, p)
    assert stored.root["cell_columns"]["component_prob"].attrs["_ARRAY_DIMENSIONS"] == ["cell", "component"]
    assert list(made.uns["scribe"]["components"]) == list(COMPONENTS)


def test_cells_that_were_not_fitted_have_no_component(tmp_path, probabilities):
    at = [0, 2, 3, 6]
    src = fits.h5ad(tmp_path)
    write_fit(tmp_path / "out", fits.outputs(src, cells=at, mixed=True, component_prob=probabilities[:4, :2]))
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    made = anndata.read_h5ad(tmp_path / "out/fit.h5ad")
    fitted = made.obs["scribe_fitted"].to_numpy()
    assert np.flatnonzero(fitted).tolist() == at
    assert (made.obs["scribe_component"] == "").tolist() == (~fitted).tolist()
    assert made.obs["scribe_component_entropy"].isna().tolist() == (~fitted).tolist()
    assert made.obsm["scribe_component_prob"].isna().all(axis=1).tolist() == (~fitted).tolist()
    joined = scribe_cli.load(tmp_path / "out").to_anndata(fits.adata())
    pd.testing.assert_frame_equal(joined.obsm["scribe_component_prob"], made.obsm["scribe_component_prob"], check_index_type=False)
    assert joined.obs["scribe_component"].tolist() == made.obs["scribe_component"].tolist()
    (tmp_path / "out/fit.h5ad").unlink()
    rebuild_fit(tmp_path / "out", src, {})
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_labels_that_a_column_name_cannot_tell_apart_are_made_unique(tmp_path):
    src = fits.h5ad(tmp_path)
    fit = fits.outputs(src, mixed=True)
    coords = {**fit.coords, "component": ("a/b", "a|b"), "dataset": ("x", "y", "x__y")}
    points = {v.name: v for v in fit.variables}
    write_fit(tmp_path / "out", dataclasses.replace(fit, coords=coords, variables=tuple(points.values())))
    frame = anndata.read_h5ad(tmp_path / "out/fit.h5ad").varm["scribe_r_map"]
    assert list(frame) == ["a|b", "a|b-1"]
    np.testing.assert_array_equal(frame.to_numpy().T, points["r"].point)


@pytest.mark.parametrize("format", ["h5ad", "zarr"])
def test_labels_may_be_anything_that_a_text_is(tmp_path, format):
    src = fits.h5ad(tmp_path)
    fit = fits.outputs(src, mixed=True, component_prob=np.full((7, 2), 0.5), record=fits.record(format=format))
    coords = {**fit.coords, "component": (".", "_index"), "dataset": ("a\nb", "é" * 150, "é" * 150 + "!")}
    variables = tuple(fit.variables)
    write_fit(tmp_path / "out", dataclasses.replace(fit, coords=coords, variables=variables))
    made = (anndata.read_h5ad if format == "h5ad" else anndata.read_zarr)(tmp_path / f"out/fit.{format}")
    assert list(made.obsm["scribe_component_prob"]) == ["._", "_index_"]
    assert list(made.varm["scribe_mu_map"])[:3] == [".__a\nb", ".__" + "é" * 98, ".__" + "é" * 98 + "-1"]
    np.testing.assert_array_equal(made.varm["scribe_mu_map"].to_numpy().T.reshape(2, 3, 5), variables[0].point)
    assert list(made.uns["scribe"]["datasets"]) == list(coords["dataset"])
    table = pd.read_csv(tmp_path / "out/tables/scalar.tsv", sep="\t", keep_default_na=False)
    assert table.dataset.tolist() == ["", *coords["dataset"], *coords["dataset"]]
    part = scribe_cli.load(tmp_path / "out").get_component(".").get_dataset("a\nb")
    np.testing.assert_array_equal(part.to_anndata().var["scribe_mu_map"], variables[0].point[0, 0])


# hierarchies


def test_locations_and_scales_of_hierarchies_are_reported_like_parameters(out, posterior, res):
    variables = {v.name: v for v in posterior.variables()}
    stored = open_fit(out)
    pieces = [name for name in stored.names if stored.attributes(name)["kind"] == "hierarchy"]
    assert set(pieces) == set(posterior.pieces) >= {"mu_loc", "mu_dataset_tau", "mu_dataset_lambda", "mu_dataset_c2"}
    for name in pieces:
        attributes = stored.attributes(name)
        assert attributes["descriptive_name"] == name == attributes["symbol"]
        assert attributes["unconstrained_name"] == f"{name}_unconstrained"
        np.testing.assert_array_equal(stored.point(name), variables[name].point)
    made = anndata.read_h5ad(out / "fit.h5ad")
    np.testing.assert_array_equal(made.var["scribe_mu_dataset_lambda_map"], variables["mu_dataset_lambda"].point)
    assert made.uns["scribe"]["scalars"]["mu_dataset_tau"]["map"] == variables["mu_dataset_tau"].point
    lifted = np.exp(posterior.pieces["mu_dataset_lambda"].mean((0, 1)).ravel())
    np.testing.assert_allclose(made.var["scribe_mu_dataset_lambda_map"], lifted, rtol=1e-12)
    assert "mu_dataset_tau" in res.get_posterior_samples(2) and "mu_dataset_tau" in res.get_map(descriptive_names=True)


def test_the_map_of_a_fit_as_parameters_leaves_the_hierarchies_out(out, res):
    found = params.read(out / "posterior.zarr")
    reported = {row.name: row.axes for row in derive.reported(res.stored.spec)}
    assert set(found) == set(reported)
    for name, values in found.items():
        np.testing.assert_array_equal(values, res.get_map()[name])
    assert params.sizes(found, reported) == SIZES
    assert "mu_loc" in zarr.open_group(out / "posterior.zarr", mode="r")["map"]


def test_sizes_of_parameters_given():
    axes = {"mu": ("component", "dataset", "gene"), "p": (), "gate": ("component", "gene"), "mixing_weights": ("component", "dataset")}
    given = {"mu": np.ones((2, 3, 4)), "p": np.array(0.5), "gate": np.ones(4), "other": np.ones(7)}
    assert params.sizes(given, axes) == {"component": 2, "dataset": 3, "gene": 4}  # gate's shape says nothing
    assert params.sizes({"p": np.array(0.5)}, axes) == {}
    with pytest.raises(BadData, match="parameters mu and mixing_weights have 3 and 4 datasets"):
        params.sizes(given | {"mixing_weights": np.ones((2, 4))}, axes)


def test_a_simplex_is_stored_whole_and_its_ratios_are_its_coordinate(res, posterior):
    theta = posterior.point["mixing_weights"]
    expected = scipy.special.softmax(np.concatenate([theta, np.zeros((1, 2, 1))]), 0)[..., 0]
    np.testing.assert_allclose(res.get_map()["mixing_weights"], expected, rtol=1e-12)
    assert res.stored.lifted("mixing_weights").shape == (2, 2)
    np.testing.assert_allclose(np.asarray(SUPPORTS["simplex"].value(SUPPORTS["simplex"].to_log(theta)))[..., 0], expected)


# laws of a guide


@pytest.fixture(scope="module")
def guided(posterior, tmp_path_factory) -> Result:
    """A fit by a mean-field guide with the same model."""
    folder, rng = tmp_path_factory.mktemp("guided"), np.random.default_rng(8)
    shapes = {name: site.shape for name, site in program.sites(posterior.spec, posterior.facts).items()}
    loc = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    log_sd = {name: rng.normal(-1.0, 0.3, shape) for name, shape in shapes.items()}
    fit = fits.outputs(
        fits.h5ad(folder, cell_data()),
        spec=posterior.spec,
        variables=posterior.variables(),
        dims=("chain", "draw"),
        guide={"family": "mean_field", "params": {"loc": loc, "log_sd": log_sd}},
        constant={"library_size": Array(("cell",), np.ones(CELLS)), "dataset_of_cell": Array(("cell",), CODES.astype(np.int32))},
    )
    write_fit(folder / "out", dataclasses.replace(fit, coords={**fit.coords, "component": COMPONENTS, "dataset": DATASETS}))
    return scribe_cli.load(folder / "out")


def test_laws_are_on_the_part(guided):
    site = guided.stored.guide["params"]["loc"]
    whole = guided.get_distributions()
    assert {n: (law.batch_shape, law.event_shape) for n, law in whole.items()} == {
        "phi": ((), ()),
        "gate": ((3, GENES), ()),
        "phi_capture": ((CELLS,), ()),
        "mixing_weights": ((2,), (3,)),
        "mu_loc": ((3, GENES), ()),
        "mu_dataset_tau": ((), ()),
        "mu_dataset_lambda": ((GENES,), ()),
        "mu_dataset_c2": ((), ()),
    }
    part = guided[["g3", "g0"]].get_component(2).get_dataset(1).get_distributions()
    assert {n: law.batch_shape for n, law in part.items()} == {
        "phi": (),
        "gate": (2,),
        "phi_capture": ((CODES == 1).sum(),),
        "mu_loc": (2,),
        "mu_dataset_tau": (),
        "mu_dataset_lambda": (2,),
        "mu_dataset_c2": (),
    }
    np.testing.assert_array_equal(part["mu_loc"].loc, site["mu_loc"][2, 0, [3, 0]])
    np.testing.assert_array_equal(part["phi_capture"].mean, whole["phi_capture"].mean[CODES == 1])
    value = np.array([0.3, 0.6])
    np.testing.assert_allclose(part["gate"].log_prob(value), whole["gate"].log_prob(np.broadcast_to(0.0, (3, 1)) + [[0.6, 0.5, 0.5, 0.3, 0.5]])[2, [3, 0]])
    weights = guided.get_dataset(1).get_distributions()["mixing_weights"]
    assert weights.batch_shape == () and weights.event_shape == (3,)
    w = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(weights.log_prob(w), whole["mixing_weights"].log_prob(np.stack([w, w]))[1])


def test_the_law_of_weights_is_the_normal_of_their_log_ratios(guided):
    params = guided.stored.guide["params"]
    loc, sd = (f(params[g]["mixing_weights_unconstrained"][0, 1, 0]) for g, f in (("loc", np.asarray), ("log_sd", np.exp)))
    law, w, step = guided.get_dataset(1).get_distributions()["mixing_weights"], np.array([0.2, 0.5, 0.3]), 1e-6

    def ratios(first):
        return np.log(first) - np.log(1 - first.sum())

    jacobian = np.column_stack([(ratios(w[:2] + e) - ratios(w[:2] - e)) / (2 * step) for e in step * np.eye(2)])
    expected = scipy.stats.norm.logpdf(ratios(w[:2]), loc, sd).sum() + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(law.log_prob(w), expected, rtol=1e-6)


# a fit from the counts


@pytest.fixture(scope="module")
def mixture():
    """(AnnData, its fit): two kinds of cells in two batches, half of them labelled, a fifth not to be fitted."""
    rng, n_cells, n_genes = np.random.default_rng(0), 60, 8
    kind, batch = rng.integers(0, 2, n_cells), np.arange(n_cells) % 2
    counts = rng.poisson(np.where(np.arange(n_genes) % 2 == kind[:, None], 12.0, 2.0)).astype(np.float32)
    obs = {
        "type": np.where(rng.random(n_cells) < 0.5, np.array(["B/1", "A"])[kind], None),
        "batch": np.array(["stim", "ctrl"])[batch],
        "keep": np.where(np.arange(n_cells) % 5 == 0, "no", "yes"),
    }
    data = anndata.AnnData(
        scipy.sparse.csr_matrix(counts),
        pd.DataFrame(obs, index=[f"c{i}" for i in range(n_cells)]),
        pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]),
    )
    data.obs["kind"] = np.array(["B/1", "A"])[kind]
    recipe = {
        "model": "nbdm",
        "unconstrained": True,
        "n_components": 2,
        "annotation_key": "type",
        "dataset_key": "batch",
        "expression_dataset_prior": "gaussian",
        "data": {"where": {"keep": ["yes"]}},
        "output": {"ppc_samples": 4},
    }
    steps = {"svi__n_steps": 60, "svi__early_stopping": False, "svi__n_samples": 20}
    return data, scribe_cli.fit(data, recipe, **steps)


def test_a_guided_mixture_over_datasets_in_all_its_slots(mixture):
    data, fit = mixture
    made = fit.to_anndata()
    fitted = (data.obs["keep"] == "yes").to_numpy()
    assert made.obs["scribe_component"][fitted].tolist() == data.obs["kind"][fitted].tolist()
    assert (made.obs["scribe_component"][~fitted] == "").all()
    assert list(made.obsm["scribe_component_prob"]) == ["A", "B|1"]
    np.testing.assert_allclose(made.obsm["scribe_component_prob"].sum(axis=1)[fitted], 1.0, rtol=1e-6)
    assert list(made.varm["scribe_r_map"]) == ["A__ctrl", "A__stim", "B|1__ctrl", "B|1__stim"]
    for k, label in enumerate(("A", "B/1")):
        for d, batch in enumerate(("ctrl", "stim")):
            cells = ((data.obs["kind"] == label) & (data.obs["batch"] == batch)).to_numpy() & fitted
            point = fit.get_component(label).get_dataset(batch).get_map()
            np.testing.assert_array_equal(point["r"], fit.get_map()["r"][k, d])
            np.testing.assert_allclose(point["mu"], data.X.toarray()[cells].mean(0), atol=3.0)  # means are 2 and 12
    drawn = fit.get_component("A").get_ppc_samples(20).mean((0, 1))
    assert (drawn[1::2] > 2 * drawn[::2]).all()  # the genes of A are the odd ones
    ours = (v.obs.filter(like="scribe_") for v in (fit.to_anndata(data), made))
    pd.testing.assert_frame_equal(*ours, check_dtype=False)


def test_a_datasets_cells_are_scored_at_its_own_parameters(mixture):
    data, fit = mixture
    cells = fit.log_likelihood(data, by="cell")
    stim = (data.obs["batch"] == "stim").to_numpy()[(data.obs["keep"] == "yes").to_numpy()]
    np.testing.assert_allclose(fit.get_dataset("stim").log_likelihood(data, by="cell"), cells[stim], rtol=1e-12)
    alone = data[data.obs["batch"] == "stim"].copy()
    np.testing.assert_allclose(fit.log_likelihood(alone, by="cell"), cells[stim], rtol=1e-12)
    point = fit.get_map()
    counts = data[fit.cells].X.toarray()
    codes = (data[fit.cells].obs["batch"] == "stim").to_numpy().astype(int)
    log_f = scipy.stats.nbinom.logpmf(counts, point["r"][:, codes], 1 - point["p"][:, None, None])
    expected = scipy.special.logsumexp(np.log(point["mixing_weights"])[:, codes] + log_f.sum(2), axis=0)
    np.testing.assert_allclose(cells, expected, rtol=1e-9)
    strange = alone.copy()
    strange.obs["batch"] = "other"
    with pytest.raises(BadData, match="datasets that the fit has not: other; it has ctrl, stim"):
        fit.log_likelihood(strange)
    del strange.obs["batch"]
    with pytest.raises(BadData, match="parameters of each dataset"):
        fit.log_likelihood(strange)
