"""Recipes, parameters and paths."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests import forms

from .case import Case, fit


def recipe(text: str | bytes | Callable[[], str]) -> Callable[[Path], list[str]]:
    """A fit with a recipe of this text; of a function's, if it is long."""

    def make(folder: Path) -> list[str]:
        content = text() if callable(text) else text
        (folder / "r.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return fit(forms.h5ad(folder).name, recipe="r.yaml")

    return make


def params(name: str, content: bytes | Callable[[Path], object]) -> Callable[[Path], list[str]]:
    """A score at the parameters in a file of this content, or in what a function makes."""

    def make(folder: Path) -> list[str]:
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)
        return ["score", forms.h5ad(folder).name, "--recipe", "nbdm", "--params", name, "--device", "cpu", "-q"]

    return make


def objects(path: Path) -> None:
    np.savez(path, p=np.array([{"evil": 1}], object))


def header(text: str) -> Callable[[Path], None]:
    """An .npz with an array of this header and no values."""

    def write(path: Path) -> None:
        body = text.encode() + b"\n"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("p.npy", b"\x93NUMPY\1\0" + len(body).to_bytes(2, "little") + body)

    return write


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        stream = io.BytesIO()
        np.save(stream, np.zeros(20_000_000))
        archive.writestr("p.npy", stream.getvalue())


def unpickling(path: Path) -> None:
    array = path / "p"
    array.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (array / ".zarray").write_text(
        '{"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "compressor": null, "fill_value": null, '
        '"order": "C", "filters": [{"id": "pickle", "protocol": 5}]}'
    )
    (array / "0").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")


def out(make: Callable[[Path], object], *more: str) -> Callable[[Path], list[str]]:
    """A fit to an -o that `make` has put there."""

    def made(folder: Path) -> list[str]:
        make(folder)
        return fit(forms.h5ad(folder).name, *more)

    return made


