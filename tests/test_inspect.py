"""`scribe inspect`: the right matrix, the problems, and a recipe that runs; whatever the chunks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scribe_cli.cli.main import main
from scribe_cli.data import inspection
from scribe_cli.errors import BadData, DeviceUnavailable
from scribe_cli.io.readers import open_source
from scribe_cli.run.inspect import inspect
from scribe_cli.run.inspecting import report
from scribe_cli.run.options import InspectOptions, Machine
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console

TESTDATA = Path(__file__).parent.parent / "testdata"
N_CELLS, N_GENES = 240, 60
RNG = np.random.default_rng(3)
# of cells that differ 4-fold in size, deep enough that nothing is to be said against them
COUNTS = RNG.poisson(np.outer(RNG.uniform(0.5, 2, N_CELLS), RNG.uniform(5, 40, N_GENES))).astype(np.float32)
GENES = [f"gene{i}" for i in range(N_GENES)]
LOGGED = np.log1p(COUNTS / COUNTS.sum(1, keepdims=True) * 1e4)


def adata(x=COUNTS, obs=None, genes=GENES, **more) -> anndata.AnnData:
    cells = pd.Index([f"c{i}" for i in range(x.shape[0])], dtype=object)
    obs = pd.DataFrame(obs or {}, index=cells)
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that stand twice, which some of these must have
        return anndata.AnnData(csr_matrix(x), obs=obs, var=var, **more)


def looked(folder: Path, data: anndata.AnnData, **how) -> dict:
    """What inspect finds, as its JSON says it."""
    data.write_h5ad(folder / "x.h5ad")
    return report.as_json(inspect(InspectOptions(folder / "x.h5ad", **how), Console(quiet=True)))


def problems(found: dict) -> set[str]:
    """Their names; that all 60 genes are few is true of every file here."""
    return {p["name"] for p in found["problems"]} - {"few_genes"}


def recipe(found: dict) -> config.Config:
    return config.load(json.loads(json.dumps(config.recipe_file.yaml12.parse(found["recipe"], "suggested").value)))


def with_raw(x, raw) -> anndata.AnnData:
    data = adata(raw)
    data.raw = data.copy()
    data.X = csr_matrix(x)
    return data


# which matrix

RIGHT = {
    "X": (lambda: adata(), "X"),
    "X before a layer": (lambda: adata(layers={"counts": csr_matrix(COUNTS)}), "X"),
    "a layer called counts": (
        lambda: adata(LOGGED, layers={"a": csr_matrix(COUNTS), "counts": csr_matrix(COUNTS)}),
        "layers/counts",
    ),
    "a layer that says counts and is none": (
        lambda: adata(LOGGED, layers={"counts": csr_matrix(LOGGED), "spliced": csr_matrix(COUNTS)}),
        "layers/spliced",
    ),
    ".raw": (lambda: with_raw(LOGGED - 1, COUNTS), "raw/X"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_the_matrix_of_counts_is_found_and_named_in_the_recipe(tmp_path, case):
    make, element = RIGHT[case]
    found = looked(tmp_path, make())
    assert found["counts"]["element"] == element
    layer = None if element == "X" else found["counts"]["layer"]
    assert recipe(found).data.layer == layer
    assert ("x_is_no_counts" in problems(found)) == (element != "X")
    source = open_source(tmp_path / "x.h5ad", layer)
    assert source.element == element


def test_without_x_the_layer_is_found(tmp_path):
    adata(layers={"counts": csr_matrix(COUNTS)}).write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        del file["X"]
    found = inspect(InspectOptions(tmp_path / "x.h5ad"), Console(quiet=True))
    assert found.counts.matrix.element == "layers/counts" and "layer: counts" in found.recipe


def test_a_layer_that_is_asked_for_is_the_only_choice(tmp_path):
    data = adata(layers={"log": csr_matrix(LOGGED)})
    found = looked(tmp_path, data, layer="log")
    assert found["counts"] is None and found["recipe"] is None and problems(found) == {"no_counts"}


WORDS = {
    "log-normalised": LOGGED,
    "normalised": COUNTS / COUNTS.sum(1, keepdims=True) * 1e4,
    "scaled": (LOGGED - LOGGED.mean(0)) / LOGGED.std(0),
    "logged": np.log2(1 + COUNTS * RNG.uniform(0.5, 2, N_GENES)),
    "estimated": np.where(RNG.random(COUNTS.shape) < 0.3, COUNTS + 0.37, COUNTS),
    "damaged": np.where(COUNTS == COUNTS.max(), np.nan, COUNTS),
    "nothing": COUNTS * 0,
    "too large": COUNTS.astype(np.float64) * 2**31,
}


@pytest.mark.parametrize("word", WORDS)
def test_what_is_no_counts_is_said_in_words_and_is_no_failure(tmp_path, word, capsys):
    adata(WORDS[word]).write_h5ad(tmp_path / "x.h5ad")
    assert main(["inspect", str(tmp_path / "x.h5ad"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (matrix,) = found["matrices"]
    assert matrix["holds"] == word and matrix["reason"] and not matrix["counts"]
    assert problems(found) == {"no_counts"} and found["recipe"] is None


def test_the_numbers_are_those_of_the_matrix_whatever_the_chunks(tmp_path, monkeypatch):
    first = looked(tmp_path, adata())
    (matrix,), counts = first["matrices"], first["counts"]
    assert (matrix["minimum"], matrix["maximum"]) == (COUNTS.min(), COUNTS.max())
    assert matrix["zeros"] == pytest.approx((COUNTS == 0).mean())
    assert counts["nonzero"] == np.count_nonzero(COUNTS) and counts["ones"] == pytest.approx(
        (COUNTS == 1).sum() / counts["nonzero"]
    )
    for name, values in {
        "counts_of_cells": COUNTS.sum(1),
        "genes_of_cells": (COUNTS > 0).sum(1),
        "counts_of_genes": COUNTS.sum(0),
        "cells_of_genes": (COUNTS > 0).sum(0),
    }.items():
        assert list(counts[name].values()) == pytest.approx(np.quantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    monkeypatch.setattr(inspection, "CHUNK_VALUES", 7 * N_GENES)
    monkeypatch.setattr(inspection, "GLANCE_VALUES", 1 << 30)
    assert looked(tmp_path, adata()) == first


def test_a_large_matrix_is_glanced_at_and_the_one_chosen_is_read_whole(tmp_path, monkeypatch):
    """X spoiled where no glance falls: the glance takes it for counts, the tour does not."""
    monkeypatch.setattr(inspection, "CHUNK_VALUES", 8 * N_GENES)
    monkeypatch.setattr(inspection, "GLANCE_VALUES", 32 * N_GENES)
    read = []
    kept = inspection._values
    monkeypatch.setattr(inspection, "_values", lambda raw, first, place: read.append(first) or kept(raw, first, place))
    adata().write_h5ad(tmp_path / "x.h5ad")
    glance = inspection.glance(open_source(tmp_path / "x.h5ad"))
    assert not glance.exact and len(read) == 4 and read[0] == 0 and read[-1] == N_CELLS - 8
    spoiled = COUNTS.copy()
    spoiled[next(i for i in range(0, N_CELLS, 8) if i not in read)] += 0.5
    found = looked(tmp_path, adata(spoiled, layers={"counts": csr_matrix(COUNTS)}))
    assert [(m["holds"], m["all_read"]) for m in found["matrices"]] == [("estimated", True), ("counts", True)]
    assert found["counts"]["element"] == "layers/counts"


# problems

LABELS = np.where(np.arange(N_CELLS) < 120, "a", "b")
TYPES = np.array(["T", "B", "unknown"])[np.arange(N_CELLS) % 3]


def renamed(*names: str) -> list[str]:
    return [*names, *GENES[len(names) :]]


def emptied(rows=(), columns=()) -> np.ndarray:
    x = COUNTS.copy()
    x[list(rows)], x[:, list(columns)] = 0, 0
    return x


PROBLEMS = {
    "duplicate_gene_names": lambda: adata(genes=renamed("gene7")),
    "names_are_ids": lambda: adata(genes=[f"ENSMUSG{i:011d}.2" for i in range(N_GENES)]),
    "empty_cells": lambda: adata(emptied(rows=[4])),
    "empty_genes": lambda: adata(emptied(columns=[4])),
    "few_cells": lambda: adata(COUNTS[:50]),
    "shallow": lambda: adata(np.minimum(COUNTS, 2)),
    "equal_totals": lambda: adata(np.tile(COUNTS[:1], (N_CELLS, 1))),
    "reads": lambda: adata(COUNTS * 100),
    "part_of_the_genes": lambda: adata(obs={"n_counts": COUNTS.sum(1) * 3}),
    "spike_ins": lambda: adata(genes=renamed("ERCC-00002")),
    "confounded": lambda: adata(obs={"sample": LABELS, "cell_type": np.where(LABELS == "a", "T", "B")}),
    "small_datasets": lambda: adata(obs={"sample": ["a"] * 10 + ["b"] * 230}),
    "cells_without_dataset": lambda: adata(obs={"sample": pd.Categorical([None, *LABELS[1:]])}),
    "unlabelled_cells": lambda: adata(obs={"cell_type": TYPES}),
    "doublets": lambda: adata(obs={"predicted_doublet": np.arange(N_CELLS) < 9}),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_named_and_alone_and_has_a_remedy(tmp_path, name):
    found = looked(tmp_path, PROBLEMS[name]())
    assert problems(found) == {name}
    (problem,) = [p for p in found["problems"] if p["name"] == name]
    assert problem["what"] and problem["do"] and "\n" not in problem["what"] + problem["do"]
    recipe(found).resolve()


def test_good_data_have_no_problem(tmp_path):
    found = looked(tmp_path, adata(obs={"batch": LABELS, "cell_type": np.where(np.arange(N_CELLS) % 2, "T", "B")}))
    assert problems(found) == set()


def test_an_unfiltered_matrix_is_recognised(tmp_path):
    x = np.zeros((400, 6000), np.float32)
    x[:300, :3] = 1
    x[300:] = RNG.poisson(1.0, (100, 6000))
    assert {"empty_droplets"} == problems(looked(tmp_path, adata(x, genes=[f"g{i}" for i in range(6000)]))) - {
        "empty_genes"
    }


def test_earlier_results_are_seen(tmp_path):
    data = adata()
    data.var["mine_fitted"] = data.var["mine_ok"] = True
    found = looked(tmp_path, data)
    assert problems(found) == {"earlier_results"} and "--key-added mine" in found["problems"][-1]["do"]


@pytest.mark.parametrize("gene", ["ERCC1", "Ercc5", "ERCC6L2", "MERCC-1"])
def test_genes_that_sound_like_spike_ins_are_genes(tmp_path, gene):
    assert problems(looked(tmp_path, adata(genes=renamed(gene)))) == set()


@pytest.mark.parametrize("prefix", ["ERCC-", "gERCC-", "ERCC_row"])
def test_spike_ins_and_mitochondrial_genes_are_counted(tmp_path, prefix):
    names = renamed(f"{prefix}1", f"{prefix}2", "MT-CO1", "mt-Nd1", "MTOR")
    marked = looked(tmp_path, adata(genes=names))["counts"]["marked_genes"]
    assert marked["spike-in"]["genes"] == names[:2] and marked["mitochondrial"]["genes"] == names[2:4]
    assert marked["spike-in"]["share_of_counts"] == pytest.approx(COUNTS[:, :2].sum() / COUNTS.sum())


def test_spike_ins_do_not_hide_a_true_library_size(tmp_path):
    """Larger than the genes' counts, smaller than those with the spike-ins."""
    x = COUNTS.copy()
    x[:, 0] = 10 * COUNTS.sum(1)
    data = adata(x, obs={"library_size": COUNTS[:, 1:].sum(1) * 2}, genes=renamed("ERCC-00002"))
    found = looked(tmp_path, data)
    assert {"part_of_the_genes", "spike_ins"} <= problems(found)
    assert found["counts"]["columns"][0]["ratio"] == pytest.approx(2)


