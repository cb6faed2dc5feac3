"""Bad input, the whole command: its exit code, one line that says what, where and what to do, nothing left behind."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from scribe_cli.cli.main import main

COUNTS = np.random.default_rng(0).poisson(1.0, (20, 8)).astype(np.float32)
NBDM = "model: nbdm\nparameterization: mean_odds\nunconstrained: true\n"
# args: a function of the folder that makes the input there and gives the command line; said: texts, in this order
Case = namedtuple("Case", "args code said")


def adata(x=COUNTS, **more) -> anndata.AnnData:
    cells, genes = x.shape
    obs = pd.DataFrame({"batch": pd.Categorical((["a", "b"] * cells)[:cells]), "depth": np.arange(cells) - 1.0})
    obs.index = pd.Index([f"cell{i}" for i in range(cells)], dtype=object)
    obs["partly"] = pd.Categorical([None, *["a"] * (cells - 1)][:cells])
    var = pd.DataFrame(index=pd.Index([f"gene{i}" for i in range(genes)], dtype=object))
    return anndata.AnnData(x, obs=obs, var=var, **more)


def changed(at, value, dtype=np.float32) -> np.ndarray:
    x = COUNTS.astype(dtype)
    x[at] = value
    return x


def args(*more: str, data: str = "in.h5ad", recipe: str = "recipe.yaml") -> list[str]:
    return ["fit", data, "--recipe", recipe, "--device", "cpu", *more]


def logged(**more) -> anndata.AnnData:
    return adata(csr_matrix(np.log1p(COUNTS)), **more)


def with_raw() -> anndata.AnnData:
    data = logged()
    data.raw = adata(csr_matrix(COUNTS))
    return data


def fit_of(data: anndata.AnnData | np.ndarray, *more: str):
    """A fit of these data, that is a function of the folder which makes the input and gives the arguments."""

    def made(folder):
        (data if isinstance(data, anndata.AnnData) else adata(csr_matrix(data))).write_h5ad(folder / "in.h5ad")
        return args(*more)

    return made


def damaged(damage, *more: str):
    """A fit of an .h5ad that `damage` has changed."""

    def made(folder):
        made_args = fit_of(COUNTS, *more)(folder)
        damage(folder / "in.h5ad")
        return made_args

    return made


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_x(path):
    with h5py.File(path, "r+") as file:
        del file["X"]


def pointing_outside(path):
    with h5py.File(path, "r+") as file:
        file["X/indices"][3] = 99


def of_text(name: str, content: str | bytes):
    def made(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return args(data=name)

    return made


def of_fifo(folder):
    os.mkfifo(folder / "pipe")
    return args(data="pipe")


def of_folder(folder):
    (folder / "in").mkdir()
    (folder / "in" / "notes.txt").write_text("nothing here")
    return args(data="in")


def mtx(body: str, header: str = "%%MatrixMarket matrix coordinate integer general", pack: bool = False):
    text = f"{header}\n{body}\n".encode()
    return of_text("m.mtx.gz" if pack else "m.mtx", gzip.compress(text)[:-8] if pack else text)


def recipe(text: str | bytes, *more: str):
    """A fit with this recipe."""

    def made(folder):
        fit_of(COUNTS)(folder)
        (folder / "bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return args(*more, recipe="bad.yaml")

    return made


def settings(*pairs: str):
    return fit_of(COUNTS, *(part for pair in pairs for part in ("--set", pair)))


def missing_data(folder):
    return args(data="nowhere/none.h5ad")


def circle_of_links(folder):
    (folder / "circle").symlink_to("circle")
    return args(data="circle")


def recipe_is_folder(folder):
    (folder / "folder.yaml").mkdir()
    return [*fit_of(COUNTS)(folder)[:2], "--recipe", "folder.yaml"]


def under_a_file(folder):
    (folder / "file").write_text("")
    return fit_of(COUNTS, "-o", "file/out")(folder)


def is_a_file(folder):
    (folder / "file").write_text("mine")
    return fit_of(COUNTS, "-o", "file")(folder)


def scored(name: str, content: bytes | None):
    """A score at the parameters of a file of this content; None: there is none."""

    def made(folder):
        if content is not None:
            (folder / name).write_bytes(content)
        return ["score", fit_of(COUNTS)(folder)[1], "-q", "--recipe", "recipe.yaml", "--params", name]

    return made


def params_in(folder) -> str:
    (folder / "p.yaml").write_text("p: 0.5\nr: 1\n")
    return "p.yaml"


SIMULATE = ["simulate", "--recipe", "nbdm", "--cells", "3", "--genes", "3"]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nmodel: nbdm\n"
CASES = {
    "missing file": Case(missing_data, 66, ["nowhere/none.h5ad", "no such file"]),
    "circle of links": Case(circle_of_links, 66, ["circle: no such file"]),
    "truncated h5ad": Case(damaged(halved), 65, ["in.h5ad", "truncated", "copy it again"]),
    "empty file": Case(of_text("in.h5ad", ""), 65, ["in.h5ad"]),
    "negative": Case(
        fit_of(changed((3, 2), -1)), 65, ["in.h5ad", "1 negative", "-1", "cell3", "gene2", "give the raw counts"]
    ),
    "fractional": Case(fit_of(changed((3, 2), 1.5)), 65, ["1 fractional", "1.5", "cell3", "gene2"]),
    "NaN": Case(fit_of(changed((3, 2), np.nan)), 65, ["1 missing", "nan", "cell3", "gene2"]),
    "infinite": Case(fit_of(changed((3, 2), np.inf)), 65, ["1 infinite", "inf", "cell3", "gene2"]),
    "beyond int32": Case(
        fit_of(changed((3, 2), 2.0**31, np.float64)), 65, ["1 over 2^31", "2147483648", "cell3", "gene2"]
    ),
    "counts in a layer": Case(
        fit_of(logged(layers={"counts": csr_matrix(COUNTS)})),
        65,
        ["in.h5ad (X)", "fractional", "layers/counts does hold counts: --layer counts"],
    ),
    "counts in raw": Case(fit_of(with_raw()), 65, ["in.h5ad (X)", "fractional", "does hold counts: --layer raw"]),
    "zero cells": Case(fit_of(COUNTS[:0]), 65, ["in.h5ad", "zero cells"]),
    "zero genes": Case(fit_of(COUNTS[:, :0]), 65, ["in.h5ad", "zero genes"]),
    "all zero": Case(fit_of(0 * COUNTS), 65, ["in.h5ad", "20 x 8 counts are zero"]),
    "no X": Case(damaged(without_x), 65, ["in.h5ad", "X"]),
    "damaged sparse matrix": Case(
        damaged(pointing_outside), 65, ["in.h5ad (X)", "indices run from 0 to 99, outside 0 .. 7"]
    ),
    "missing layer": Case(
        fit_of(adata(layers={"counts": COUNTS}), "--layer", "count"), 65, ["in.h5ad", '"count"', "counts"]
    ),
    "no raw": Case(fit_of(COUNTS, "--layer", "raw"), 65, ["in.h5ad", "raw"]),
    "missing obs key": Case(
        fit_of(COUNTS, "--dataset-key", "bach"),
        65,
        ["in.h5ad", '"bach"', 'did you mean "batch"', "there are batch, depth, partly"],
    ),
    "dataset key with gaps": Case(
        fit_of(COUNTS, "--dataset-key", "partly"), 65, ["in.h5ad", "partly", "no value for 1", "cell0"]
    ),
    "missing where column": Case(settings("data.where={bach: [a]}"), 65, ["in.h5ad", '"bach"', 'did you mean "batch"']),
    "missing where value": Case(settings("data.where={batch: [z]}"), 65, ['no cell has "z"', "there are a, b"]),
    "where leaves nothing": Case(settings("data.where={batch: [a], depth: [0]}"), 65, ["leaves no cell"]),
    "no gene left": Case(settings("data.min_cells=99"), 65, ["no gene is left of 8", "min_cells 99", "lower"]),
    "unknown gene": Case(settings("data.genes=[gene1, gene_2]"), 65, ["in.h5ad", "gene_2", 'did you mean "gene2"']),
    "missing file of genes": Case(settings("data.genes=none.txt"), 66, ["none.txt"]),
    "library sizes below zero": Case(
        recipe("model: nbvcp\npriors: {organism: human}\ndata: {library_size: depth}\n"),
        65,
        ['"depth"', "-1.0", "cell0"],
    ),
    "pipe": Case(of_fifo, 65, ["pipe"]),
    "device": Case(lambda folder: args(data="/dev/null"), 65, ["/dev/null"]),
    "folder of something else": Case(of_folder, 65, ["in"]),
    "text": Case(of_text("in.txt", "what is this\n"), 65, ["in.txt"]),
    "MTX with fewer entries": Case(mtx("2 2 3\n1 1 1\n2 2 1"), 65, ["m.mtx", "header says 3 entries, 2 are there"]),
    "MTX with more entries": Case(mtx("2 2 1\n1 1 1\n2 2 1"), 65, ["m.mtx", "header says 1 entries, 2 are there"]),
    "MTX outside its size": Case(mtx("2 2 1\n3 1 1"), 65, ["m.mtx", "rows run from 3 to 3", "1 .. 2"]),
    "MTX of another kind": Case(
        mtx("2 2 1\n1 1 1", "%%MatrixMarket matrix array real general"), 65, ["m.mtx", "array", "is needed"]
    ),
    "MTX with text": Case(mtx("2 2 1\n1 1 one"), 65, ["m.mtx", "row, column and value"]),
    "MTX cut": Case(mtx("2 2 1\n1 1 1", pack=True), 65, ["m.mtx.gz", "truncated"]),
    "MTX has no layers": Case(
        lambda f: [*mtx("2 2 1\n1 1 1")(f), "--layer", "counts"], 65, ["m.mtx", "leave out --layer"]
    ),
    "missing recipe": Case(lambda f: args(recipe="nowhere.yaml"), 66, ["nowhere.yaml", "bundled are anchored"]),
    "misspelt recipe": Case(lambda f: args(recipe="zinvcp"), 66, ["zinvcp", 'did you mean "zinbvcp"']),
    "recipe is a folder": Case(recipe_is_folder, 66, ["folder.yaml"]),
    "endless recipe": Case(lambda f: args(recipe="/dev/zero"), 78, ["/dev/zero"]),
    "unknown key": Case(
        recipe("model: nbdm\nsvi:\n  n_step: 5\n"), 78, ["bad.yaml:3:3", "svi.n_step", 'did you mean "svi.n_steps"']
    ),
    "wrong type": Case(recipe("model: nbdm\nseed: many\n"), 78, ["bad.yaml:2:7", "seed", "many"]),
    "impossible combination": Case(
        recipe("model: nbdm\npriors:\n  gate: [1, 1]\n"), 78, ["bad.yaml:3:3", "gate", "nbdm"]
    ),
    "prior without datasets": Case(
        recipe(f"{NBDM}expression_dataset_prior: gaussian\n"),
        78,
        ["bad.yaml:4:1", "expression_dataset_prior", "dataset_key"],
    ),
    "key that cannot act": Case(recipe("model: nbdm\nmcmc: {n_chains: 2}\n"), 78, ["bad.yaml:2:8", "mcmc.n_chains"]),
    "not available yet": Case(
        recipe(f"{NBDM}guide: {{rank: 2}}\n"), 78, ["bad.yaml:4:9", "guide.rank", "not available yet"]
    ),
    "no model": Case(recipe("seed: 1\n"), 78, ["bad.yaml", "model"]),
    "key that stands twice": Case(recipe("model: nbdm\nseed: 1\nseed: 2\n"), 78, ["bad.yaml:3:1", "seed", "twice"]),
    "tag": Case(recipe("model: !!python/object/apply:os.system [touch owned]\n"), 78, ["bad.yaml:1:8", "tag"]),
    "alias bomb": Case(recipe(BOMB), 78, ["bad.yaml:2:8", "alias"]),
    "list": Case(recipe("- nbdm\n"), 78, ["bad.yaml", "mapping"]),
    "nothing": Case(recipe(""), 78, ["bad.yaml", "mapping"]),
    "no YAML": Case(recipe("model: [nbdm\n"), 78, ["bad.yaml:2:1", "YAML"]),
    "no text": Case(recipe(b"\xff\xfe\x00"), 78, ["bad.yaml", "UTF-8"]),
    "deep nesting": Case(recipe("model: " + "[" * 5000), 78, ["bad.yaml:1:", "deep"]),
    "unknown setting": Case(settings("svi.steps=5"), 78, ["command line", "svi.steps", 'did you mean "svi.n_steps"']),
    "setting of no form": Case(settings("svi.n_steps"), 78, ["--set svi.n_steps", "KEY=VALUE"]),
    "no steps": Case(settings("svi.n_steps=0"), 78, ["svi.n_steps", "0"]),
    "steps without end": Case(settings("svi.early_stopping=false"), 78, ["svi.early_stopping", "n_steps"]),
    "gate of no form": Case(fit_of(COUNTS, "--fail-on", "elbo"), 2, ['--fail-on "elbo"', "NAME OP NUMBER"]),
    "gate of no metric": Case(fit_of(COUNTS, "--fail-on", "elpo<0"), 2, ["elpo", 'did you mean "elbo"']),
    "gate on a text": Case(fit_of(COUNTS, "--fail-on", "engine>1"), 2, ["engine>1", "no number"]),
    "empty key": Case(fit_of(COUNTS, "--key-added", ""), 2, ["--key-added"]),
    "key with a slash": Case(fit_of(COUNTS, "--key-added", "a/b"), 2, ["--key-added", "a/b"]),
    "output is a file": Case(is_a_file, 73, ["file is a file", "choose another --output"]),
    "output under a file": Case(under_a_file, 73, ["file/out", "choose another --output"]),
    "output with a long name": Case(fit_of(COUNTS, "-o", "x" * 300), 73, ["xxx", "choose another --output"]),
    "output of the wrong kind": Case(fit_of(COUNTS, "-o", "out.h5ad"), 2, ["out.h5ad", "out.scribe"]),
}

OTHER_COMMANDS = {
    "score: no such params": Case(scored("none.npz", None), 66, ["--params none.npz"]),
    "score: params of no format": Case(scored("p.txt", b""), 2, ["--params p.txt", ".npz, .yaml or .zarr"]),
    "score: torn npz": Case(scored("p.npz", b"PK\3\4"), 65, ["--params p.npz", "numpy.savez"]),
    "score: a bare array": Case(scored("p.npz", b"\x93NUMPY\1\0"), 65, ["--params p.npz", "numpy.savez"]),
    "score: no text": Case(scored("p.yaml", b"\xff\xfe"), 65, ["--params p.yaml", "YAML"]),
    "score: no YAML": Case(scored("p.yaml", b"p: [0.5\n"), 65, ["--params p.yaml", "YAML"]),
    "score: a list": Case(scored("p.yaml", b"- 0.5\n"), 65, ["--params p.yaml", "mapping"]),
    "score: words": Case(scored("p.yaml", b"p: high\n"), 65, ["--params p.yaml", "high"]),
    "score: unknown parameter": Case(
        scored("p.yaml", b"p: 0.5\nrr: 1\n"), 65, ["--params p.yaml", "rr", 'did you mean "r"']
    ),
    "score: a shape": Case(scored("p.yaml", b"p: 0.5\nr: [1, 2]\n"), 65, ["--params p.yaml", "(2,)", "(8,)"]),
    "score: outside": Case(
        scored("p.yaml", b"p: 1.5\nr: [1, 1, 1, 1, 1, 1, 1, 1]\n"), 65, ["--params p.yaml", "p is 1.5", "(0, 1)"]
    ),
    "score: no fit": Case(lambda f: ["score", fit_of(COUNTS)(f)[1], "--fit", "none"], 66, ["none: no such fit"]),
    "score: no data": Case(
        lambda f: ["score", "none.mtx", "--recipe", "nbdm", "--params", params_in(f)], 66, ["none.mtx"]
    ),
    "summary: no fit": Case(lambda f: ["summary", "."], 66, [".: no fit there"]),
    "simulate: no folder": Case(lambda f: [*SIMULATE, "-o", "nowhere/s.h5ad"], 73, ["-o nowhere/s.h5ad"]),
    "simulate: no such data": Case(
        lambda f: ["simulate", "--recipe", "nbdm", "--like", "none", "-o", "s.h5ad"], 66, ["none"]
    ),
    "recipe check: unknown key": Case(
        lambda f: ["recipe", "check", recipe("modl: nbdm\n")(f)[3]], 78, ["bad.yaml:1:1", 'did you mean "model"']
    ),
    "recipe show: misspelt": Case(lambda f: ["recipe", "show", "nbvpc"], 66, ['did you mean "nbvcp"']),
}


def contents(folder) -> dict[str, str]:
    """Every file and folder with a digest of what it holds."""
    found = {p: p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}
    return {str(p): hashlib.sha256(data).hexdigest() for p, data in found.items()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The present folder, with the recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(NBDM)
    return tmp_path


def refused(folder, capfd, line, code, said) -> None:
    """The command ends with this code and one line of ours that holds these texts in their order; all is as before."""
    before = contents(folder)
    capfd.readouterr()
    assert main(line) == code
    out, err = capfd.readouterr()
    assert out == "" and contents(folder) == before
    assert err.count("\n") == 1 and err.startswith("scribe: error: "), err
    assert re.search(".*".join(map(re.escape, said)), err), err


@pytest.mark.parametrize("case", (CASES | OTHER_COMMANDS).values(), ids=CASES | OTHER_COMMANDS)
def test_refused(case, here, capfd):
    refused(here, capfd, case.args(here), case.code, case.said)


def test_no_room(here, capfd, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    refused(here, capfd, fit_of(COUNTS, "-q")(here), 73, ["in.recipe.scribe", "1e-06 GB free", "make room"])


def test_a_folder_that_may_not_be_written(here, capfd, monkeypatch):
    """As the system would say it to anyone but root."""
    (here / "out").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != "out")
    refused(here, capfd, fit_of(COUNTS, "-o", "out")(here), 73, ["out cannot be written", "choose another --output"])


def test_a_disk_that_takes_nothing(here, capfd, monkeypatch):
    def read_only(path, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    line = fit_of(COUNTS, "-q")(here)
    monkeypatch.setattr(Path, "mkdir", read_only)
    refused(here, capfd, line, 73, ["in.recipe.scribe", "Read-only file system", "choose another --output"])


def test_the_process_says_no_more(here):
    """No library adds a line, and nothing is said at the end of the process."""
    fit_of(changed((3, 2), -1))(here)
    before = contents(here)
    done = subprocess.run([sys.executable, "-m", "scribe_cli", *args()], capture_output=True, text=True)
    assert done.returncode == 65 and done.stdout == "" and contents(here) == before
    assert done.stderr.startswith("scribe: error: in.h5ad (X)") and done.stderr.count("\n") == 1
