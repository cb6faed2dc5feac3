"""`scribe simulate`: what it writes, where, and what it refuses."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from scribe_cli.cli.main import main
from scribe_cli.core import simulate as core
from scribe_cli.data.counts import CountData
from scribe_cli.io import readers

CELLS, GENES = 12, 5
# encodings that anndata 0.10 reads
ENCODINGS = {
    "anndata",
    "dict",
    "dataframe",
    "categorical",
    "array",
    "string-array",
    "csr_matrix",
    "string",
    "numeric-scalar",
}
GIVEN = {
    "mu": np.array([0.5, 5.0, 50.0, 500.0, 5000.0]),
    "p": np.array(0.9),
    "gate": np.array([0.0, 0.1, 0.2, 0.3, 0.9]),
    "p_capture": np.linspace(0.1, 1.0, CELLS),
}


def simulate(
    folder: Path, *more: str, recipe: str = "zinbvcp", sizes=("--cells", CELLS, "--genes", GENES), name="f.h5ad"
):
    """(exit code, path) of a quiet run; `sizes` may be --like DATA."""
    path = folder / name
    return main(["simulate", "--recipe", recipe, *map(str, sizes), "-o", str(path), "-q", *map(str, more)]), path


def params(folder: Path, **changes) -> Path:
    """GIVEN as .npz, with some values changed, or left out where they are None."""
    values = {name: value for name, value in (GIVEN | changes).items() if value is not None}
    np.savez(folder / "params.npz", **values)
    return folder / "params.npz"


def left(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


@pytest.fixture
def data(tmp_path) -> Path:
    """Counts to be like: two cells of one name, a batch, an empty cell."""
    counts = np.random.default_rng(0).poisson(3.0, (6, 4))
    counts[2] = 0
    obs = pd.DataFrame(
        {"batch": list("bababa"), "depth": np.arange(1.0, 7.0)},
        index=pd.Index(["a", "b", "a", "c", "d", "e"], dtype=object),
    )
    var = pd.DataFrame(index=pd.Index(["W", "X", "Y", "Z"], dtype=object))
    path = tmp_path / "like.h5ad"
    with pytest.warns(UserWarning, match="not unique"):
        anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, var).write_h5ad(path)
    return path


def test_prior_draw_with_its_truth(tmp_path, capsys):
    code, path = simulate(tmp_path, "--seed", 3)
    assert (code, capsys.readouterr()) == (0, (f"{path}\n", ""))
    found = anndata.read_h5ad(path)
    assert found.shape == (CELLS, GENES) and list(found.obs_names[[0, -1]]) == ["cell_1", f"cell_{CELLS}"]
    obs, var = found.obs, found.var
    phi, p = found.uns["true_phi"], found.uns["true_p"]
    np.testing.assert_allclose([p, *var.true_r], [1 / (1 + phi), *(var.true_mu * phi)], rtol=1e-12)
    np.testing.assert_allclose(obs.true_p_capture, np.exp(-obs.true_eta_capture), rtol=1e-12)
    np.testing.assert_allclose(obs.true_phi_capture, np.expm1(obs.true_eta_capture), rtol=1e-12)
    assert ((var.true_gate > 0) & (var.true_gate < 1)).all()
    assert found.uns["simulation"]["seed"] == 3 and found.uns["simulation"]["parameters"] == "prior"
    assert left(tmp_path) == {path.name}


@pytest.mark.parametrize(
    "recipe, more, library",
    [
        ("nbvcp", (), 10_000.0),
        ("nbvcp", ("--set", "priors.organism=ecoli"), 150.0),
        ("nbvcp", ("--set", "priors={capture_efficiency: [9.0, 0.2]}"), 0.05 * np.exp(9.0)),
        ("nbdm", (), None),
    ],
)
def test_library_sizes_without_data(recipe, more, library, tmp_path):
    """L_c = .05 M_0, the prior's location of capture, where a prior needs it."""
    code, path = simulate(tmp_path, *more, recipe=recipe)
    obs = anndata.read_h5ad(path).obs
    assert code == 0
    if library is None:
        assert obs.shape[1] == 0
    else:
        np.testing.assert_allclose(obs.library_size, library, rtol=1e-12)
        np.testing.assert_allclose(obs.true_eta_capture.mean(), -np.log(0.05), atol=5 * 0.3 / CELLS**0.5)


