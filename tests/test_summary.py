"""`scribe summary`: the digest and the rows say what the store says, for any axes, and no jax is loaded for it."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from scribe_cli.cli.main import main
from scribe_cli.core.axes import CELL, COMPONENT, DATASET, GENE
from scribe_cli.errors import BadData, InputMissing
from scribe_cli.io.fit import open_fit, write_fit
from scribe_cli.io.part import Part
from scribe_cli.run.options import SummaryOptions
from scribe_cli.run.summary import EXTREMES, every_row, summary
from scribe_cli.run.terminal.table import lines
from tests import fits

STATISTICS = ("map", "mean", "sd", "q05", "q50", "q95")


@pytest.fixture(scope="module")
def outs(tmp_path_factory):
    """{mixed: OUT} of two made-up fits, one with components and datasets."""
    made = {}
    for mixed in (False, True):
        folder = tmp_path_factory.mktemp("fit")
        data = fits.adata(n_cells=12, n_genes=9)
        fit = fits.outputs(fits.h5ad(folder, data), mixed=mixed)
        record = fits.record(resolved="model: nbvcp\n")
        metrics = {"converged": not mixed, "warning_not_converged": mixed, "warning_gpu_not_used": False}
        write_fit(folder / "out", dataclasses.replace(fit, record=record, metrics=lambda _, m=metrics: m))
        made[mixed] = folder / "out"
    return made


def as_dicts(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def titled(tables, start):
    return next(t for t in tables if t.title.startswith(start))


@pytest.mark.parametrize("mixed", [False, True])
def test_every_row_is_the_store(outs, mixed):
    stored = open_fit(outs[mixed])
    rows = as_dicts(every_row(stored))
    for name in stored.names:
        mine = [r for r in rows if r["parameter"] == name]
        axes, summarised = stored.axes(name), stored.summary(name)
        assert len(mine) == summarised.statistics["map"].size
        for index, row in zip(np.ndindex(summarised.statistics["map"].shape), mine, strict=True):
            labels = {a: stored.coords[a][i] for a, i in zip(axes, index, strict=True)}
            assert {a: row[a] for a in (COMPONENT, DATASET, GENE, CELL)} == {
                a: labels.get(a, "") for a in (COMPONENT, DATASET, GENE, CELL)
            }
            assert all(row[s] == summarised.statistics[s][index] for s in STATISTICS)


@pytest.mark.parametrize("mixed", [False, True])
def test_digest_has_globals_in_full_spread_and_extremes(outs, mixed):
    stored = open_fit(outs[mixed])
    tables = summary(SummaryOptions(outs[mixed]))
    shown = as_dicts(titled(tables, "Global"))
    scalars = [n for n in stored.names if not {GENE, CELL} & set(stored.axes(n))]
    assert len(shown) == sum(stored.point(n).size for n in scalars) and {r["parameter"] for r in shown} == set(scalars)
    assert shown[0]["q50"] == stored.summary(shown[0]["parameter"]).statistics["q50"].ravel()[0]
    spread = as_dicts(titled(tables, "Gene parameters, the MAP"))
    mu = [r for r in spread if r["parameter"] == "mu"]
    values = stored.point("mu").reshape(-1, 9)
    assert len(mu) == len(values)
    for row, of_genes in zip(mu, values, strict=True):
        found = [row[c] for c in ("min", "5%", "25%", "median", "75%", "95%", "max")]
        np.testing.assert_allclose(found, np.quantile(of_genes, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]))
    extremes = [r for r in as_dicts(titled(tables, "Gene parameters, the ext")) if r["parameter"] == "mu"]
    assert [r["map"] for r in extremes[:EXTREMES]] == sorted(stored.point("mu").ravel())[: -EXTREMES - 1 : -1]
    assert [r["map"] for r in extremes[EXTREMES : 2 * EXTREMES]] == sorted(stored.point("mu").ravel())[:EXTREMES]
    s = stored.summary("mu").statistics
    widest = np.argmax((s["q95"].astype(float) / s["q05"]).ravel())
    first = extremes[2 * EXTREMES]
    assert first["extreme"] == "uncertain" and first["map"] == s["map"].ravel()[widest]
    if mixed:
        at = np.unravel_index(widest, s["map"].shape)
        assert [first[a] for a in (COMPONENT, DATASET, GENE)] == [
            stored.coords[a][i] for a, i in zip((COMPONENT, DATASET, GENE), at, strict=True)
        ]


@pytest.mark.parametrize("mixed, said", [(False, ("yes", "none")), (True, ("no", "not_converged"))])
def test_heading_says_what_it_is_and_whether_to_trust_it(outs, mixed, said):
    heading = summary(SummaryOptions(outs[mixed]))[0]
    rows = dict(heading.rows)
    assert rows["model"] == "nbvcp, parameterization mean_odds" and rows["data"] == "12 cells x 9 genes"
    assert (
        rows["method"].startswith("svi, 50 draws")
        and rows["converged"] == said[0]
        and rows["warnings"].startswith(said[1])
    )
    assert rows["genes"] == "4 of 9 ok; 5 ppc (scribe_reason in var)"
    parts = {"components": "T cell, CD4/CD8", "datasets": "ctrl, stim, rest"} if mixed else {}
    assert {name: rows[name] for name in rows if name in ("components", "datasets")} == parts


def test_of_a_hierarchy_the_genes_of_the_largest_scale_are_shown(outs):
    stored = open_fit(outs[True])
    rows = as_dicts(titled(summary(SummaryOptions(outs[True])), "Gene parameters, the ext"))
    mine = [r for r in rows if r["parameter"] == "mu_dataset_lambda"]
    assert [r["extreme"] for r in mine] == ["largest"] * EXTREMES and {r["component"] for r in mine} == {""}
    assert [r["map"] for r in mine] == sorted(stored.point("mu_dataset_lambda"))[: -EXTREMES - 1 : -1]
    assert "r" not in {r["parameter"] for r in rows}  # derived: they follow from the rest


def test_tables_fit_the_terminal(outs):
    for table in summary(SummaryOptions(outs[True])):
        assert max(map(len, lines(table, "table", 80))) <= 80, table.title


def test_rows_of_a_part_have_its_labels(outs):
    stored = open_fit(outs[True])
    part = Part({COMPONENT: 1, DATASET: 2, CELL: np.array([2, 5]), GENE: np.array([7, 0])})
    rows = as_dicts(every_row(stored, part))
    assert {(r["parameter"], r[COMPONENT], r[DATASET], r[GENE]) for r in rows} == {
        *(("mu", "CD4/CD8", "rest", g) for g in ("g7", "g0")),
        *(("r", "CD4/CD8", "", g) for g in ("g7", "g0")),
        *((name, "", "", g) for name in ("gate", "mu_dataset_lambda") for g in ("g7", "g0")),
    }
    assert [r["map"] for r in rows if r["parameter"] == "mu"] == stored.point("mu")[1, 2, [7, 0]].tolist()
    cells = [r for r in as_dicts(every_row(stored, part.picks)) if r["parameter"] == "p_capture"]
    assert len(cells) == 12
    whole = [r for r in as_dicts(every_row(stored, Part({CELL: np.array([2, 5])}))) if r["parameter"] == "p_capture"]
    assert [r[CELL] for r in whole] == ["cell2", "cell5"] and [r["map"] for r in whole] == stored.point("p_capture")[[2, 5]].tolist()


def test_genes_restrict_both_forms_in_their_order(outs):
    for asked in (
        SummaryOptions(outs[False], genes=("g7", "g2")),
        SummaryOptions(outs[False], genes=("g7", "g2"), every_row=True),
    ):
        rows = as_dicts(summary(asked)[-1])
        assert [(r["parameter"], r["gene"]) for r in rows] == [
            ("mu", "g7"),
            ("mu", "g2"),
            ("gate", "g7"),
            ("gate", "g2"),
        ]
        stored = open_fit(outs[False])
        assert rows[0]["mean"] == stored.summary("mu").statistics["mean"][7]


def test_unknown_gene_and_missing_fit(outs, tmp_path):
    with pytest.raises(BadData, match=r'not in the fit: gene gg7 \(did you mean "g7"\?\)'):
        summary(SummaryOptions(outs[False], genes=("g1", "gg7")))
    with pytest.raises(InputMissing):
        summary(SummaryOptions(tmp_path / "nothing"))


def test_command_line(outs, capsys, tmp_path):
    assert main(["summary", str(outs[True])]) == 0
    out, err = capsys.readouterr()
    assert err == "" and all(
        word in out for word in ("Global parameters", "mixing_weights", "CD4/CD8", "MAP over 9 genes", "uncertain", "p_capture")
    )
    assert main(["summary", str(outs[False]), "--names", "descriptive", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {r["parameter"] for r in rows} == {
        "expression",
        "zero_inflation",
        "prob",
        "capture_prob",
        "capture_log_ratio",
    }
    file = tmp_path / "rows.tsv"
    assert main(["summary", str(outs[False] / "fit.h5ad"), "-o", str(file)]) == 0
    read = list(csv.DictReader(file.read_text().splitlines(), delimiter="\t"))
    assert [float(r["map"]) for r in read] == [r["map"] for r in rows]
    assert main(["summary", str(outs[False]), "--genes", "nope"]) == 65
    assert capsys.readouterr().err.count("\n") == 1


def test_no_jax_for_it(outs):
    code = (
        "import sys; from pathlib import Path\n"
        "from scribe_cli.run.summary import summary; from scribe_cli.run.options import SummaryOptions\n"
        f"[list(t.rows) for t in summary(SummaryOptions(Path({str(outs[False])!r})))]\n"
        "print(sorted({'jax', 'numpyro', 'pandas', 'anndata', 'xarray'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
