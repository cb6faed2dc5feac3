"""report.html: what its first screen says of fits of all kinds, that it is safe, and that it can be built again."""

from __future__ import annotations

import dataclasses
import hashlib
import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scribe_cli.cli.main import main
from scribe_cli.core.axes import CELL, GENE
from scribe_cli.core.model import derive
from scribe_cli.core.model.resolve import resolve
from scribe_cli.data.source import InMemory, Source
from scribe_cli.io import manifest
from scribe_cli.io.fit import open_fit, write_fit
from scribe_cli.io.outputs import Array, FitOutputs, Told
from scribe_cli.run.fitting import choice, misfit
from scribe_cli.run.fitting.metrics import WARNINGS, warning_flags
from scribe_cli.run.reporting import equations, genes, verdict, words
from scribe_cli.run.reporting.build import build
from scribe_cli.run.reporting.material import Material
from tests import fits, reports

RESOLVED = "model: nbdm\npriors: {}\n"
METRICS = {
    "svi": {"converged": True, "optimiser": "adam", "n_steps": 80, "elbo_gain_last_window": 1234.5, "elbo_noise_last_window": 3.0, "mode_steps": 4},
    "mcmc": {
        **{"converged": True, "rhat": 1.002, "ess_bulk": 900.0, "ess_tail": 800.0},
        **{"divergences": 0, "ebfmi": 0.9, "max_treedepth_hits": 0},
    },
}


def checks(names, p=0.5, **columns) -> dict[str, np.ndarray]:
    """The table ppc_gene of genes whose every statistic is 1 in a band from 0 to 2."""
    ends = {"obs": 1.0, "pred": 1.0, "q05": 0.0, "q95": 2.0, "p": p}
    table = {f"{s}_{end}": np.full(len(names), value) for s in misfit.STATISTICS for end, value in ends.items()}
    return {"gene": np.asarray(names, object)} | table | {k: np.asarray(v, float) for k, v in columns.items()}


def histograms(names) -> dict[str, np.ndarray]:
    """Three bins for each gene."""
    n = len(names)
    rows = {"count_from": [0, 1, 2], "count_to": [0, 1, 4], "obs": [5, 2, 0], "pred": [4.5, 2, 0.5], "q05": [3, 0, 0]}
    rows |= {"q95": [6, 4, 2]}
    return {"gene": np.repeat(np.asarray(names, object), 3)} | {k: np.tile(np.array(v, float), n) for k, v in rows.items()}


def made_up(folder: Path, names=("a", "b", "c"), method="svi", warned: Mapping = {}, told: Mapping | None = None, **changes):
    """A fit of 6 cells that never was, with its report. `changes` are of FitOutputs."""
    source = fits.adata(6, len(names))
    source.var_names, source.raw = list(names), None
    source.write_h5ad(folder / "input.h5ad")
    src = Source(folder / "input.h5ad", "h5ad", "X", InMemory((6, len(names)), 1, None), source.obs, source.var, ("X",), reopen=None)
    chained = method == "mcmc"
    fit = fits.outputs(src, dims=("chain", "draw") if chained else ("sample",))
    numbers = {f"seconds_{name}": 1.0 for name in ("read", "compile", "fit", "draws", "ppc", "total")}
    numbers |= METRICS[method] | {"nnz": 20, "engine": "dense", "peak_memory_gb": 0.5} | warning_flags(method, warned)
    cells = {"total_obs": 9.0, "total_q05": 5.0, "total_q95": 12.0, "total_p": 0.5}
    out = dataclasses.replace(
        fit,
        record=fits.record(resolved=RESOLVED, method=method),
        metrics=lambda saturated: numbers,
        variables=list(fit.variables),
        history={} if chained else {"loss": 100 - np.arange(80.0)},
        constant={"library_size": Array((CELL,), np.arange(6.0) + 1)},
        gene_columns={"ppc_p": np.full(len(names), 0.5)},
        cell_totals={k: np.full(6, v) for k, v in cells.items()},
        reasons=[""] * len(names),
        tables={"ppc_gene": checks(names), "ppc_hist": histograms(names)},
        explained={"equations": ["u_cg ~ NB(r_g, p)"], "sites": []},
        told=Told("scribe fit input.h5ad", ("input.h5ad",), warned if told is None else told, ("a notice",)),
        report=build,
    )
    return dataclasses.replace(out, **changes)


def written(folder: Path, fit: FitOutputs) -> Path:
    write_fit(folder / "out", fit)
    return folder / "out"


