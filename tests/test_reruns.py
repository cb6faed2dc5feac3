"""Running again, the whole command: what is done is not done twice, and what is finished is never torn."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scribe_cli.cli.main import main
from scribe_cli.io import manifest
from scribe_cli.run import device, reading
from scribe_cli.run.fitting import inference
from scribe_cli.run.fitting.metrics import metric_names
from scribe_cli.run.recipe import yaml12

RECIPE = """
model: nbdm
parameterization: mean_odds
unconstrained: true
svi: {n_samples: 20}
output: {ppc_samples: 20}
"""
SCRIBE = [sys.executable, "-m", "scribe_cli"]
LINE = ["fit", "in.h5ad", "--recipe", "recipe.yaml", "-o", "out", "-q"]
OVERWRITE = [*LINE, "--overwrite"]
MINE = "a user's own"


def write_input(path: Path, more: int = 0) -> None:
    counts = np.random.default_rng(0).negative_binomial(2, 0.3, (40, 8)).astype(np.float32)
    counts[0, 0] += more
    obs = pd.DataFrame({"batch": ["a", "b"] * 20}, index=[f"cell{i}" for i in range(40)])
    anndata.AnnData(csr_matrix(counts), obs, pd.DataFrame(index=[f"gene{i}" for i in range(8)])).write_h5ad(path)


@pytest.fixture(scope="module", autouse=True)
def quick_disk():
    """When things are put on disk is the subject of test_staging, and of the processes that are killed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with input and recipe, and in out/ a file of the user's and a finished run: made once, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    write_input(folder / "in.h5ad")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text(MINE)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(LINE) == 0, err.getvalue()
    assert (out.getvalue(), err.getvalue()) == ("out\n", "")
    assert sorted(p.name for p in folder.iterdir()) == ["in.h5ad", "out", "recipe.yaml"]
    return folder


@pytest.fixture
def here(finished, tmp_path, monkeypatch) -> Path:
    """A copy of it as the present folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capfd):
    """Runs a command line: (code, stdout, stderr)."""

    def call(*line: str) -> tuple[int, str, str]:
        capfd.readouterr()
        return main(line), *capfd.readouterr()

    return call


def edit(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(f"{RECIPE}seed: 7\n")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def status() -> dict:
    return json.loads(Path("out/status.json").read_text())


def seed_in(path: Path) -> int:
    """The seed of the run that made a fit.h5ad, all of which is read."""
    return int(anndata.read_h5ad(path).uns["scribe"]["seed"])


def check_finished(seed: int) -> None:
    """out/ holds one whole run, that of this seed, and the user's file; nothing temporary is left."""
    out = Path("out")
    assert seed_in(out / "fit.h5ad") == seed
    run_id = manifest.read_manifest(out)["run_id"]
    assert manifest.finished(out, run_id)
    assert (status()["state"], status()["run_id"], status()["exit_code"]) == ("done", run_id, 0)
    for file, digest in manifest.read_manifest(out)["files"].items():
        assert manifest.sha256(out / file) == digest
    assert (out / "mine.txt").read_text() == MINE and not (out / ".tmp").exists()


def forbid(monkeypatch, *places) -> None:
    """What does the work at these places must not be called."""

    def called(*_, **__):
        raise AssertionError("this work was to be left out")

    for module, name in places:
        monkeypatch.setattr(module, name, called)


# a finished run


def test_a_finished_run_is_a_no_op_and_sets_the_time_of_its_target(here, run, monkeypatch):
    assert run(*LINE)[0] == 0  # the copy of the input has another inode: it is read again, once
    before = tree(here)
    forbid(monkeypatch, (reading, "read"), (device, "start"))
    for line in (LINE, OVERWRITE):
        os.utime("out/fit.h5ad", (1, 1))
        started = time.time()
        assert run(*line) == (0, "out\n", "")
        assert os.path.getmtime("out/fit.h5ad") > started - 1
    assert tree(here) == before


def test_a_no_op_is_quick_and_loads_no_jax(finished):
    script = (
        "import sys; from scribe_cli.cli.main import main; "
        "sys.exit(main() or str({'jax', 'pandas', 'anndata', 'zarr'} & set(sys.modules)))"
    )
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script, *LINE], cwd=finished, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.stdout, done.stderr) == ("out\n", "set()\n")
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 1.0


def test_a_touched_input_is_read_again_once(here, run, monkeypatch):
    os.utime("in.h5ad", (1, 1))
    before = tree(here / "out")
    assert run(*LINE) == (0, "out\n", "")
    assert status()["input"]["stamps"] == manifest.stamps([Path("in.h5ad")])
    after = tree(here / "out")
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"status.json"}
    forbid(monkeypatch, (reading, "read"))
    assert run(*LINE)[0] == 0