# columns of obs


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("batch", "dataset"),
        ("orig.ident", "dataset"),
        ("sampleID", "dataset"),
        ("Sample ID", "dataset"),
        ("donor_id", "dataset"),
        ("cellType", "cell type"),
        ("cell_type_fine", "cell type"),
        ("leiden_0.5", "cell type"),
        ("phase", None),
        ("sex", None),
    ],
)
def test_columns_are_known_by_their_names(tmp_path, column, kind):
    found = looked(tmp_path, adata(obs={column: LABELS}))["counts"]["columns"]
    if kind is None:
        assert found == []
    else:
        assert [(c["name"], c["kind"], c["levels"]) for c in found] == [(column, kind, {"a": 120, "b": 120})]


@pytest.mark.parametrize(
    "values", [["one"] * N_CELLS, [f"b{i}" for i in range(N_CELLS)], list(np.linspace(0, 1, N_CELLS))]
)
def test_a_column_that_does_not_divide_the_cells_is_no_dataset(tmp_path, values):
    found = looked(tmp_path, adata(obs={"batch": values}))
    assert found["counts"]["columns"] == [] and recipe(found).dataset_key is None


# the recipe

SUGGESTED = {
    "model: nbdm where cells are alike": (lambda: adata(RNG.poisson(20, COUNTS.shape)), {"model": "nbdm"}),
    "model: nbvcp where they are not": (lambda: adata(), {"model": "nbvcp"}),
    "dataset_key": (lambda: adata(obs={"plate": LABELS, "batch": LABELS}), {"dataset_key": "batch"}),
    "where": (
        lambda: adata(obs={"doublet": np.array(["SNG", "DBL"])[(np.arange(N_CELLS) < 20) * 1]}),
        {"data": {"where": {"doublet": ["SNG"]}}},
    ),
    "where, of true and false": (
        lambda: adata(obs={"is doublet": np.arange(N_CELLS) < 20}),
        {"data": {"where": {"is doublet": ["False"]}}},
    ),
    "min_cells": (lambda: adata(emptied(columns=range(30))), {"data": {"min_cells": 3}}),
    "no dataset_key that coincides with types": (PROBLEMS["confounded"], {}),
    "no dataset_key that cells lack": (PROBLEMS["cells_without_dataset"], {}),
}