def page(out: Path) -> str:
    return (out / "report.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every tag of a page with its attributes; a tag that is not closed in order is an error."""

    VOID = ("meta", "img")

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


# the first screen


@pytest.mark.parametrize("method", ["svi", "mcmc"])
def test_every_warning_of_metrics_json_is_on_the_first_screen(tmp_path, method):
    warned = {name: f"the text of {name}; do <this>" for name, methods in WARNINGS.items() if method in methods}
    chains = {"rhat": [1.5], "ess_bulk": [3.0], "ess_tail": [3.0]}
    table = {"convergence": {"parameter": ["p"], "element": [""], **chains}} if method == "mcmc" else {}
    fit = made_up(tmp_path, method=method, warned=warned)
    stats = {"diverging": np.zeros(fit.variables[0].draws.shape[:2], bool)} if method == "mcmc" else {}
    out = written(tmp_path, dataclasses.replace(fit, tables={**fit.tables, **table}, sample_stats=stats))
    screen = reports.first_screen(page(out))
    told = {text for level, text in screen.topics.values() if level != "good"}
    assert json.loads((out / "metrics.json").read_text())["warning_few_data"] is True
    for name, text in warned.items():
        assert any(text[1:] in said for said in told), name
    assert screen.level == "problem"


def test_each_warning_alone_marks_the_verdict_and_its_own_topic(tmp_path):
    stored = open_fit(written(tmp_path, made_up(tmp_path, report=None)))

    for name in WARNINGS:
        m = Material(stored, Told(warnings={name: "something; do this"}))
        m.metrics.update({f"warning_{other}": other == name for other in WARNINGS})
        level, headline = verdict.headline(m)
        marked = [s for s in verdict.statuses(m) if s.level != "good"]
        assert level in ("warning", "problem") and headline.startswith(verdict.HEADLINES[level] + ": "), name
        assert [(s.level, s.texts[-1][:9]) for s in marked if s.level == level] == [(level, "Something")], name


def test_a_warning_whose_text_is_lost_is_there_all_the_same(tmp_path):
    out = written(tmp_path, made_up(tmp_path, warned={"gpu_not_used": ""}, told={}))
    assert "gpu_not_used: its text is in run.log" in reports.first_screen(page(out)).topics["Machine"][1].lower()


def test_a_status_has_a_mark_and_a_word_not_a_colour_alone(tmp_path):
    screen = reports.first_screen(page(written(tmp_path, made_up(tmp_path, warned={"not_converged": "no; go on"}))))
    marks = {level: text.split()[:2] for level, text in screen.topics.values()}
    assert marks == {"problem": ["\u2717", "problem"], "good": ["\u2713", "good"]}


def test_more_failures_than_chance_are_noted_where_they_are_no_warning(tmp_path):
    names = [f"g{i}" for i in range(20)]
    p = np.full(20, 0.5)
    p[0] = 0.0
    fit = made_up(tmp_path, names)
    tables = {**fit.tables, "ppc_gene": checks(names, var_p=p)}
    screen = reports.first_screen(page(written(tmp_path, dataclasses.replace(fit, tables=tables))))
    assert screen.level == "note" and "speaks against parts" in screen.headline
    level, text = screen.topics["Predictive checks"]
    assert level == "note" and "1 of 20 genes" in text and "variance above in 1" in text


FAST = ("good", "wrong model", "stopped early")


@pytest.fixture(scope="module", params=[pytest.param(k, marks=[] if k in FAST else pytest.mark.slow) for k in reports.KINDS])
def kind(request, tmp_path_factory):
    made = reports.KINDS[request.param]
    return made, made.fit(tmp_path_factory.mktemp("kind") / "out")


def test_five_kinds_of_fits_are_told_apart_on_the_first_screen(kind):
    made, found = kind
    screen = reports.first_screen(page(found.path))
    raised = {k.removeprefix("warning_") for k, v in found.metrics.items() if k.startswith("warning_") and v}
    assert (screen.level, raised) == (made.level, set(made.raised))
    for pattern in made.headline:
        assert pattern in screen.headline
    for topic, (level, patterns) in made.said.items():
        assert screen.topics[topic][0] == level, topic
        for pattern in patterns:
            assert re.search(pattern, screen.topics[topic][1]), (topic, pattern)


def test_the_report_of_a_fit_is_the_one_that_the_command_builds(kind, capsys):
    _, found = kind
    before, sums = page(found.path), (found.path / "manifest.json").read_bytes()
    assert main(["report", str(found.path)]) == 0
    assert capsys.readouterr().out == f"{found.path}/report.html\n"
    assert page(found.path) == before and (found.path / "manifest.json").read_bytes() == sums
    assert "scribe_cli.fit(" in before  # of Python, where nothing was typed


# the page


def test_names_and_texts_from_outside_cannot_be_markup(tmp_path):
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$x_1", "a\x07b", "</style>", "{{ 7 * 7 }}", "&amp;"]
    fit = made_up(tmp_path, names, warned={"not_converged": "<b>bad</b>; </p><script>"}, reasons=["ppc"] * len(names))
    told = dataclasses.replace(fit.told, command="scribe fit '<script>.h5ad'", data=("</pre><i>",), notices=("<u>",))
    text = page(written(tmp_path, dataclasses.replace(fit, told=told)))
    tags = {tag for tag, _ in Tags(text).found}
    assert not tags & {"script", "b", "u", "i", "iframe", "link", "object"} and "onerror" not in {k for _, a in Tags(text).found for k in a}
    for name in names:
        assert html.escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert "scribe fit &#39;&lt;script&gt;.h5ad&#39;" in text and "49" not in re.findall(r"<td class=\"name\">(.*?)</td>", text)


def test_the_page_is_one_file_that_loads_nothing(tmp_path):
    text = page(written(tmp_path, made_up(tmp_path)))
    tags = Tags(text).found
    assert all(a["src"].startswith("data:image/") for _, a in tags if "src" in a)
    ids = {a["id"] for _, a in tags if "id" in a}
    assert all(a["href"][0] == "#" and a["href"][1:] in ids for _, a in tags if "href" in a)
    outside = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"https?:|//|@import|url\(", outside)
    assert ("html", {"lang": "en"}) in tags and any(a.get("name") == "viewport" for _, a in tags)