def test_equal_seeds_are_equal_bytes(tmp_path):
    contents = [
        simulate(tmp_path, "--seed", seed, name=f"{i}.h5ad")[1].read_bytes() for i, seed in enumerate((1, 1, 2))
    ]
    assert contents[0] == contents[1] != contents[2]


def test_given_parameters_are_the_truth(tmp_path):
    code, path = simulate(tmp_path, "--params", params(tmp_path), recipe="zinbvcp")
    found = anndata.read_h5ad(path)
    assert code == 0 and found.uns["simulation"]["parameters"] == "given"
    np.testing.assert_allclose(found.var.true_mu, GIVEN["mu"], rtol=1e-12)
    np.testing.assert_allclose(found.var.true_gate, GIVEN["gate"], rtol=1e-12)
    np.testing.assert_allclose(found.obs.true_p_capture, GIVEN["p_capture"], rtol=1e-12)
    np.testing.assert_allclose(found.uns["true_phi"], 1 / 9, rtol=1e-12)
    assert "library_size" not in found.obs


def test_counts_have_the_moments_of_the_model(tmp_path):
    """Mean of a gene over cells, against 5 standard errors of gate, NB and capture; seldom zero without a gate."""
    n, p = 4000, 0.9
    nu = np.linspace(0.1, 1.0, n)
    code, path = simulate(tmp_path, "--params", params(tmp_path, p_capture=nu), sizes=("--cells", n, "--genes", GENES))
    counts = anndata.read_h5ad(path).X.toarray()
    mean = np.outer(nu, GIVEN["mu"])
    variance = mean * (1 + nu[:, None] * p / (1 - p))
    open_ = 1 - GIVEN["gate"]
    variance = open_ * (variance + mean**2) - (open_ * mean) ** 2
    assert code == 0
    assert (np.abs(counts.mean(0) - open_ * mean.mean(0)) < 5 * np.sqrt(variance.sum(0)) / n).all()
    share = (counts[:, 3:] == 0).mean(0)
    np.testing.assert_allclose(share, GIVEN["gate"][3:], atol=5 * 0.5 / n**0.5)


def test_written_as_older_readers_want_it(tmp_path):
    """Encodings, filters, and one integer type for indices and pointers, which SciPy asks of them."""
    path = simulate(tmp_path)[1]
    with h5py.File(path) as file:
        found = {file.attrs["encoding-type"]}

        def look(name, element):
            if "encoding-type" in element.attrs:
                found.add(element.attrs["encoding-type"])
            if isinstance(element, h5py.Dataset) and element.chunks:
                assert element.compression in (None, "gzip"), name

        file.visititems(look)
        assert found <= ENCODINGS
        assert file["X/indptr"].dtype == file["X/indices"].dtype == file["X/data"].dtype == np.int32
    matrix = anndata.read_h5ad(path).X
    assert matrix.has_canonical_format and matrix.tocoo().nnz == matrix.nnz


def test_a_fit_reads_it(tmp_path):
    path = simulate(tmp_path, recipe="nbdm")[1]
    counts = CountData.build(readers.open_source(path))
    np.testing.assert_array_equal(counts.csr.toarray(), anndata.read_h5ad(path).X.toarray())


def test_like_takes_names_and_library_sizes(tmp_path, data):
    code, path = simulate(tmp_path, "--dataset-key", "batch", recipe="nbvcp", sizes=("--like", data))
    found, model = anndata.read_h5ad(path), CountData.build(readers.open_source(data))
    assert (
        code == 0
        and list(found.obs_names) == ["a", "b", "a-1", "c", "d", "e"]
        and list(found.var_names) == list("WXYZ")
    )
    np.testing.assert_array_equal(found.obs.library_size, model.total)
    assert list(found.obs.batch) == list("bababa")
    expected = np.log(200_000) - np.log(np.maximum(1, found.obs.library_size))
    assert (np.abs(found.obs.true_eta_capture - expected) < 5 * 0.3).all()


def test_like_selects_as_a_fit_does(tmp_path, data):
    settings = ("--set", "data.where={batch: [a]}", "--set", "data.genes=[X, Z]", "--set", "data.library_size=depth")
    code, path = simulate(tmp_path, *settings, recipe="nbvcp", sizes=("--like", data))
    found = anndata.read_h5ad(path)
    assert code == 0 and list(found.obs_names) == ["b", "c", "e"] and list(found.var_names) == ["X", "Z"]
    np.testing.assert_array_equal(found.obs.library_size, [2.0, 4.0, 6.0])


