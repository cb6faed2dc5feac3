"""Running again, the whole command: what is done once is not done twice, and nothing that is finished is ever torn."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scribe_cli.cli.main import main
from scribe_cli.io import manifest
from scribe_cli.run import device, journal, reading

RECIPE = """
model: nbdm
parameterization: mean_odds
unconstrained: true
svi: {n_steps: 50, n_samples: 20}
output: {ppc_samples: 20, layers: []}
"""
SCRIBE = [sys.executable, "-m", "scribe_cli"]
LINE = ["fit", "in.h5ad", "--recipe", "recipe.yaml", "-o", "out", "-q"]
OVERWRITE = [*LINE, "--overwrite"]


def write_input(path: Path, more: int = 0) -> None:
    counts = np.random.default_rng(0).negative_binomial(2, 0.3, (20, 8)).astype(np.float32)
    counts[0, 0] += more
    obs = pd.DataFrame({"batch": ["a", "b"] * 10}, index=[f"cell{i}" for i in range(20)])
    anndata.AnnData(csr_matrix(counts), obs, pd.DataFrame(index=[f"gene{i}" for i in range(8)])).write_h5ad(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with an input, a recipe and a finished run in out/: made once, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    write_input(folder / "in.h5ad")
    (folder / "recipe.yaml").write_text(RECIPE)
    with contextlib.chdir(folder):
        assert main(LINE) == 0
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


def edit(folder: Path, seed: int = 7) -> None:
    (folder / "recipe.yaml").write_text(f"{RECIPE}seed: {seed}\n")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def status() -> dict:
    return json.loads(Path("out/status.json").read_text())


def seed_of(path: Path = Path("out/fit.h5ad")) -> int:
    """The seed of the run in a fit.h5ad, all of which is read."""
    return int(anndata.read_h5ad(path).uns["scribe"]["seed"])


def forbid(monkeypatch, *places) -> None:
    """Whatever does the work at these places must not be called."""

    def called(*_, **__):
        raise AssertionError("this work was to be left out")

    for module, name in places:
        monkeypatch.setattr(module, name, called)


# a finished run


def test_a_finished_run_is_a_no_op_and_sets_the_time_of_its_target(here, run, monkeypatch):
    assert run(*LINE)[0] == 0  # the input's copy has another inode: it is read again, once
    before = tree(here)
    os.utime("out/fit.h5ad", (1, 1))
    forbid(monkeypatch, (reading, "read"), (device, "start"))
    for line in (LINE, OVERWRITE):
        started = time.time()
        assert run(*line) == (0, "out\n", "")
        assert os.path.getmtime("out/fit.h5ad") > started - 1
    assert tree(here) == before


def test_a_no_op_is_quick_and_loads_no_jax(finished):
    script = "import sys; from scribe_cli.cli.main import main; sys.exit(main() or 9 * bool({'jax', 'pandas', 'zarr'} & set(sys.modules)))"
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script, *LINE], cwd=finished, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")
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


def test_a_gate_is_asked_of_a_finished_run_too(here, run):
    code, out, err = run(*LINE, "--fail-on", "n_steps>1")
    assert code == 3 and out == "out\n" and err.count("\n") == 1 and "n_steps = 50 (n_steps>1)" in err
    assert status()["state"] == "done" and status()["exit_code"] == 3
    assert run(*LINE)[0] == 0 and status()["exit_code"] == 0


def test_the_input_gone(here, run):
    Path("in.h5ad").unlink()
    code, out, err = run(*LINE)
    assert code == 66 and out == "" and "in.h5ad" in err
    Path("out/fit.h5ad").unlink()
    assert run(*LINE)[0] == 66 and not Path("out/fit.h5ad").exists()


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
    (here / "out" / "mine.txt").write_text("a user's own")
    (here / "out" / "plots").mkdir()
    old = json.loads(Path("out/manifest.json").read_text())["run_id"]
    edit(here)
    assert run(*OVERWRITE)[:2] == (0, "out\n")
    assert seed_of() == 7 and set(manifest.run_ids(Path("out")).values()) != {old}
    assert manifest.finished(Path("out"), status()["run_id"]) and status()["state"] == "done"
    assert Path("out/mine.txt").read_text() == "a user's own" and Path("out/plots").is_dir()
    assert not Path("out/.tmp").exists()
    assert run(*LINE)[0] == 0  # what was replaced is now this run's


def test_files_of_others_in_out_are_left_alone(here, run):
    shutil.rmtree("out")
    Path("out/tables").mkdir(parents=True)
    Path("out/tables/mine.txt").write_text("a user's own")
    Path("out/run.log").write_text("of another program")
    before = tree(here)
    code, out, err = run(*LINE)
    assert code == 78 and out == "" and "tables, run.log" in err and "--overwrite" in err and tree(here) == before
    shutil.rmtree("out/tables")
    Path("out/run.log").rename("out/mine.log")
    assert run(*LINE)[0] == 0 and Path("out/mine.log").read_text() == "of another program"


def test_results_are_not_put_in_place_of_their_input(here, run):
    before = tree(here)
    code, out, err = run("fit", "out/fit.h5ad", "--recipe", "recipe.yaml", "-o", "out", "--overwrite")
    assert code == 2 and "out/fit.h5ad" in err and err.count("\n") == 1 and tree(here) == before


def test_equal_runs_are_equal_bytes(here, run):
    old = tree(here / "out")
    shutil.rmtree("out")
    assert run(*LINE)[0] == 0
    new = tree(here / "out")
    # these hold times, or the sums of what does
    live = {"run.log", "events.jsonl", "status.json", "metrics.json", "manifest.json"}
    assert set(old) == set(new) and {name for name in old if old[name] != new[name]} <= live


# parts of a run


def test_a_deleted_fit_is_made_again_without_fitting(here, run, monkeypatch):
    before = tree(here / "out")
    Path("out/fit.h5ad").unlink()
    from scribe_cli.run import inference

    forbid(monkeypatch, (inference, "infer"))
    assert run(*LINE) == (0, "out\n", "")
    same_contents(here / "out" / "fit.h5ad", before["fit.h5ad"])
    assert all(before[name] == data for name, data in tree(here / "out").items() if name.startswith(("posterior", "tables")))
    assert manifest.finished(Path("out"), status()["run_id"])


def same_contents(path: Path, old: bytes) -> None:
    """Every dataset and attribute of two HDF5 files is the same, bit for bit."""
    other = path.with_name("old.h5ad")
    other.write_bytes(old)
    with h5py.File(path) as a, h5py.File(other) as b:
        assert contents(a) == contents(b)
    other.unlink()


def contents(file: h5py.File) -> dict[str, object]:
    found = {}

    def visit(name, item):
        found[name] = item[()].tobytes() if isinstance(item, h5py.Dataset) and item.dtype.kind != "O" else str(item[()]) if isinstance(item, h5py.Dataset) else None
        found |= {f"{name}@{k}": str(v) for k, v in item.attrs.items()}

    file.visititems(visit)
    return found


@pytest.mark.parametrize("entry", ["posterior.zarr", "metrics.json", "recipe.resolved.yaml", "tables/gene.tsv.gz"])
def test_another_entry_deleted_is_made_again(here, run, entry):
    before = tree(here / "out")
    path = Path("out") / entry
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert run(*LINE)[0] == 0
    assert path.exists() and manifest.finished(Path("out"), status()["run_id"])
    assert set(tree(here / "out")) == set(before)


@pytest.mark.parametrize("entry", ["fit.h5ad", "metrics.json"])
def test_a_torn_entry_is_made_again(here, run, entry):
    path = Path("out") / entry
    path.write_bytes(path.read_bytes()[:100])
    assert run(*LINE)[0] == 0
    assert manifest.finished(Path("out"), status()["run_id"]) and seed_of() == 42


# Make


MAKEFILE = """
out/fit.h5ad: in.h5ad recipe.yaml
\t{scribe} fit in.h5ad --recipe recipe.yaml -o out --overwrite
"""


def make(folder: Path) -> str:
    done = subprocess.run(["make"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
def test_a_rule_of_make(here):
    (here / "Makefile").write_text(MAKEFILE.format(scribe=" ".join(SCRIBE)))
    os.utime("recipe.yaml")  # newer than the target, and the same: a no-op that makes the target new
    assert "fit" in make(here) and seed_of() == 42
    assert "up to date" in make(here)
    time.sleep(0.01)
    edit(here)
    assert "fit" in make(here) and seed_of() == 7
    assert "up to date" in make(here)


# killed


def stage_begins(out: Path, stage: Path) -> bool:
    return stage.exists()


def stage_is_complete(out: Path, stage: Path) -> bool:
    return (stage / "manifest.json").exists()


def entries_move(out: Path, stage: Path) -> bool:
    return stage.exists() and not (stage / "metrics.json").exists() and (stage / "manifest.json").exists()


@pytest.mark.parametrize("moment", [stage_begins, stage_is_complete, entries_move])
def test_killed_while_it_replaces_an_older_result(here, run, moment):
    edit(here)
    new = json.loads(run(*LINE[:-1], "--dry-run", "--json")[1])["run_id"]
    job = subprocess.Popen([*SCRIBE, *OVERWRITE], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not moment(here / "out", here / "out" / ".tmp" / new) and job.poll() is None:
        pass
    job.send_signal(signal.SIGKILL)
    job.wait()
    seen = seed_of()
    assert seen in (42, 7)
    assert run(*OVERWRITE)[:2] == (0, "out\n")
    assert seed_of() == 7 and manifest.finished(Path("out"), new)
    assert status()["state"] == "done" and status()["run_id"] == new and not Path("out/.tmp").exists()
