"""`scribe sample`: the draws of a store again, others, those of chains; the store whole or not at all, bounded in memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from arviz_stats import summary

import scribe_cli
from scribe_cli.cli.main import main
from scribe_cli.core.facts import Facts
from scribe_cli.core.inference.posterior import Posterior
from scribe_cli.core.model.resolve import resolve
from scribe_cli.io import samples
from scribe_cli.io.fit import write_fit
from scribe_cli.io.outputs import Array
from scribe_cli.run import sample as verb
from scribe_cli.run.recipe import config, resolved
from tests import fits

DRAWS, GENES = 20, 5
CHAINS, LENGTH = 2, 10
NBDM = {"model": "nbdm", "parameterization": "mean_odds"}


def chains(folder: Path) -> Path:
    """OUT of a made-up fit by NUTS, two chains of ten draws."""
    rng = np.random.default_rng(0)
    sizes = {"mu": (1, 1, GENES), "phi": (1, 1, 1)}
    draws = {name: rng.normal(size=(CHAINS, LENGTH, *shape)) for name, shape in sizes.items()}
    point = {name: v.mean((0, 1)) for name, v in draws.items()}
    made = Posterior(resolve(NBDM), Facts({"cell": 7, "gene": GENES}), ("chain", "draw"), draws, point, "lifted_mean")
    lifted = {
        "mu": Array(("gene",), draws["mu"].reshape(CHAINS, LENGTH, GENES)),
        "phi": Array((), draws["phi"].reshape(CHAINS, LENGTH)),
    }
    recipe = config.load(NBDM | {"inference_method": "mcmc"}, {})
    out = fits.outputs(
        fits.h5ad(folder),
        dims=("chain", "draw"),
        spec=made.spec,
        record=fits.record(method="mcmc", resolved=resolved.resolved_text(recipe)),
        variables=made.variables(),
        lifted=lifted,
        guide=None,
        constant={"library_size": Array(("cell",), np.ones(7))},
        sample_stats={"lp": np.arange(20.0).reshape(CHAINS, LENGTH), "diverging": np.arange(20).reshape(2, 10) == 13},
    )
    write_fit(folder / "chains", out)
    return folder / "chains"


@pytest.fixture(scope="module")
def fit(tmp_path_factory) -> Path:
    """A short fit of seven cells and five genes."""
    folder = tmp_path_factory.mktemp("fit")
    source, settings = fits.h5ad(folder), (f"svi={{n_steps: 20, batch_size: 3, n_samples: {DRAWS}}}", "output={layers: []}")
    words = ["fit", source.path, "--recipe", "nbvcp", "-o", folder / "out", "-q", "--set", "output.unconstrained=true"]
    assert main([*map(str, words), *(w for setting in settings for w in ("--set", setting))]) == 0
    return folder / "out"


def sampled(capsys, *words) -> xarray.DataTree:
    code = main(["sample", *map(str, words), "-q"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    with xarray.open_datatree(out.removesuffix("\n"), engine="zarr") as tree:
        return tree.load()


def refused(capsys, *words) -> tuple[int, str]:
    code = main(["sample", *map(str, words), "-q"])
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return code, err


def stored(out: Path) -> xarray.DataTree:
    with xarray.open_datatree(out / "posterior.zarr", engine="zarr") as tree:
        return tree.load()


@pytest.mark.parametrize("block", [3, 1000])
def test_the_first_draws_are_those_of_the_store(block, fit, tmp_path, capsys, monkeypatch):
    """Whatever the blocks, with the names, attributes and coordinates of the store."""
    monkeypatch.setattr(verb, "ENTRIES", block * 13)
    tree, own = sampled(capsys, fit, "-n", 2 * DRAWS, "-o", tmp_path / "f.zarr"), stored(fit)
    for group in ("posterior", "unconstrained_posterior"):
        assert set(tree[group].data_vars) == set(own[group].data_vars)
        for name, values in own[group].data_vars.items():
            got = tree[group][name]
            np.testing.assert_allclose(got[:DRAWS], values, rtol=3e-7)
            assert len(np.unique(got.values.reshape(2 * DRAWS, -1)[:, 0])) == 2 * DRAWS
            assert got.dims == values.dims and got.attrs == values.attrs
            for axis in set(values.dims) & {"gene", "cell"}:
                np.testing.assert_array_equal(got[axis], values[axis])
    assert {k: tree.attrs[k] for k in ("run_id", "model_spec", "sample_dims")} == {
        k: own.attrs[k] for k in ("run_id", "model_spec", "sample_dims")
    }
    for file in (fit / "posterior.zarr" / ".zmetadata", tmp_path / "f.zarr" / ".zmetadata"):
        assert json.loads(file.read_text())["zarr_consolidated_format"] == 1
    of_api = scribe_cli.load(fit).get_posterior_samples(2 * DRAWS)
    np.testing.assert_allclose(tree["posterior"]["r"], of_api["r"], rtol=3e-7)


def test_other_seeds_give_other_draws_of_the_same_law(fit, tmp_path, capsys):
    one, other = (sampled(capsys, fit, "-n", 4000, "--seed", s, "-o", tmp_path / f"{s}.zarr") for s in (1, 2))
    a, b = (np.log(t["posterior"]["mu"].values) for t in (one, other))
    assert (a != b).all()
    error = a.std(0) * np.sqrt(2 / 4000)
    assert (np.abs(a.mean(0) - b.mean(0)) < 5 * error).all() and (np.abs(a.std(0) / b.std(0) - 1) < 0.1).all()


def test_arviz_reads_it(fit, tmp_path, capsys):
    tree = sampled(capsys, fit, "-n", 50, "-o", tmp_path / "f.zarr")
    found = summary(tree, var_names=["mu"], sample_dims=["sample"], kind="stats", round_to="none")
    np.testing.assert_allclose(found["mean"].to_numpy(float), tree["posterior"]["mu"].mean("sample"), rtol=1e-5)


def test_chains_give_as_many_draws_each(tmp_path, capsys):
    out = chains(tmp_path)
    own = stored(out)
    every = sampled(capsys, out, "-n", 20, "-o", tmp_path / "f.zarr")
    for group in ("posterior", "unconstrained_posterior", "sample_stats"):
        assert set(every[group].data_vars) == set(own[group].data_vars)
        for name, values in own[group].data_vars.items():
            assert every[group][name].dims == values.dims
            np.testing.assert_allclose(every[group][name], values, rtol=1e-6)
    four = sampled(capsys, out, "-n", 4, "-o", tmp_path / "f.zarr")
    assert dict(four["posterior"].sizes) == {"chain": 2, "draw": 2, "gene": GENES}
    np.testing.assert_array_equal(four["sample_stats"]["lp"], [[0, 9], [10, 19]])
    np.testing.assert_allclose(four["posterior"]["mu"], own["posterior"]["mu"][:, [0, 9]], rtol=1e-6)
    three = sampled(capsys, out, "-n", 3, "-o", tmp_path / "f.zarr")
    np.testing.assert_array_equal(three["sample_stats"]["lp"], [[0, 10, 19]])


def test_weights_of_components_in_their_ratios(tmp_path, capsys):
    """One ratio less than there are components."""
    source, out = fits.h5ad(tmp_path), tmp_path / "out"
    settings = ["svi={n_steps: 20, n_samples: 4}", "n_components=3", "output.unconstrained=true", "output.ppc_samples=2"]
    words = ["fit", source.path, "--recipe", "nbdm", "-o", out, "-q", *(w for s in settings for w in ("--set", s))]
    assert main([*map(str, words)]) == 0
    capsys.readouterr()  # twenty steps on seven cells are doubted
    tree, own = sampled(capsys, out, "-n", 4, "-o", tmp_path / "f.zarr")["unconstrained_posterior"], stored(out)
    ratios = tree["mixing_weights_unconstrained"]
    assert ratios.dims == ("sample", "component_ratio") and ratios.shape == (4, 2)
    np.testing.assert_allclose(ratios, own["unconstrained_posterior"]["mixing_weights_unconstrained"], rtol=1e-6)


def test_more_than_chains_hold(tmp_path, capsys):
    out = chains(tmp_path)
    code, line = refused(capsys, out, "-n", 21, "-o", tmp_path / "f.zarr")
    assert code == 78 and "hold 20 draws" in line and "mcmc.n_samples" in line and not (tmp_path / "f.zarr").exists()
    code, line = refused(capsys, out, "-n", 5, "--seed", 1, "-o", tmp_path / "f.zarr")
    assert code == 2 and "--seed" in line


def test_values_are_made_a_block_at_a_time(fit, tmp_path, capsys, monkeypatch):
    """No more draws than a block holds are ever asked of the guide, nor written in one chunk."""
    monkeypatch.setattr(verb, "ENTRIES", 7 * 13)
    asked = []
    from scribe_cli.core.inference import svi

    draw = svi.draw
    monkeypatch.setattr(svi, "draw", lambda params, seed, numbers: asked.append(len(numbers)) or draw(params, seed, numbers))
    sampled(capsys, fit, "-n", 100, "-o", tmp_path / "f.zarr")
    assert set(asked) == {7} and len(asked) == 15
    root = zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert root["posterior/mu"].chunks == (7, GENES) and root["posterior/mu"].shape == (100, GENES)


def test_what_is_not_ours_stays(fit, tmp_path, capsys):
    out = tmp_path / "f.zarr"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    code, line = refused(capsys, fit, "-n", 5, "-o", out)
    assert code == 73 and (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    out.rmdir()
    assert sampled(capsys, fit, "-n", 5, "-o", out)["posterior"].sizes["sample"] == 5
    assert sampled(capsys, fit, "-n", 6, "-o", out)["posterior"].sizes["sample"] == 6
    assert [f.name for f in tmp_path.iterdir()] == ["f.zarr"]


def test_a_failed_write_leaves_what_was_there(fit, tmp_path, capsys, monkeypatch):
    sampled(capsys, fit, "-n", 5, "-o", tmp_path / "f.zarr")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples, "at_limits", full)
    for name in ("f.zarr", "g.zarr"):
        code, line = refused(capsys, fit, "-n", 6, "-o", tmp_path / name)
        assert code == 74 and "No space left" in line
    assert [f.name for f in tmp_path.iterdir()] == ["f.zarr"]
    with xarray.open_datatree(tmp_path / "f.zarr", engine="zarr") as tree:
        assert tree["posterior"].sizes["sample"] == 5


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("-n", "5", "-o", "f.h5ad"), 2, "f.zarr"),
        (("-n", "0", "-o", "f.zarr"), 2, "-n"),
        (("-o", "f.zarr"), 2, "-n"),
        (("-n", "5", "-o", "none/f.zarr"), 73, "cannot be created"),
        (("-n", "900000000000000", "-o", "f.zarr"), 73, "fewer draws"),
    ],
)
def test_refusals(words, code, said, fit, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, line = refused(capsys, fit, *words)
    assert found == code and said in line and list(tmp_path.iterdir()) == []


def test_the_fit_itself_is_never_a_target(fit, tmp_path, capsys):
    for place in (fit / "posterior.zarr", fit / "posterior.zarr" / "posterior.zarr"):
        code, line = refused(capsys, fit, "-n", 5, "-o", place)
        assert code == 2 and "part of the fit" in line
    assert refused(capsys, tmp_path / "nowhere", "-n", 5, "-o", tmp_path / "f.zarr")[0] == 66