@pytest.mark.parametrize("case", SUGGESTED)
def test_the_recipe_has_what_the_data_ask_for(tmp_path, case):
    make, keys = SUGGESTED[case]
    found = looked(tmp_path, make())
    given = recipe(found).given()
    assert {"model": "nbvcp", **keys} == {
        k: v for k, v in given.items() if k not in ("parameterization", "unconstrained")
    }


def test_the_recipe_guesses_no_organism_and_every_line_fits_a_terminal(tmp_path):
    for name, make in {**PROBLEMS, **{k: v[0] for k, v in SUGGESTED.items()}}.items():
        found = looked(tmp_path, make())
        assert recipe(found).priors == {}, name
        assert all(len(line) <= 78 for line in found["recipe"].splitlines()), name
        assert re.search(r"^model: .* # library sizes", found["recipe"], re.MULTILINE)


def test_flags_go_into_the_recipe_and_the_command(tmp_path):
    data = adata(COUNTS.T, obs={"strange": ["x", "y"] * 30}, genes=[f"c{i}" for i in range(N_CELLS)])
    data.var["plan"] = LABELS
    found = looked(tmp_path, data, transpose=True, dataset_key="plan")
    assert (found["n_cells"], found["n_genes"]) == (N_CELLS, N_GENES)
    assert recipe(found).dataset_key == "plan" and found["command"].endswith("--recipe x.yaml --transpose")


