"""Predictive checks on counts that follow the model, and on counts that do not.

`python -m tests.calibration` prints the figures that tests/test_calibration.py bounds.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import tempfile
from pathlib import Path

import anndata
import jax
import numpy as np
import pandas as pd
from scipy import stats
from scipy.sparse import csr_matrix

from scribe_cli.cli.main import main as scribe
from scribe_cli.io.stored import open_fit
from scribe_cli.run import redraw
from scribe_cli.run.fitting import assemble, checking, misfit
from scribe_cli.run.recipe import config
from tests import recovery
from tests.recovery import Study, study

MODELS = ("nbdm", "nbvcp", "zinb", "zinbvcp")
STATISTICS = ("var", "zero", "max")
CELLS, GENES = 600, 300
DATA_SETS = 12
SEEN = 0.5  # mean count above which a gene's statistics are not mostly ties
SEED = 1000  # of new counts: none of the draws that the fit is checked with


def write(path: Path, counts: np.ndarray, **obs) -> Path:
    """Cells and genes are called as recovery calls them."""
    rows, columns = (pd.Index([f"{k}{i}" for i in range(n)], dtype=object) for k, n in zip("cg", counts.shape, strict=True))
    data = anndata.AnnData(csr_matrix(counts.astype(np.float32)), pd.DataFrame(obs, rows), pd.DataFrame(index=columns))
    data.write_h5ad(path)
    return path


def run(*words) -> None:
    code = scribe([*map(str, words), "-q"])
    if code:
        raise RuntimeError(f"scribe {' '.join(map(str, words))}: exit code {code}")


def gene_table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(gzip.decompress((folder / "ppc_gene.tsv.gz").read_bytes())), sep="\t")


def fitted(folder: Path, one: Study) -> Path:
    """OUT of the fit of a study's counts by the command."""
    counts = one.collected.counts
    data = write(folder / "counts.h5ad", counts.csr.toarray(), library=counts.library)
    (folder / "recipe.yaml").write_bytes(one.config.source.text)
    run("fit", data, "--recipe", folder / "recipe.yaml", "-o", folder / "fit", "--set", "output.layers=[]")
    return folder / "fit"


@dataclasses.dataclass(frozen=True)
class Fresh:
    """p: {statistic: (data sets, genes) mid-p} of counts drawn from a fit's predictive and checked against that fit.

    mean: (genes,) of the counts that were fitted.
    """

    p: dict[str, np.ndarray]
    mean: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        return np.flatnonzero(self.mean > SEEN)

    def one_each(self, statistic: str) -> np.ndarray:
        """One p for each gene seen, from the data sets in turn: of two genes of one data set the p are not quite
        independent, since these share its parameters."""
        return self.p[statistic][self.seen % len(self.p[statistic]), self.seen]


def fresh(model: str, n: int = DATA_SETS, cells: int = CELLS, genes: int = GENES) -> Fresh:
    """Through `scribe fit`, the draws of `scribe_cli` and `scribe ppc FIT DATA`, as a user would do it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = study(model, cells=cells, genes=genes)
        stored = open_fit(fitted(folder, one))
        drawn = redraw.counts(stored, n, seed=SEED)
        tables = []
        for counts in drawn:
            data = write(folder / "new.h5ad", counts)
            run("ppc", stored.out, data, "-o", folder / "new", "--seed", len(tables))
            tables.append(gene_table(folder / "new"))
    p = {s: np.stack([t[f"{s}_p"] for t in tables]) for s in STATISTICS}
    return Fresh(p, tables[0]["mean_pred"].to_numpy())


def uniformity(found: Fresh) -> dict[str, dict[str, float]]:
    """{statistic: figures} of the genes seen. ks_p: of the mid-p of one data set a gene, against the uniform law, by
    Kolmogorov and Smirnov; mean and sd (1/2 and .289 if uniform) and shares in the tails, of all data sets."""
    figures = {}
    for name, p in found.p.items():
        all_p = p[:, found.seen]
        two_sided = 2 * np.minimum(all_p, 1 - all_p)
        figures[name] = {
            "genes": len(found.seen),
            "ks_p": float(stats.kstest(found.one_each(name), "uniform").pvalue),
            "mean": float(all_p.mean()),
            "sd": float(all_p.std()),
            "below 0.05": float((two_sided < 0.05).mean()),
            "below 0.01": float((two_sided < 0.01).mean()),
        }
    return figures


def refitted(model: str, data: Study, parameterization: str = "mean_odds") -> Study:
    """The counts of a study with the recipe of another model."""
    recipe = {"model": model, "parameterization": parameterization, "unconstrained": True}
    if model.endswith("vcp"):
        recipe["priors"] = {"organism": "human"}
    asked = config.load(recipe, {})
    return Study(data.truth, asked, assemble.collect(data.collected.counts, asked.resolve()))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of a fit that is checked with the counts it was made of: the tables of the genes seen, and the cells' total_p."""

    genes: dict[str, np.ndarray]
    p: np.ndarray
    total_p: np.ndarray

    @property
    def fails(self) -> misfit.Misfit:
        return misfit.of_genes(self.genes, np.zeros(len(self.p), bool))

    def shares(self) -> dict[str, float]:
        """{statistic, and whether it is above or below the predictions: share of the genes}, and of cells with a misfit."""
        found = self.fails
        sides = {"above": found.above, "below": found.below}
        shares = {f"{s} {word}": sides[word][s] / found.genes for s in misfit.STATISTICS for word in sides}
        return {"any": found.share} | shares | {"cells": misfit.of_cells(self.total_p)}

    def alarms(self, level: float = 0.05) -> dict[str, float]:
        """{statistic: share of the genes whose two-sided p is below the level}, of all four, and of the cells' totals."""
        two_sided = {s: 2 * np.minimum(p := self.genes[f"{s}_p"], 1 - p) for s in misfit.STATISTICS}
        shares = {s: float((p < level).mean()) for s, p in two_sided.items()}
        cells = 2 * np.minimum(self.total_p, 1 - self.total_p)
        return shares | {"all four": float((self.p < level).mean()), "cells": float((cells < level).mean())}


def outcome(one: Study) -> Outcome:
    found = checking.check(one.posterior(), one.collected, one.config, 2)
    seen = found.genes.genes["mean_obs"] > SEEN
    genes = {name: v[seen] for name, v in found.genes.genes.items()}
    return Outcome(genes, found.genes.p[seen], found.cells["total_p"])


def simulated(model: str, seed: int = 0) -> Study:
    return study(model, seed=seed, cells=CELLS, genes=GENES)


MISFITS = {
    "nbdm on nbvcp": ("nbdm", "nbvcp", "mean_odds"),
    "nbvcp on zinbvcp": ("nbvcp", "zinbvcp", "mean_odds"),
    "nbvcp with free r on zinbvcp": ("nbvcp", "zinbvcp", "mean_disp"),
}


def misfitted(name: str) -> Outcome:
    model, of, parameterization = MISFITS[name]
    return outcome(refitted(model, simulated(of), parameterization))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    for model in MODELS:
        for statistic, figures in uniformity(fresh(model)).items():
            recovery.show(f"new counts of a fit of {model}, {statistic}", figures, 3)
    for model in MODELS:
        recovery.show(f"false alarms at 5 % after a fit of {model}", outcome(simulated(model)).alarms(), 3)
    for name in MISFITS:
        recovery.show(f"fails, {name}", misfitted(name).shares(), 3)


if __name__ == "__main__":
    main()