def test_every_picture_says_in_words_what_it_shows(tmp_path):
    text = page(written(tmp_path, made_up(tmp_path, [f"g{i}" for i in range(20)])))
    said = [a["alt"] for tag, a in Tags(text).found if tag == "img"]
    captions = [html.unescape(c) for c in re.findall(r"<figcaption>(.*?)</figcaption>", text)]
    assert said == captions and len(set(said)) == len(said) > 10 and all(re.search(r"\d", alt) for alt in said)


def test_flagged_genes_come_worst_first_and_no_more_than_can_be_read(tmp_path):
    names = [f"g{i}" for i in range(300)]
    out = [0.0, 0.001, 0.0] + [0.5] * 297
    p = np.array(out)
    distance = np.ones(300)
    distance[2] = 50.0
    tables = {"ppc_gene": checks(names, var_obs=distance, zero_p=p / 8), "ppc_hist": histograms(names)}
    fit = made_up(tmp_path, names, reasons=["ppc"] * 3 + ["prior-dominated"] * 247 + [""] * 50, tables=tables)
    fit = dataclasses.replace(fit, gene_columns={"ppc_p": p})
    text = page(written(tmp_path, fit))
    table = text[text.index('<section id="genes">') : text.index('<section id="run">')]
    rows = [[reports.text(c) for c in re.findall(r"<td.*?>(.*?)</td>", row)] for row in re.findall(r"<tr>(.*?)</tr>", table)[1:]]
    assert [row[0] for row in rows[:3]] == ["g2", "g0", "g1"] and rows[0][-1] == "variance above the predictions"
    assert len(rows) == genes.LISTED and {row[1] for row in rows[3:]} == {"prior-dominated"}
    assert "250 of 300 genes have a reason" in table and "tables/gene.tsv.gz" in table


def test_datasets_have_a_row_each(tmp_path):
    names = ["a", "b"]
    fit = made_up(tmp_path, names)
    parts = {"": checks(names), "ctrl": checks(names, max_p=[0.5, 1.0]), "stim": checks(names)}
    gene = {k: np.concatenate([part[k] for part in parts.values()]) for k in parts[""]}
    hist = {k: np.tile(v, 3) for k, v in histograms(names).items()}
    gene["dataset"] = np.repeat(np.array(list(parts), object), 2)
    hist["dataset"] = np.repeat(np.array(list(parts), object), 6)
    out = written(tmp_path, dataclasses.replace(fit, tables={"ppc_gene": gene, "ppc_hist": hist}))
    rows = [reports.text(row) for row in re.findall(r"<tr>(.*?)</tr>", page(out).partition('<section id="checks">')[2])]
    assert "ctrl 1 of 2 0 0 0 0 0 0 0 1" in rows and "all cells 0 of 2 0 0 0 0 0 0 0 0" in rows
    assert len(Material(open_fit(out), fit.told).histograms["gene"]) == 6


