"""A trial fit: counts from known parameters, fitted from end to end in a temporary folder, and compared with them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...io.stored import StoredFit, open_fit
from ..fit import fit
from ..options import FitOptions, Machine, SimulateOptions
from ..simulate import simulate
from ..terminal.console import Console
from .finding import PROBLEM, Finding

RECIPE = "nbvcp"
N_CELLS, N_GENES = 400, 100
MOLECULES = 200_000  # of a human cell, which the recipe assumes
# of the genes: how many true r lie in their 90 % intervals, and how far the middle one is off, in log r
COVERED, OFF = (0.75, 1.0), 0.15


@dataclass(frozen=True)
class Outcome:
    seconds: float
    converged: bool
    covered: float
    off: float

    @property
    def good(self) -> bool:
        return self.converged and COVERED[0] <= self.covered <= COVERED[1] and self.off <= OFF


def fitted(machine: Machine) -> Outcome:
    """Errors: those of simulate and fit."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scribe-doctor-") as name:
        folder, console = Path(name), Console(quiet=True)
        given, data, out = folder / "given.npz", folder / "trial.h5ad", folder / "trial.scribe"
        true = _parameters()
        np.savez(given, **true)
        simulate(SimulateOptions(RECIPE, data, {"seed": 1}, N_CELLS, N_GENES, params=given, machine=machine), console)
        fit(FitOptions((data,), RECIPE, out, machine=machine), console)
        return _outcome(open_fit(out), true["mu"] * true["phi"], time.monotonic() - started)


def _parameters() -> dict[str, np.ndarray]:
    """Genes from rare to frequent, cells of different capture: a mean of 15 counts in a gene."""
    rng = np.random.default_rng(1)
    mu = np.exp(rng.normal(0, 1.0, N_GENES))
    return {
        "mu": mu * MOLECULES / mu.sum(),
        "phi": np.float64(0.0005),
        "p_capture": 0.0075 * np.exp(rng.normal(0, 0.3, N_CELLS)),
    }


def _outcome(stored: StoredFit, true: np.ndarray, seconds: float) -> Outcome:
    statistics = stored.summary("r").statistics
    covered = (statistics["q05"] <= true) & (true <= statistics["q95"])
    off = np.abs(np.log(statistics["map"] / true))
    return Outcome(seconds, bool(stored.metrics["converged"]), float(covered.mean()), float(np.median(off)))


def finding(outcome: Outcome) -> Finding:
    text = f"{N_CELLS} cells x {N_GENES} genes in {outcome.seconds:.0f} s, {outcome.covered:.0%} of r in 90 % intervals"
    if outcome.good:
        return Finding("trial fit", text)
    wrong = f"{text}, the middle one off by {outcome.off:.2f} in log r"
    if not outcome.converged:
        wrong += ", not converged"
    return Finding(
        "trial fit", wrong, PROBLEM, "results here are wrong: install anew; if that does not help, report it"
    )
