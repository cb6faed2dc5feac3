"""Counts simulated from each model with known truth, and what a fit makes of them.

`python -m tests.recovery` prints the figures that tests/test_recovery.py bounds.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from scribe_cli.core.inference.posterior import Posterior
from scribe_cli.core.inference.problem import Problem
from scribe_cli.data.counts import CountData
from scribe_cli.data.source import InMemory, Source
from scribe_cli.run import assemble, config, inference, reading
from scribe_cli.run.assemble import Collected
from scribe_cli.run.config import Config
from scribe_cli.run.console import Console

CELLS, GENES = 800, 150
LOG_M0, SIGMA_M = np.log(200_000.0), 0.3  # organism human
NU = 0.02  # typical capture
SHARED_PHI = 0.3  # odds after capture, of the models with one p
LEVEL = 0.9


@dataclass(frozen=True)
class Truth:
    """mu, r, gate (genes,), nu (cells,); gate 0 and nu 1 where the model has none."""

    mu: np.ndarray
    r: np.ndarray
    gate: np.ndarray
    nu: np.ndarray


@dataclass(frozen=True)
class Study:
    """Simulated counts of a model, and the recipe that fits it."""

    truth: Truth
    config: Config
    collected: Collected

    @property
    def problem(self) -> Problem:
        return assemble.problem(self.collected, self.config.resolve(), "auto", None, share_rows=True)

    @property
    def start(self) -> dict:
        return assemble.start(self.collected, self.problem)

    def posterior(self) -> Posterior:
        return inference.infer(self.collected, self.config.resolve(), self.config, Console(quiet=True)).posterior


def study(model: str, parameterization: str = "mean_odds", seed: int = 0, cells: int = CELLS, genes: int = GENES) -> Study:
    """Means after capture from 0.1 to 30; gate, free r and capture from the model's own priors (MODELS.md 3, 4)."""
    rng = np.random.default_rng([seed, cells, genes])
    captured, gated = model.endswith("vcp"), model.startswith("zi")
    library = LOG_M0 + np.log(NU) + 0.4 * rng.normal(size=cells)
    nu = np.exp(-_truncated(rng, LOG_M0 - library)) if captured else np.ones(cells)
    mu = 10.0 ** rng.uniform(-1, np.log10(30), genes) / nu.mean()
    r = np.exp(1.5 * rng.normal(size=genes)) if parameterization == "mean_disp" else mu * nu.mean() * SHARED_PHI
    gate = 1 / (1 + np.exp(2 - rng.normal(size=genes))) if gated else np.zeros(genes)
    counts = rng.poisson(rng.gamma(r, mu / r, (cells, genes)) * nu[:, None]) * (rng.random((cells, genes)) >= gate)
    recipe = {"model": model, "parameterization": parameterization, "unconstrained": True}
    if captured:
        recipe |= {"priors": {"organism": "human"}, "data": {"library_size": "library"}}
    asked = config.load(recipe, {})
    data = CountData.build(_source(counts, np.exp(library)), reading.selection(asked))
    return Study(Truth(mu, r, gate, nu), asked, assemble.collect(data, asked.resolve()))


def _truncated(rng, loc):
    """Normal(loc, SIGMA_M) above 0."""
    eta = loc + SIGMA_M * rng.normal(size=loc.shape)
    while (eta < 0).any():
        eta = np.where(eta < 0, loc + SIGMA_M * rng.normal(size=loc.shape), eta)
    return eta


def _source(counts, library) -> Source:
    obs = pd.DataFrame({"library": library}, index=pd.Index([f"c{i}" for i in range(counts.shape[0])], dtype=object))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(counts.shape[1])], dtype=object))
    csr = csr_array(counts)
    return Source(Path("simulated"), "h5ad", "X", InMemory(csr.shape, csr.nnz, lambda: csr), obs, var, ("X",), reopen=None)


def coverage(truth: Truth, posterior: Posterior) -> dict[str, float]:
    """{quantity: share of genes whose central 90 % interval holds the truth}.

    Besides the parameters: mu against the mean mu (free of the scale that mu and capture share), and the mean
    mu (1 - gate) (free of the trade between mu and its gate). A mean-field guide sees neither of these two.
    """
    draws = {v.name: v.draws for v in posterior.variables() if v.axes == ("gene",)}
    draws["mu / mean mu"] = draws["mu"] / draws["mu"].mean(-1, keepdims=True)
    true = {"mu": truth.mu, "r": truth.r, "mu / mean mu": truth.mu / truth.mu.mean()}
    if "gate" in draws:
        draws["mu (1-gate)"] = draws["mu"] * (1 - draws["gate"])
        true |= {"gate": truth.gate, "mu (1-gate)": truth.mu * (1 - truth.gate)}
    return {name: float(_holds(draws[name], value).mean()) for name, value in true.items()}


def _holds(draws, value):
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return (low <= value) & (value <= high)


CASES = (("nbdm", "mean_odds"), ("nbvcp", "mean_odds"), ("zinb", "mean_odds"), ("zinbvcp", "mean_odds"), ("nbvcp", "mean_disp"))


def main() -> None:
    for model, parameterization in CASES:
        begun = time.perf_counter()
        one = study(model, parameterization)
        posterior = one.posterior()
        shares = "  ".join(f"{name} {share:.2f}" for name, share in coverage(one.truth, posterior).items())
        print(f"{model:8} {parameterization:10} {shares}  ({time.perf_counter() - begun:.0f} s, {posterior.diagnostics})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