def test_chains_are_shown_even_where_no_draws_are_stored(tmp_path):
    fit = made_up(tmp_path, method="mcmc")
    shape = fit.variables[0].draws.shape[:2]
    rows = {"parameter": ["r", "mu", "mu", "mu"], "element": ["a", "a", "b", "c"], "rhat": [9.0, 1.0, 3.0, 2.0]}
    lifted = np.random.default_rng(0).normal(size=(*shape, 3))
    out = dataclasses.replace(
        fit,
        variables=[dataclasses.replace(v, stored=False) for v in fit.variables],
        lifted={"mu": Array((GENE,), lifted)},
        sample_stats={"diverging": np.zeros(shape, bool)},
        tables={**fit.tables, "convergence": {**rows, "ess_bulk": [5.0] * 4, "ess_tail": [4.0] * 4}},
        write_tables=False,
    )
    text = page(written(tmp_path, out))
    named = re.findall(r'alt="(\w+ of \w): R-hat ([\d.]+)', text)
    assert named == [("mu of b", "3.000"), ("mu of c", "2.000"), ("mu of a", "1.000")]
    assert "<td>r</td><td class=\"name\">a</td><td class=\"number\">9.000</td>" in text


def test_what_made_the_fit_is_there(tmp_path):
    text = reports.text(page(written(tmp_path, made_up(tmp_path))))
    for part in ("scribe fit input.h5ad", "a notice", "0123456789abcdef", "jax 0.10", "Seed 42", "model: nbdm", "read 1.0"):
        assert part in text


@pytest.mark.parametrize(
    "recipe, said, not_said",
    [
        ({}, "the same in every cell. All genes share one p, so variance over mean is the same", "gate"),
        ({"overdispersion": "bnb", "unconstrained": True}, "All genes share one p.", "variance over mean"),
        ({"model": "zinb"}, "\u03bc is the mean count of a gene, its gate aside, the same in every cell.", "variance over mean"),
        ({"n_components": 2, "mixture_params": ["r"]}, "the same in every cell of one component. All genes share one p, so", "gate"),
        ({"n_components": 2, "mixture_params": "all"}, "All genes share one p in each component, so", "gate"),
        ({"parameterization": "mean_disp"}, "Each gene has a dispersion of its own", "one p"),
    ],
)
def test_a_model_in_words_is_the_model(recipe, said, not_said):
    spec = resolve({"model": "nbdm"} | recipe)
    axes = {row.name: row.axes for row in derive.reported(spec)}
    stored = SimpleNamespace(spec=spec, axes=axes.get, coords={"component": ["a", "b"]})
    text = " ".join(words.model(SimpleNamespace(stored=stored, recipe={"priors": {}})))
    assert said in text and not_said not in text


@pytest.mark.parametrize(
    ("equation", "markup"),
    [
        ("log mu_g ~ normal(loc 0, scale 3)", "log <var>\u03bc</var><sub>g</sub> \u223c normal(loc 0, scale 3)"),
        ("p_hat_c = p^r", "<var>p\u0302</var><sub>c</sub> = <var>p</var><sup><var>r</var></sup>"),
        ("x < log_library_c", "<var>x</var> &lt; log <var>L</var><sub>c</sub>"),
    ],
)
def test_equations_are_written_as_on_paper(equation, markup):
    assert equations.html(equation) == markup


# building it again


def test_a_report_is_built_again_and_its_sum_with_it(tmp_path):
    out = written(tmp_path, made_up(tmp_path))
    run_id, before = manifest.read_manifest(out)["run_id"], page(out)
    (out / "report.html").write_text("older")
    assert main(["report", str(out / "fit.h5ad")]) == 0
    assert page(out) == before and manifest.finished(out, run_id)
    (out / "report.html").unlink()
    old = json.loads((out / "manifest.json").read_text())
    old["files"]["report.html"] = "0" * 64  # of a report by an older version
    (out / "manifest.json").write_text(json.dumps(old))
    assert main(["report", str(out)]) == 0
    sums = manifest.read_manifest(out)["files"]
    assert sums["report.html"] == hashlib.sha256(before.encode()).hexdigest() and manifest.finished(out, run_id)
    assert {k: v for k, v in old["files"].items() if k != "report.html"}.items() <= sums.items() and not (out / ".tmp").exists()


