"""Hostile and malformed inputs of tests/hostile: each ends with its exit code and one line that says why, in seconds
and in little memory, and leaves nothing behind."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from scribe_cli.cli.main import main
from tests.hostile import CASES
from tests.hostile.__main__ import contents

ROOT = Path(__file__).parent.parent
SECONDS, MB = 5, 512 - 270  # the program itself, with jax and pandas, has some 250 to 270
# of the environment, which other tests change
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "SCRIBE_CACHE_DIR", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
PROMISED = 80  # inputs, at least
# by the whole process, from its start to its end
ALONE = ("80 GB in 6 kB", "a filter that unpickles", "a pipe", "csv: a bomb of zeros", "recipe: a Python object")


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict]:
    """All cases in one process, one after the other: a new one for each would take minutes to start."""
    alone = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=600, env=alone
    )
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, f"the process ended with {done.returncode} in {done.stderr.splitlines()[-1]}"
    return found


def test_there_are_as_many_as_promised():
    assert len(CASES) >= PROMISED


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused(name, outcomes):
    case, found = CASES[name], outcomes[name]
    assert found["code"] == case.code, found["err"]
    assert found["err"].startswith("scribe: error: ") and found["err"].count("\n") == 1, found["err"]
    assert case.said in found["err"], found["err"]
    assert found["out"] == "" and found["left"] == []
    assert found["seconds"] < SECONDS and found["mb"] < MB, found


@pytest.mark.parametrize("name", ALONE)
def test_the_process_says_no_more(name, tmp_path, monkeypatch):
    """Nothing is added by a library, or at the end of the process."""
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    args = case.make(tmp_path)
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "scribe_cli", *args],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == case.code and done.stdout == "" and contents(tmp_path) == before
    assert case.said in done.stderr and done.stderr.count("\n") == 1, done.stderr


NAMES = [
    "../../up",
    "/abs",
    "a/b",
    "",
    "..",
    "x\ty",
    "line\nend",
    "\x1b[31mred",
    '"quoted", a',
    "~",
    "zarr.json",
    "$HOME",
]


@pytest.mark.parametrize("format", ["h5ad", "zarr"])
def test_names_from_data_are_no_paths(format, tmp_path, monkeypatch, capfd):
    """Names of genes, cells, columns, layers and keys that look like paths are names in all that is written."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    obs = pd.DataFrame({"~": 2.0}, index=[f"../../cell{i}" for i in range(40)])
    counts = np.random.default_rng(0).poisson(2.0, (40, len(NAMES))).astype(np.float32)
    data = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(NAMES, dtype=object)))
    data.layers["...."], data.obsm["~"], data.uns[" "] = counts, np.ones((40, 2)), {"....": 1}
    data.write_h5ad("in.h5ad")
    steps = ["--set", "svi.n_steps=20", "--set", "output.ppc_samples=2", "--format", format, "-q"]
    assert main(["fit", "in.h5ad", "--recipe", "nbdm", "-o", "out", *steps]) == 0
    assert main(["score", "in.h5ad", "--fit", "out", "--by", "gene", "-o", "genes.csv", "-q"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"here"}
    assert {p.name for p in here.iterdir()} == {"in.h5ad", "out", "genes.csv"}
    fit = (anndata.read_zarr if format == "zarr" else anndata.read_h5ad)(f"out/fit.{format}")
    assert list(fit.var_names) == NAMES and list(fit.obs_names) == list(obs.index)
    assert np.array_equal(fit.layers["...."], counts) and fit.uns[" "] == {"....": 1}
    with open("genes.csv", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["gene", *NAMES]
    assert "\x1b" not in "".join(capfd.readouterr())
