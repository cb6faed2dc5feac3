"""Five fits of different kinds, and what the first screen of the report of each must say.

`python -m tests.reports DIR` makes the fits and their reports in DIR.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

import scribe_cli
from scribe_cli.run.result import Result

M0, CAPTURED = 200_000.0, 0.01  # molecules of a cell (organism human), and the share of them that is counted
PHI = 0.005
HUMAN = {"priors": {"organism": "human"}}
NBVCP = {"model": "nbvcp", "parameterization": "mean_odds", "unconstrained": True, **HUMAN}
NBDM = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True}
SVI = {"svi": {"n_samples": 50}}
SMALL = {"output": {"layers": [], "ppc_samples": 50}}


@dataclass(frozen=True)
class Kind:
    """A fit to `cells` x `genes` of nbvcp counts. level: of the verdict; raised: the warnings of metrics.json;

    said: {topic: (its level, patterns of its text)} of the first screen.
    """

    recipe: Mapping[str, Any]
    level: str
    raised: tuple[str, ...]
    said: Mapping[str, tuple[str, tuple[str, ...]]]
    cells: int = 100
    genes: int = 30
    spread: float = 0.4  # sd of log capture over cells
    headline: tuple[str, ...] = field(default=())

    def counts(self) -> anndata.AnnData:
        return nbvcp_counts(self.cells, self.genes, self.spread)

    def fit(self, out: Path) -> Result:
        return scribe_cli.fit(self.counts(), {**SMALL, **self.recipe}, out, seed=1)


def nbvcp_counts(cells: int, genes: int, spread: float, seed: int = 0) -> anndata.AnnData:
    """Counts of the model nbvcp whose cells hold M0 molecules of these genes."""
    rng = np.random.default_rng([seed, cells, genes])
    mu = np.geomspace(1, 300, genes)
    mu *= M0 / mu.sum()
    nu = np.exp(np.log(CAPTURED) + spread * rng.normal(size=cells))
    r = mu * PHI
    counts = rng.poisson(rng.gamma(r, mu / r, (cells, genes)) * nu[:, None])
    obs = pd.DataFrame(index=pd.Index([f"cell{i}" for i in range(cells)], dtype=object))
    var = pd.DataFrame(index=pd.Index([f"gene{i}" for i in range(genes)], dtype=object))
    return anndata.AnnData(scipy.sparse.csr_matrix(counts.astype(np.float32)), obs, var)


KINDS = {
    "good": Kind(
        NBVCP | SVI,
        "good",
        (),
        {
            "Convergence": ("good", ("has converged", "mode was found")),
            "Predictive checks": ("good", ("look like the data",)),
            "Scale of \u03bc": ("good", ("organism human", "200,000 molecules")),
            "Amount of data": ("good", ("100 cells",)),
        },
        headline=("Nothing speaks against",),
    ),
    "wrong model": Kind(
        NBDM | SVI,
        "problem",
        ("many_genes_misfit", "cell_totals_misfit"),
        {
            "Convergence": ("good", ("has converged",)),
            "Predictive checks": ("problem", ("of the genes", "of the cells have a total", r"capture \(nbvcp\)")),
        },
        headline=("Do not rely", "many genes do not look like the model"),
    ),
    "stopped early": Kind(
        {**NBVCP, "svi": {"n_steps": 40, "early_stopping": False, "n_samples": 50}},
        "problem",
        ("not_converged",),
        {"Convergence": ("problem", ("not converged after 40 steps", "set svi.n_steps"))},
        headline=("Do not rely", "has not converged"),
    ),
    "divergences": Kind(
        {
            **NBVCP,
            "inference_method": "mcmc",
            "mcmc": {"n_warmup": 10, "n_samples": 100, "n_chains": 2, "target_accept": 0.2, "svi_init": False},
        },
        "problem",
        ("not_converged", "divergences"),
        {"Convergence": ("problem", ("R-hat", "ESS", "divergent transitions", "raise mcmc.target_accept"))},
        cells=40,
        genes=8,
        headline=("has not converged", "chains diverged"),
    ),
    "few": Kind(
        NBVCP | SVI,
        "problem",
        ("few_data",),
        {"Amount of data": ("problem", ("5 cells", "neither dispersions nor zero inflation can be learnt"))},
        cells=5,
        genes=3,
        headline=("too few data",),
    ),
}


@dataclass(frozen=True)
class Screen:
    """The first screen of a report, as text. topics: {name: (level, text)}."""

    level: str
    headline: str
    topics: Mapping[str, tuple[str, str]]


def first_screen(page: str) -> Screen:
    head = re.search(r'<header id="verdict">.*?</header>', page, re.S)[0]
    level, headline = re.search(r'<p class="verdict (\w+)">(.*?)</p>', head, re.S).groups()
    rows = re.findall(r'<div class="(\w+)"><dt>(.*?)</dt>(.*?)</div>', head, re.S)
    return Screen(level, text(headline), {text(topic): (level, text(rest)) for level, topic, rest in rows})


def text(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def main(folder: Path) -> None:
    for name, kind in KINDS.items():
        out = folder / f"{name.replace(' ', '-')}.scribe"
        found = kind.fit(out)
        screen = first_screen((out / "report.html").read_text())
        raised = [k for k, v in found.metrics.items() if k.startswith("warning_") and v]
        print(f"{name}: {screen.level}: {screen.headline}\n  {out}/report.html\n  {', '.join(raised)}", flush=True)
        for topic, (level, said) in screen.topics.items():
            print(f"  {level:8} {topic}: {said}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