def test_datasets_without_data_take_turns(tmp_path):
    path = simulate(tmp_path, "--dataset-key", "batch")[1]
    assert list(anndata.read_h5ad(path).obs.batch) == ["dataset_0", "dataset_1"] * (CELLS // 2)


def test_a_data_block_without_data_is_told(tmp_path, capsys):
    (tmp_path / "r.yaml").write_text("model: nbdm\ndata: {min_cells: 3}\n")
    args = [
        "simulate",
        "--recipe",
        str(tmp_path / "r.yaml"),
        "--cells",
        "3",
        "--genes",
        "2",
        "-o",
        str(tmp_path / "f.h5ad"),
    ]
    assert main(args) == 0 and "recipe's data" in capsys.readouterr().err


REFUSED = [
    (("--params", "missing.npz"), 66, "no such file"),
    (("--set", "model=nbvpc"), 78, "nbvcp"),
    (("--layer", "counts"), 78, "data.layer"),
    (("--set", "data.min_cells=2"), 78, "data.min_cells"),
    (("--set", "n_components=2", "--set", "annotation_key=type"), 78, "annotation_key"),
    (("--transpose",), 2, "--like"),
]


@pytest.mark.parametrize("more, code, said", REFUSED)
def test_refused(more, code, said, tmp_path, capsys):
    found = simulate(tmp_path, *more)[0]
    out, err = capsys.readouterr()
    assert (found, out, err.count("\n"), left(tmp_path)) == (code, "", 1, set()) and said in err


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"gate": None}, "parameter gate is missing"),
        ({"p_capture": None}, "capture parameter (cell,) is missing"),
        ({"p": None}, "needed are mu, phi; or"),
        ({"mu": np.ones(3)}, "shape (3,)"),
        ({"mu": np.array([1.0, 2.0, -3.0, 4.0, 5.0])}, "mu[2] is -3.0"),
        ({"gates": np.ones(GENES)}, 'did you mean "gate"'),
    ],
)
def test_parameters_in_part_or_wrong_are_refused(changes, said, tmp_path, capsys):
    file = params(tmp_path, **changes)
    code, _ = simulate(tmp_path, "--params", file)
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n"), left(tmp_path)) == (65, "", 1, {file.name}) and said in err


@pytest.mark.parametrize(
    "name, code, said",
    [("no/such/f.h5ad", 73, "No such file"), ("d.h5ad", 73, "no regular file"), ("f.zarr", 2, "f.h5ad")],
)
def test_outputs_that_cannot_be(name, code, said, tmp_path, capsys):
    (tmp_path / "d.h5ad").mkdir()
    assert simulate(tmp_path, name=name)[0] == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err and left(tmp_path) == {"d.h5ad"}


@pytest.mark.parametrize("flag", ["--like", "--params"])
def test_inputs_are_not_overwritten(flag, tmp_path, data, capsys):
    before = data.read_bytes()
    sizes = ("--like", data) if flag == "--like" else ("--cells", 2, "--genes", 2, "--params", data)
    assert simulate(tmp_path, sizes=sizes, name=data.name)[0] == 2
    assert "which is read" in capsys.readouterr().err and data.read_bytes() == before


@pytest.mark.parametrize(
    "error, code",
    [(OSError(errno.ENOSPC, "No space left on device"), 74), (MemoryError(), 137), (KeyboardInterrupt(), 130)],
)
def test_a_run_that_fails_leaves_the_older_file(error, code, tmp_path, monkeypatch, capsys):
    path = simulate(tmp_path)[1]
    before, counts = path.read_bytes(), core.Simulation.counts

    def failing(simulation, **how):
        yield from counts(simulation, **how)
        raise error

    monkeypatch.setattr(core.Simulation, "counts", failing)
    assert simulate(tmp_path, "--seed", 9)[0] == code
    assert path.read_bytes() == before and left(tmp_path) == {path.name}


def test_jax_waits_for_the_device_settings():
    code = "import sys, scribe_cli.run.simulate; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_room(tmp_path, monkeypatch, capsys):
    """Judged by what the first block of cells took."""
    block = scipy.sparse.csr_array(np.ones((1, GENES), np.int32))
    monkeypatch.setattr(core.Simulation, "counts", lambda self, **_: ((i, block) for i in range(CELLS)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    assert simulate(tmp_path)[0] == 73
    err = capsys.readouterr().err
    assert "GB are free" in err and err.count("\n") == 1 and left(tmp_path) == set()