def test_elsewhere_the_fit_stays_as_it_is(tmp_path, capsys):
    out = written(tmp_path, made_up(tmp_path))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    (out / "report.html").write_text("mine")
    assert main(["report", str(out), "-o", str(tmp_path / "other.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/other.html\n"
    assert (tmp_path / "other.html").read_bytes() == before[out / "report.html"]
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before | {out / "report.html": b"mine"}


def test_a_fit_that_moved_has_the_same_report(tmp_path):
    out = written(tmp_path, made_up(tmp_path))
    before = page(out)
    out.rename(tmp_path / "moved")
    assert main(["report", str(tmp_path / "moved")]) == 0
    assert page(tmp_path / "moved") == before and str(tmp_path) not in before


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["nowhere"], 66, "no such fit"),
        (["empty"], 66, "no fit there"),
        (["out", "-o", "no/such/folder/r.html"], 73, "no folder"),
        (["out", "-o", "empty"], 73, "is a directory"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, monkeypatch, capsys, args, code, says):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    written(tmp_path, made_up(tmp_path))
    assert main(["report", *args]) == code
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_a_fit_of_an_earlier_version_is_refused_in_words(tmp_path, capsys):
    out = written(tmp_path, made_up(tmp_path))
    old = json.loads((out / "manifest.json").read_text())
    del old["told"]
    (out / "manifest.json").write_text(json.dumps(old))
    assert main(["report", str(out)]) == 65 and "earlier version" in capsys.readouterr().err


def test_a_report_loads_no_jax(tmp_path):
    out = written(tmp_path, made_up(tmp_path))
    code = f"import sys; from scribe_cli.cli.main import main; main(['report', {str(out)!r}]); "
    code += "print([m for m in ('jax', 'numpyro', 'anndata', 'pandas', 'matplotlib.pyplot') if m in sys.modules])"
    env = {**os.environ, "HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.splitlines()[-1] == "[]" and done.returncode == 0, done.stderr
    assert not (tmp_path / "home").exists()  # matplotlib keeps its cache in ours


# which genes fail, and which are shown


def test_failures_are_counted_by_statistic_and_side():
    table = checks("abcde", var_p=[0.5, 0.0, 1.0, 0.5, 0.0], zero_p=[0.5, 0.0, 0.5, 0.5, 0.5], mean_obs=[1, 1, 0.01, 1, 0])
    found = misfit.of_genes(table, np.array([False] * 4 + [True]))
    assert (found.genes, found.failed, found.share) == (4, 2, 1 / 3)  # of a, b and d, which are seen often enough
    assert found.chance == pytest.approx(1 - 0.99**3)  # one of three, each with one chance in a hundred
    assert (found.above["var"], found.below["var"], found.above["zero"]) == (1, 1, 1)
    assert misfit.in_words(found) == "variance above in 1 and below in 1, share of zeros above in 1"


def test_a_gene_fails_exactly_where_its_smallest_p_times_four_is_below_the_limit():
    edge = misfit.FAILS / 8
    found = misfit.of_genes(checks("abcd", max_p=[edge * 0.99, edge * 1.01, 1 - edge * 0.99, 1 - edge * 1.01]), np.zeros(4, bool))
    assert (found.failed, found.above["max"], found.below["max"]) == (2, 1, 1)


def test_cells_outside_their_predictions_are_counted_on_both_sides():
    assert misfit.of_cells(np.array([0.001, 0.999, 0.5, 0.01])) == 0.5


def test_worst_and_well_fitted_genes_are_chosen_apart():
    p = np.array([0.0, 0.9, 0.0, 0.8, 0.7, 0.4, 0.2])
    table = checks("abcdefg", mean_obs=[1, 1000, 1, 0.001, 10, 100, 1], var_obs=[5.0, 1, 9, 1, 1, 1, 1])
    empty = np.array([False] * 6 + [True])
    assert choice.worst(table, p, empty, 2).tolist() == [2, 0]
    assert choice.well(table, p, empty, 3).tolist() == [4, 1]  # nothing near 0.1 or 10 but gene 4; the rare one is passed over
    assert choice.well(table, np.zeros(7), empty).tolist() == []