def at(name: str, make: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    """A fit of what `make` makes at a path."""

    def made(folder: Path) -> list[str]:
        make(folder / name)
        return fit(name)

    return made


def unreadable(path: Path) -> None:
    forms.h5ad(path.parent).rename(path)
    path.chmod(0)


LINES = "\n".join(f"k{i}: {i}" for i in range(1000)) + "\n"
RECIPES = {
    "recipe: 10 MB": Case(recipe(lambda: LINES * 1200), 78, "more than a recipe may have"),
    "recipe: 10 MB in a word": Case(recipe(lambda: "model: " + "a" * 10_000_000), 78, "more than a recipe may have"),
    "recipe: deep lists": Case(recipe("model: " + "[" * 5000), 78, "more than 20 deep"),
    "recipe: deep mappings": Case(recipe("".join(" " * i + "a:\n" for i in range(300))), 78, "more than 20 deep"),
    "recipe: deep keys": Case(recipe("? " * 5000), 78, "r.yaml:1:"),
    "recipe: aliases": Case(recipe("a: &a [x, x]\nb: [*a, *a]\n"), 78, "the alias *a is not allowed"),
    "recipe: a merge": Case(recipe("a: &a {b: 1}\n<<: *a\n"), 78, "the alias *a"),
    "recipe: a Python object": Case(recipe("model: !!python/object/apply:os.system ['touch owned']\n"), 78, "the tag"),
    "recipe: a Python name": Case(recipe("!!python/name:os.system : 1\n"), 78, "the tag"),
    "recipe: a tag of its own": Case(recipe("%TAG ! tag:evil,2000:\n---\nmodel: !x nbdm\n"), 78, "the tag"),
    "recipe: binary": Case(recipe("model: !!binary bmJkbQ==\n"), 78, "the tag"),
    "recipe: a NUL": Case(recipe(b"model: nb\0dm\n"), 78, "r.yaml"),
    "recipe: UTF-16": Case(recipe("model: nbdm\n".encode("utf-16")), 78, "not UTF-8"),
    "recipe: noise": Case(recipe(np.random.default_rng(0).bytes(5000)), 78, "not UTF-8"),
    "recipe: a tab": Case(recipe("model: nbdm\nsvi:\n\tn_steps: 5\n"), 78, "r.yaml:3:1"),
    "recipe: two documents": Case(recipe("model: nbdm\n---\nmodel: nbvcp\n"), 78, "a second document"),
    "recipe: a key twice": Case(recipe("model: nbdm\nmodel: nbvcp\n"), 78, "stands twice"),
    "recipe: a list for a key": Case(recipe("? [a, b]\n: 1\n"), 78, "a key must be plain text"),
    "recipe: an endless number": Case(recipe("model: nbdm\nseed: " + "9" * 100_000 + "\n"), 78, "seed"),
    "recipe: an endless exponent": Case(recipe("model: nbdm\nseed: 1e999999999\n"), 78, "seed"),
    "recipe: a vast seed": Case(recipe(f"model: nbdm\nseed: {10**30}\n"), 78, "seed"),
    "recipe: no text": Case(recipe("model: [nbdm\n"), 78, "not valid YAML"),
    "recipe: nothing": Case(recipe(""), 78, "mapping"),
    "recipe: a path for a model": Case(recipe("model: ../../etc/passwd\n"), 78, "model"),
    "recipe: a list of one gene": Case(
        recipe(lambda: "model: nbdm\ndata: {genes: [" + "a," * 20_000 + "]}\n"), 78, "a stands twice"
    ),
    "recipe: a module for a parameterization": Case(
        recipe("model: nbdm\nparameterization: os.system\n"), 78, "parameterization"
    ),
    "recipe: a dangling link": Case(
        lambda f: [(f / "r.yaml").symlink_to("no"), fit(forms.h5ad(f).name, recipe="r.yaml")][1], 66, "no such file"
    ),
}
PARAMS = {
    "params: pickled objects": Case(params("p.npz", objects), 65, "no .npz of plain arrays"),
    "params: a pickle": Case(params("p.npz", b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."), 65, "no .npz of plain"),
    "params: a vast array": Case(
        params("p.npz", header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")), 65, "no .npz"
    ),
    "params: a header that runs": Case(
        params("p.npz", header("__import__('os').system('touch owned')")), 65, "no .npz"
    ),
    "params: a bomb": Case(params("p.npz", zip_bomb), 65, "which no parameters do"),
    "params: words": Case(params("p.yaml", b"p: high\nr: 1\n"), 65, "p is 'high', not a number"),
    "params: numbers in quotes": Case(params("p.yaml", b"p: '0.5'\nr: 1\n"), 65, "p is '0.5', not a number"),
    "params: ragged lists": Case(params("p.yaml", b"p: 0.5\nr: [[1, 2], [3]]\n"), 65, "lists of several lengths"),
    "params: a mapping": Case(params("p.yaml", b"p: {a: 1}\nr: 1\n"), 65, "not a number"),
    "params: a Python object": Case(params("p.yaml", b"p: !!python/object/apply:os.system [ls]\n"), 65, "the tag"),
    "params: 10 MB": Case(params("p.yaml", lambda p: p.write_text("p: 0.5\n# " + "x" * 10_000_000)), 65, "as .npz"),
    "params: NaN": Case(params("p.yaml", lambda p: p.write_text(f"p: .nan\nr: {[1] * 23}\n")), 65, "p"),
    "params: a folder": Case(params("p.npz", Path.mkdir), 65, "no plain file"),
    "params: a pipe": Case(params("p.yaml", os.mkfifo), 65, "no plain file"),
    "params: a zarr that unpickles": Case(params("p.zarr", unpickling), 65, "the codec pickle"),
    "params: a zarr that is a file": Case(params("p.zarr", b"x"), 65, "no folder"),
    "params: an empty zarr": Case(params("p.zarr", Path.mkdir), 65, "p.zarr"),
}
PATHS = {
    "a pipe": Case(at("pipe", os.mkfifo), 65, "a pipe"),
    "a device": Case(lambda folder: fit("/dev/zero"), 65, "a device"),
    "a folder": Case(at("x.h5ad", Path.mkdir), 65, "a directory"),
    "a dangling link": Case(at("x.h5ad", lambda p: p.symlink_to("nowhere")), 66, "no such file"),
    "a link in a circle": Case(at("x", lambda p: p.symlink_to("x")), 66, "no such file"),
    "a path through a file": Case(at("x", lambda p: p.write_text("")), 65, "an empty file"),
    "nothing": Case(lambda folder: fit("x\ny.h5ad"), 66, "no such file"),
    "a path with a terminal's commands": Case(lambda folder: fit("x\x1b[2J\u202e.h5ad"), 66, r"x\x1b[2J\u202e.h5ad"),
    "OUT is a file": Case(out(lambda f: (f / "o").write_text("mine"), "-o", "o"), 73, "o is a file"),
    "OUT is a pipe": Case(out(lambda f: os.mkfifo(f / "o"), "-o", "o"), 73, "o"),
    "OUT is a dangling link": Case(out(lambda f: (f / "o").symlink_to("a/b/c"), "-o", "o"), 73, "o"),
    "OUT under a file": Case(out(lambda f: (f / "o").write_text("mine"), "-o", "o/p"), 73, "o/p"),
    "a key that is a path": Case(out(str, "--key-added", "../x"), 2, "../x"),
    "a gene without end": Case(out(str, "--set", "data.genes=[" + "a" * 99_000 + "]"), 65, "characters left out)"),
}
if os.geteuid() != 0:  # root may read all
    PATHS["a file that may not be read"] = Case(at("y.h5ad", unreadable), 74, "Permission denied")
CASES = {**RECIPES, **PARAMS, **PATHS}
