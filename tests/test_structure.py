"""How the house is built: the arrows between its parts go one way, some things are nowhere, and what must start light does."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scribe_cli"

# a layer may use itself, the layers named for it, and what those may use, where "with all below" is said
CORE = (
    "errors",
    "core.registry",
    "core.axes",
    "core.padding",
    "core.facts",
    "core.numerics",
    "core.model",
    "core.inference",
    "core.analysis",
    "core.simulate",
)
ALLOWED = {
    **{layer: set(CORE[:i]) for i, layer in enumerate(CORE)},
    "data": {"errors", "core.registry", "core.axes", "core.facts", "core.numerics", "core.model"},
    "io": {"errors", "core.registry", "core.axes", "core.facts", "core.model", "core.inference", "data"},
    "run": {*CORE, "data", "io"},
    "cli": {"errors", "run"},
}
# what only one layer may import, of other people's packages
OUTSIDE = {"click": ("cli",), "pydantic": ("run",), "rich": ("run",)}
NOT_IN_CORE = ("click", "anndata", "zarr", "h5py", "pandas", "pydantic", "yaml", "rich")
HEAVY = ("jax", "anndata", "numpyro", "pandas", "numpy", "scipy", "h5py", "zarr", "rich", "matplotlib", "pydantic")
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def layer_of(module: str) -> str | None:
    """The layer of `scribe_cli.core.model.spec`: core.model. None for the package itself."""
    inner = module.removeprefix("scribe_cli").removeprefix(".")
    return max((name for name in ALLOWED if f"{inner}.".startswith(f"{name}.")), key=len, default=None)


def imported(path: Path) -> list[str]:
    """Every module or name that a file imports, absolute, `a.b.c` for `from a.b import c`."""
    package = ".".join(path.relative_to(ROOT).parent.parts).split(".")
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            found += [".".join([*base, name.name]) for name in node.names]
    return found


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def nodes(path: Path, kind: type) -> Iterator[ast.AST]:
    return (node for node in ast.walk(parsed(path)) if isinstance(node, kind))


def within(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=within)


@each_file
def test_arrows_go_one_way(path):
    here = layer_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if here is None:
        return
    for name in imported(path):
        there = layer_of(name) if name.startswith("scribe_cli.") else None
        if there is not None and there != here:
            assert there in ALLOWED[here], f"{path}: {here} imports {name}"
        top = name.split(".")[0]
        assert top not in OUTSIDE or here in OUTSIDE[top], f"{path}: {top} belongs to {OUTSIDE[top]}"
        assert not (here.startswith("core") and top in NOT_IN_CORE), f"{path}: the core imports {top}"


@each_file
def test_one_place_catches_everything(path):
    for node in nodes(path, ast.ExceptHandler):
        caught = "" if node.type is None else ast.unparse(node.type)
        everything = node.type is None or re.search(r"\b(Base)?Exception\b", caught)
        assert not everything or within(path) == "cli/errors.py", f"{path}:{node.lineno}: except {caught}"


@each_file
def test_one_place_prints(path):
    if within(path) == "run/terminal/console.py":
        return
    asked_about = {node.value for node in nodes(path, ast.Attribute) if node.attr in ("encoding", "isatty")}
    for node in nodes(path, ast.Attribute):
        assert node in asked_about or ast.unparse(node) not in ("sys.stdout", "sys.stderr"), f"{path}:{node.lineno}"
    for node in nodes(path, ast.Call):
        assert ast.unparse(node.func) not in ("print", "click.echo"), f"{path}:{node.lineno}"


@each_file
def test_nothing_is_asserted_evaluated_or_unpickled(path):
    assert not list(nodes(path, ast.Assert)), f"{path}: python -O would leave the check out"
    assert not UNSAFE & {name.split(".")[0] for name in imported(path)}
    for node in nodes(path, ast.Call):
        assert ast.unparse(node.func) not in ("eval", "exec", "compile", "yaml.load"), f"{path}:{node.lineno}"
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle":
                assert ast.unparse(keyword.value) == "False", f"{path}:{node.lineno}"


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()[-1].split())


def test_core_stands_alone():
    modules = [
        ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for f in FILES
        if "core" in f.parts and "analysis" not in f.parts
    ]
    loaded = loaded_after("import " + ", ".join(modules))
    assert loaded.isdisjoint(NOT_IN_CORE), loaded & set(NOT_IN_CORE)


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["fit", "--help"], ["recipe", "--help"], ["nonsense"]])
def test_help_loads_nothing_heavy(args):
    loaded = loaded_after(f"from scribe_cli.cli.main import main; main({args!r})")
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


@pytest.mark.parametrize("line", [["recipe", "check", ""], ["summary", ""], ["fit", "d", "--recipe", ""]])
def test_completion_loads_nothing_heavy(line):
    code = "from click.shell_completion import BashComplete; from scribe_cli.cli.main import scribe\n"
    code += f"BashComplete(scribe, {{}}, 'scribe', '_SCRIBE_COMPLETE').get_completions({line[:-1]!r}, {line[-1]!r})"
    loaded = loaded_after(code)
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
