"""The arrows of the house go one way, and what must start light starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scribe_cli"

# a layer may use itself, the layers named for it, and what those may use, where "with all below" is said
CORE = (
    "errors",
    "core.registry",
    "core.axes",
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
HEAVY = ("jax", "anndata", "numpyro", "pandas", "numpy", "scipy")


def layer_of(module: str) -> str | None:
    """The layer of `scribe_cli.core.model.spec`: core.model. None for the package itself."""
    inner = module.removeprefix("scribe_cli").removeprefix(".")
    return max((name for name in ALLOWED if f"{inner}.".startswith(f"{name}.")), key=len, default=None)


def imported(path: Path) -> list[str]:
    """Every module or name that a file imports, absolute, `a.b.c` for `from a.b import c`."""
    package = ".".join(path.relative_to(ROOT).parent.parts).split(".")
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            found += [".".join([*base, name.name]) for name in node.names]
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_one_place_catches_everything_and_one_prints(path):
    inner = str(path.relative_to(PACKAGE))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and inner != "cli/errors.py":
            caught = "" if node.type is None else ast.unparse(node.type)
            assert node.type is not None and "Exception" not in caught.split("."), f"{inner}:{node.lineno}"
        if isinstance(node, ast.Attribute) and inner != "run/console.py":
            assert ast.unparse(node) not in ("sys.stdout", "sys.stderr"), f"{inner}:{node.lineno}"
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "click.echo"), f"{inner}:{node.lineno}"


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
