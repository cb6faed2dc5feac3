"""make bench: the phases of a whole fit, the engine against the dense sum as ratios in one run, and growth with the data.

make bench BENCH=counts.h5ad takes a file of your own; without it, one is simulated (3,000 cells x 8,000 genes).
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from . import engine, growth

RECIPE = "model: nbvcp\nparameterization: mean_odds\npriors: {organism: human}\n"
PHASES = ("read", "compile", "fit", "draws", "ppc", "write", "total")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        recipe = folder / "nbvcp.yaml"
        recipe.write_text(RECIPE)
        data = Path(os.environ["BENCH_DATA"]) if os.environ.get("BENCH_DATA") else simulated(folder, recipe)
        print(f"{date.today()}  {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"{data.name}, nbvcp (mean_odds, organism human)\n")
        phases(data, recipe, folder)
        engine.compare(data)
        print()
        growth.compare(folder, lambda *asked: simulate(folder, recipe, *asked))


def simulated(folder: Path, recipe: Path) -> Path:
    out = folder / "simulated.h5ad"
    simulate(folder, recipe, 3000, 8000, "priors.mu=[0, 2]", out)
    return out


def simulate(folder: Path, recipe: Path, cells: int, genes: int, setting: str, out: Path) -> None:
    scribe(folder, "simulate", "--recipe", recipe, "--cells", cells, "--genes", genes, "--set", setting, "-o", out)


def phases(data: Path, recipe: Path, folder: Path) -> None:
    """A cold fit (empty compile cache) and a warm one, each a process of its own."""
    print("whole fit, seconds      " + "".join(f"{p:>9}" for p in PHASES) + "   wall  peak GB  steps  programs")
    for name in ("cold", "warm"):
        out = folder / f"{name}.scribe"
        start = time.perf_counter()
        scribe(folder, "fit", data, "--recipe", recipe, "-o", out, "-q")
        wall = time.perf_counter() - start
        m = json.loads((out / "metrics.json").read_text())
        row = "".join(f"{m[f'seconds_{p}']:9.1f}" for p in PHASES)
        print(f"  {name:<22}{row}{wall:7.1f}{m['peak_memory_gb']:9.2f}{m['n_steps']:7}{m['programs_compiled']:10}")
    print()


def scribe(folder: Path, *words: object) -> None:
    env = os.environ | {"SCRIBE_CACHE_DIR": str(folder / "cache")}
    subprocess.run([sys.executable, "-m", "scribe_cli", *map(str, words)], check=True, env=env, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
