"""One matrix in every input form is one data set: the same counts, the same names, the same score to the bit."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
import xarray

from scribe_cli.cli.main import main
from scribe_cli.data.counts import CountData
from scribe_cli.io.readers import open_source
from tests import forms
from tests.forms import CELLS, COUNTS, FORMS, GENES

# what anndata and zarr say when older forms are written
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> list[str]:
    """The words of a score: a model with capture, its parameters."""
    folder = tmp_path_factory.mktemp("asked")
    (folder / "r.yaml").write_text("model: nbvcp\nparameterization: canonical\n")
    rng = np.random.default_rng(1)
    r, p_capture = rng.gamma(2.0, 1.0, len(GENES)), rng.beta(2.0, 5.0, len(CELLS))
    np.savez(folder / "p.npz", r=r, p=0.37, p_capture=p_capture)
    return ["--recipe", str(folder / "r.yaml"), "--params", str(folder / "p.npz"), "--by", "cell", "-q"]


@pytest.fixture(scope="module")
def reference(asked, tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("reference")
    return scored(FORMS["csr-int32"], FORMS["csr-int32"].write(folder), asked, folder)


def scored(form, path, asked, folder) -> pd.DataFrame:
    table = folder / "score.tsv"
    assert main(["score", str(path), *asked, *form.flags, "-o", str(table)]) == 0
    return pd.read_csv(table, sep="\t", dtype=str)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_reads_and_scores_the_same(name, asked, reference, tmp_path):
    form = FORMS[name]
    path = form.write(tmp_path)
    source = open_source(path, form.layer, form.transpose)
    found = CountData.build(source)
    assert found.csr.dtype == np.int32 and np.array_equal(found.csr.toarray(), COUNTS)
    assert found.csr.has_sorted_indices and found.csr.data.all()
    if form.named:
        assert list(source.cell_names) == CELLS and list(source.gene_names) == GENES
    assert not found.warnings
    table = scored(form, path, asked, tmp_path)
    assert list(table["log_likelihood"]) == list(reference["log_likelihood"])
    if form.named:
        assert list(table["cell"]) == CELLS


# names that stand twice, in alphabets of all kinds, an empty cell and an empty gene
ODD = forms.Matrix(COUNTS, ["Zelle"] * 2 + CELLS[2:], ["β2m"] * 3 + GENES[3:])
ODD_FORMS = {
    "h5ad": lambda folder: forms.h5ad(folder, m=ODD),
    "10x": lambda folder: forms.tenx(folder, 3, ODD),
    "mtx": lambda folder: forms.mtx(folder, m=ODD),
    "csv": lambda folder: forms.text(folder, m=ODD),
}
RECIPE = """
model: nbdm
parameterization: mean_odds
unconstrained: true
svi: {n_samples: 20}
output: {ppc_samples: 20, layers: [ppc]}
"""


@pytest.mark.parametrize("form", ODD_FORMS)
def test_names_that_repeat_and_empty_cells_and_genes_are_kept_and_told(form, tmp_path):
    found = CountData.build(open_source(ODD_FORMS[form](tmp_path)))
    assert np.array_equal(found.csr.toarray(), COUNTS)
    assert list(found.cell_names) == ["Zelle", "Zelle-1", *CELLS[2:]]
    assert list(found.gene_names) == ["β2m", "β2m-1", "β2m-2", *GENES[3:]]
    assert "1 cell name stands more than once: Zelle;" in found.warnings["duplicate_cell_names"]
    assert "1 gene name stands more than once: β2m;" in found.warnings["duplicate_gene_names"]
    told, none = " ".join(found.notices), [int((COUNTS.sum(axis) == 0).sum()) for axis in (1, 0)]
    assert f"cells without a count in the fitted genes, kept: {none[0]}" in told
    assert f"genes without a count, kept: {none[1]}" in told and all(none)


@pytest.mark.parametrize("form", ["h5ad", "csv"])
def test_every_output_of_a_fit_on_them_opens_again(form, tmp_path, capsys):
    odd = ODD_FORMS[form](tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE)
    out = tmp_path / "out"
    assert main(["fit", str(odd), "--recipe", str(tmp_path / "r.yaml"), "-o", str(out), "-q"]) == 0
    err = capsys.readouterr().err
    assert "duplicate" not in err and "more than once: Zelle" in err and "more than once: β2m" in err
    fit = anndata.read_h5ad(out / "fit.h5ad")
    assert np.array_equal(fit.X.toarray(), COUNTS) and fit.layers["scribe_ppc"].shape == COUNTS.shape
    assert list(fit.obs_names) == ODD.cells and list(fit.var_names) == ODD.genes
    assert fit.var["scribe_mu_map"].notna().all() and "empty" in fit.var["scribe_reason"].iloc[-3]
    with xarray.open_datatree(out / "posterior.zarr", engine="zarr") as tree:
        assert list(tree["posterior"]["gene"].values) == ["β2m", "β2m-1", "β2m-2", *GENES[3:]]
    genes = pd.read_csv(out / "tables" / "gene.tsv.gz", sep="\t")
    assert list(genes["gene"]) == ["β2m", "β2m-1", "β2m-2", *GENES[3:]]
    tables = [pd.read_csv(file, sep="\t") for file in sorted((out / "tables").iterdir())]
    assert len(tables) == 6 and all(len(table) for table in tables)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["warning_duplicate_cell_names"] and metrics["warning_duplicate_gene_names"]
