"""testdata/: the script makes the files again, and they are one data set in two forms, for which the truth is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import anndata
import numpy as np
import pytest

from scribe_cli.cli.main import main
from scribe_cli.data.counts import CountData
from scribe_cli.io import readers

FOLDER = Path(__file__).parent.parent / "testdata"
FORMS = ("small.h5ad", "small_mtx")


@pytest.fixture(scope="module")
def small() -> anndata.AnnData:
    return anndata.read_h5ad(FOLDER / "small.h5ad")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_testdata", FOLDER / "make_testdata.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_makes_them_again(script, small, tmp_path, capsys):
    script.make(tmp_path)
    assert (tmp_path / "small.params.yaml").read_text() == (FOLDER / "small.params.yaml").read_text()
    for form in FORMS:
        made, kept = (CountData.build(readers.open_source(folder / form)) for folder in (tmp_path, FOLDER))
        np.testing.assert_array_equal(made.csr.toarray(), kept.csr.toarray())
    made = anndata.read_h5ad(tmp_path / "small.h5ad")
    for kept, again in ((small.obs, made.obs), (small.var, made.var)):
        assert list(kept.index) == list(again.index)
        np.testing.assert_allclose(kept.to_numpy(float), again.to_numpy(float), rtol=1e-12)


def test_mtx_holds_the_same_counts(small):
    mtx, h5ad = (CountData.build(readers.open_source(FOLDER / form)) for form in reversed(FORMS))
    np.testing.assert_array_equal(mtx.csr.toarray(), h5ad.csr.toarray())
    np.testing.assert_array_equal(mtx.csr.toarray(), small.X.toarray())
    assert list(mtx.cell_names) == list(small.obs_names) and list(mtx.gene_names) == list(small.var_names)


def test_gzip_holds_no_time():
    for file in (FOLDER / "small_mtx").iterdir():
        assert file.read_bytes()[4:8] == bytes(4)


def test_they_are_light_and_look_like_cells(small):
    """What a demonstration needs: sizes, library sizes, means from rare to frequent, gates where the truth says so."""
    assert sum(f.stat().st_size for f in FOLDER.rglob("*") if f.is_file()) < 3e6
    counts = small.X.toarray()
    assert 1200 < np.median(counts.sum(1)) < 1800
    means = counts.mean(0)
    assert 0.05 < means.min() < 0.2 and 45 < means.max() < 75
    frequent = small.var.true_mu * small.obs.true_p_capture.median() > 10
    zeros = (counts == 0).mean(0)
    np.testing.assert_allclose(zeros[frequent], small.var.true_gate[frequent], atol=0.1)
    assert 0.01 < small.var.true_gate.min() < 0.05 and 0.3 < small.var.true_gate.max() < 0.6


def test_truth_is_scored_above_other_parameters(small, tmp_path, capsys):
    """The params file and the counts belong together: the model's own point beats one with half the dispersion."""
    text = (FOLDER / "small.params.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("phi: 0.005", "phi: 0.01"))
    totals = []
    for file in (FOLDER / "small.params.yaml", tmp_path / "other.yaml"):
        assert main(["score", str(FOLDER / "small.h5ad"), "--recipe", "zinbvcp", "--params", str(file), "-q"]) == 0
        totals.append(float(capsys.readouterr().out))
    assert totals[0] > totals[1] + 100


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_opens_them(form, tmp_path, capsys):
    assert main(["fit", str(FOLDER / form), "--recipe", "zinbvcp", "-o", str(tmp_path / "out"), "--dry-run", "-q"]) == 0
    assert capsys.readouterr().err == "" and not (tmp_path / "out").exists()
