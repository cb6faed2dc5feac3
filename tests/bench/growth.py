"""How the fit phase grows with the number of cells and of genes, on counts as sparse as those of a 10x run.

The fit phase is the inference itself, statistics and programs ready: the second of two fits in one process.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from scribe_cli.run import reading
from scribe_cli.run.fitting import assemble, inference
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console

HUMAN = {"priors": {"organism": "human"}, "data": {"library_size": "library_size"}}
MODELS = {
    "nbvcp": {"model": "nbvcp", "parameterization": "mean_odds", "unconstrained": True} | HUMAN,
    "nbdm": {"model": "nbdm", "parameterization": "mean_odds"},
}
SIZES = ((1_000, 20_000), (10_000, 20_000), (100_000, 20_000), (10_000, 2_000))
SPARSE = "priors.mu=[-0.1, 1.6]"  # with capture near .05, about a tenth of the counts are not zero


def compare(folder: Path, simulate) -> None:
    """simulate(cells, genes, setting, file) makes the counts."""
    print("fit phase, seconds     cells    genes     non-zeros     read   collect      fit   steps  peak GB")
    for n_cells, n_genes in SIZES:
        data = folder / f"{n_cells}x{n_genes}.h5ad"
        simulate(n_cells, n_genes, SPARSE, data)
        for name, recipe in MODELS.items():
            print(f"  {name:<14}" + row(data, recipe), flush=True)
        data.unlink()


def row(data: Path, recipe: dict) -> str:
    settings, console = config.load(recipe), Console(quiet=True)
    read, counts = timed(lambda: reading.read([data], settings, False, console))
    gathered, collected = timed(lambda: assemble.collect(counts, settings.resolve()))
    for _ in range(2):
        fresh = Console(quiet=True)
        inferred = inference.infer(collected, settings.resolve(), settings, fresh)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    steps = inferred.posterior.diagnostics["n_steps"]
    seconds = f"{read:9.1f}{gathered:10.1f}{fresh.spent('fit'):9.2f}"
    return f"{counts.n_cells:14,}{counts.n_genes:9,}{counts.nnz:14,}{seconds}{steps:8}{peak:9.2f}"


def timed(call):
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found