def test_the_suggested_recipe_runs(tmp_path, capsys):
    """On data that need each key of it: a layer, datasets, doublets, rare genes, names that want quotes in YAML."""
    x = COUNTS.copy()
    x[2:, :10] = 0
    obs = {"batch: no": np.where(np.arange(N_CELLS) % 2, "yes", "1"), "doublet": ["singlet"] * 220 + ["doublet"] * 20}
    path = tmp_path / "a b.h5ad"
    adata(LOGGED, obs=obs, layers={"raw counts": csr_matrix(x)}).write_h5ad(path)
    assert main(["inspect", str(path), "-q", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (tmp_path / "r.yaml").write_text(found["recipe"])
    out = tmp_path / "out"
    fewer = ["--set", "svi.n_samples=20", "--set", "output.ppc_samples=20", "--set", "output.layers=[]"]
    assert main(["fit", str(path), "-q", "--recipe", str(tmp_path / "r.yaml"), "-o", str(out), *fewer]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["n_cells"], metrics["n_genes"]) == (220, 50)
    resolved = (out / "recipe.resolved.yaml").read_text()
    assert 'layer: "raw counts"' in resolved and 'dataset_key: "batch: no"' in resolved


# the command


def test_the_report_is_read_from_top_to_bottom(capsys):
    path = TESTDATA / "small.h5ad"
    assert main(["inspect", str(path), "-q"]) == 0
    out, err = capsys.readouterr()
    heads = [
        "300 cells x 120 genes",
        "Matrices",
        "Spread",
        "Problems",
        "Suggested recipe",
        f"scribe fit {path} --recipe small.yaml",
    ]
    assert err == "" and [out.index(head) for head in heads] == sorted(out.index(head) for head in heads)
    assert all(len(line) <= 80 for line in out.splitlines() if str(path) not in line)


def test_mtx_and_h5ad_of_the_same_counts_are_alike(tmp_path):
    found = [
        report.as_json(inspect(InspectOptions(TESTDATA / name), Console(quiet=True)))
        for name in ("small.h5ad", "small_mtx")
    ]
    assert found[0]["counts"] == found[1]["counts"] and found[0]["recipe"] == found[1]["recipe"]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nowhere.h5ad"], 66, "nowhere.h5ad: no such file"),
        (["--layer", "lost", str(TESTDATA / "small.h5ad")], 65, 'no layer "lost"'),
        (["--dataset-key", "lost", str(TESTDATA / "small.h5ad")], 65, 'no obs column "lost"'),
        ([str(Path(__file__))], 65, "is no table"),
    ],
)
def test_what_cannot_be_inspected_is_refused_in_a_line(args, code, said, capsys):
    assert main(["inspect", "-q", *args]) == code
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1


def test_a_file_without_a_readable_matrix_is_bad_data(tmp_path):
    adata().write_h5ad(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        file["X/indices"][0] = 10**6
    with pytest.raises(BadData, match="indices run"):
        inspect(InspectOptions(tmp_path / "x.h5ad"), Console(quiet=True))


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    def none(machine):
        raise DeviceUnavailable("--device gpu: none")

    monkeypatch.setattr("scribe_cli.run.device.start", none)
    with pytest.raises(DeviceUnavailable):
        inspect(InspectOptions(TESTDATA / "small.h5ad", machine=Machine("gpu")), Console(quiet=True))


def test_jax_is_not_loaded():
    code = f"""
import sys
from scribe_cli.cli.main import main
assert main(["inspect", "-q", {str(TESTDATA / "small.h5ad")!r}]) == 0
assert "jax" not in sys.modules and "numpyro" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