def test_a_gate_that_fails_is_exit_3_with_everything_written(here, run):
    code, out, err = run(*LINE, "--fail-on", "n_steps>1", "--fail-on", "converged<1")
    assert code == 3 and out == "out\n" and err.count("\n") == 1 and re.search(r"n_steps = \d+ \(n_steps>1\)", err)
    assert (status()["state"], status()["exit_code"]) == ("done", 3) and "converged" not in err
    assert run(*LINE)[0] == 0
    check_finished(42)


def test_every_metric_that_a_gate_may_name_is_there(finished):
    assert set(metric_names("svi")) <= set(manifest.metrics(finished / "out"))


def test_one_json_object(here, run):
    code, out, err = run(*LINE, "--json")
    told = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert (told["output"], told["did"], told["run_id"]) == ("out", "unchanged", status()["run_id"])
    assert told["metrics"] == json.loads(Path("out/metrics.json").read_text())


def test_a_dry_run_prints_a_recipe_that_resolves_to_itself_and_writes_nothing(here, run):
    before = tree(here)
    dry = [*LINE[:2], "--dry-run", "-q", "--recipe"]
    code, out, err = run(*dry, "recipe.yaml")
    assert (code, err) == (0, "") and tree(here) == before
    Path("again.yaml").write_text(out)
    code, again, err = run(*dry, "again.yaml")
    assert (code, err) == (0, "") and yaml12.parse(again, "").value == yaml12.parse(out, "").value
    assert run(*LINE, "--recipe", "again.yaml")[0] == 0  # and is the same run
    check_finished(42)


def test_a_dry_run_says_that_out_is_another_runs(here, run):
    edit(here)
    before = tree(here)
    code, out, err = run(*LINE, "--dry-run", "-q")
    assert (code, out) == (78, "") and "another run: recipe differs" in err and tree(here) == before
    assert run(*OVERWRITE, "--dry-run", "-q")[0] == 0 and tree(here) == before


def test_an_output_given_as_data_is_told_where_its_counts_are(here, run):
    before = tree(here)
    code, out, err = run("fit", "out", "--recipe", "recipe.yaml", "-o", "new")
    assert (code, out) == (65, "") and "out/fit.h5ad, give that" in err and tree(here) == before


def test_the_input_gone(here, run):
    Path("in.h5ad").unlink()
    code, out, err = run(*LINE)
    assert code == 66 and out == "" and "in.h5ad" in err
    Path("out/fit.h5ad").unlink()
    before = tree(here)
    assert run(*LINE)[0] == 66 and tree(here) == before


# another run


@pytest.mark.parametrize(
    "change, more, field",
    [
        (edit, [], "recipe differ"),
        (lambda folder: write_input(folder / "in.h5ad", more=1), [], "input differ"),
        (None, ["--seed", "3"], "recipe differ"),
        (None, ["--key-added", "other"], "--key-added differ"),
        (None, ["--format", "zarr"], "--format differ"),
    ],
    ids=["recipe", "input", "setting", "key", "format"],
)
def test_another_run_is_refused_and_told_what_differs(here, run, change, more, field):
    if change:
        change(here)
    before = tree(here)
    code, out, err = run(*LINE, *more)
    assert code == 78 and out == "" and err.count("\n") == 1 and err.startswith("scribe: error: out: ")
    assert field in err and "--overwrite" in err and tree(here) == before


def test_overwrite_replaces(here, run):
    edit(here)
    assert run(*OVERWRITE) == (0, "out\n", "")
    check_finished(7)
    assert run(*LINE) == (0, "out\n", "")  # it is this run's now
    (here / "recipe.yaml").write_text(RECIPE)
    assert run(*LINE)[0] == 78


def test_files_of_others_in_out_are_left_alone(here, run):
    shutil.rmtree("out")
    Path("out/tables").mkdir(parents=True)
    Path("out/tables/mine.txt").write_text(MINE)
    Path("out/run.log").write_text("of another program")
    before = tree(here)
    code, out, err = run(*LINE)
    assert code == 78 and out == "" and err.count("\n") == 1 and "tables, run.log" in err and "--overwrite" in err
    assert tree(here) == before


def test_results_are_not_put_in_place_of_their_input(here, run):
    before = tree(here)
    code, out, err = run("fit", "out/fit.h5ad", "--recipe", "recipe.yaml", "-o", "out", "--overwrite")
    assert code == 2 and "out/fit.h5ad" in err and err.count("\n") == 1 and tree(here) == before


def test_no_room_for_another_run_leaves_the_older_one(here, run, monkeypatch):
    edit(here)
    before = tree(here)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    code, out, err = run(*OVERWRITE)
    assert code == 73 and out == "" and err.count("\n") == 1 and "1e-06 GB free" in err and "make room" in err
    assert tree(here) == before


# parts of a run


@pytest.mark.parametrize("missing", [("fit.h5ad",), ("report.html",), ("fit.h5ad", "report.html")])
def test_a_deleted_fit_or_report_is_made_again_without_fitting(here, run, monkeypatch, missing):
    before = tree(here / "out")
    Path("before.h5ad").write_bytes(Path("out/fit.h5ad").read_bytes())
    for name in missing:
        (Path("out") / name).unlink()
    forbid(monkeypatch, (inference, "infer"))
    assert run(*LINE) == (0, "out\n", "")
    check_finished(42)
    assert contents("out/fit.h5ad") == contents("before.h5ad")
    after = tree(here / "out")
    same = ("posterior.zarr", "tables", "report.html")
    assert all(after[name] == data for name, data in before.items() if name.startswith(same))


def contents(path: str) -> dict[str, object]:
    """Every dataset, bit for bit, and every attribute of an HDF5 file, but for the order of columns."""
    found = {}

    def visit(name: str, item) -> None:
        found.update({f"{name}@{key}": sorted(np.ravel(value).tolist()) for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            value = np.asarray(item[()])
            found[name] = value.tolist() if value.dtype.hasobject else (value.dtype, value.tobytes())

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.parametrize("entry", ["posterior.zarr", "tables/gene.tsv.gz", "manifest.json"])
def test_another_entry_deleted_is_made_again_and_equal_runs_are_equal_bytes(here, run, entry):
    before = tree(here / "out")
    path = Path("out") / entry
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert run(*LINE) == (0, "out\n", "")
    check_finished(42)
    after = tree(here / "out")
    # times, or the sums of files with times
    differ = {"run.log", "events.jsonl", "status.json", "metrics.json", "manifest.json", "report.html"}
    assert set(after) == set(before) and {name for name in before if before[name] != after[name]} <= differ


def test_a_torn_entry_is_made_again(here, run):
    for path in (Path("out/fit.h5ad"), Path("out/metrics.json")):
        path.write_bytes(path.read_bytes()[:100])
    assert run(*LINE) == (0, "out\n", "")
    check_finished(42)


# Make


def make(folder: Path) -> tuple[str, str]:
    done = subprocess.run(["make"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
def test_a_rule_of_make(here):
    command = " ".join([*SCRIBE, *(word for word in OVERWRITE if word != "-q")])
    (here / "Makefile").write_text(f"out/fit.h5ad: in.h5ad recipe.yaml\n\t@{command}\n")
    os.utime("recipe.yaml")  # newer than the target, and the same: a no-op that makes the target new
    assert make(here)[0] == "out\n"
    assert "up to date" in make(here)[0]
    edit(here)
    out, err = make(here)
    dated = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (read|fit|draws|ppc|write) "
    assert out == "out\n" and all(re.match(dated, line) for line in err.splitlines())
    check_finished(7)
    assert "up to date" in make(here)[0]


# killed


def begun(stage: Path) -> bool:
    return stage.exists()


def complete(stage: Path) -> bool:
    return (stage / "manifest.json").exists()


def half_moved(stage: Path) -> bool:
    return complete(stage) and not (stage / "metrics.json").exists()


@pytest.mark.parametrize("moment", [begun, complete, half_moved])
def test_killed_while_it_replaces_an_older_result(here, run, moment):
    edit(here)
    new = json.loads(run(*OVERWRITE, "--dry-run", "--json")[1])["run_id"]
    job = subprocess.Popen([*SCRIBE, *OVERWRITE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while job.poll() is None and not moment(here / "out" / ".tmp" / new):
        time.sleep(0.001)
    job.send_signal(signal.SIGKILL)
    assert job.wait() in (-signal.SIGKILL, 0)
    assert seed_in(Path("out/fit.h5ad")) in (42, 7)
    if moment is begun:  # the older run is asked for again, and is still there
        (here / "recipe.yaml").write_text(RECIPE)
        assert run(*OVERWRITE) == (0, "out\n", "")
        shutil.rmtree("out/.tmp", ignore_errors=True)  # what the other had begun
        check_finished(42)
    else:
        assert run(*OVERWRITE) == (0, "out\n", "")
        check_finished(7)
