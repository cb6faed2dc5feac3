"""Predictive checks of a posterior: the tables of genes and of cells, for all cells and for each dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...core.analysis import predictive
from ...core.analysis.expected import Points
from ...core.analysis.predictive import GeneTables, Observed
from ...core.inference.posterior import Posterior
from ...data import statistics
from ..recipe.config import Config
from .assemble import Collected

PREDICTED = {"ppc_mean": "mean_pred", "ppc_var": "var_pred", "ppc_zero": "zero_pred"}


@dataclass(frozen=True)
class Checks:
    """genes: of all cells; tables: {ppc_gene, ppc_hist: {column: values}}; cells: {total_obs ...: (cells,)}."""

    genes: GeneTables
    tables: Mapping[str, Mapping]
    cells: Mapping[str, np.ndarray]

    @property
    def gene_columns(self) -> dict[str, np.ndarray]:
        """What var holds of them."""
        return {name: self.genes.genes[column] for name, column in PREDICTED.items()} | {"ppc_p": self.genes.p}


def check(posterior: Posterior, collected: Collected, config: Config, threads: int) -> Checks:
    """`output.ppc_samples` of the posterior's draws, evenly spaced (all where there are fewer). Threads change no result."""
    n_draws, seed, dataset_key = config.output.ppc_samples, config.seed, config.dataset_key
    counts = collected.counts
    points = predictive.points_of(posterior.spec, posterior.facts, posterior.some(n_draws))
    observed = Observed(
        counts.n_cells,
        counts.n_genes,
        collected.histogram.gene,
        collected.histogram.count,
        collected.histogram.n,
        counts.total,
    )
    genes = predictive.gene_tables(posterior.spec, points, observed, seed, threads)
    cells = predictive.cell_table(posterior.spec, points, observed, seed)
    parts = {"": genes} if dataset_key is None else {"": genes} | _by_dataset(posterior, collected, points, seed, dataset_key)
    return Checks(genes, _tables(parts, counts.gene_names, dataset_key is not None), cells)


def _by_dataset(posterior, collected: Collected, points: Points, seed: int, dataset_key: str) -> dict[str, GeneTables]:
    """The tables of the cells of each dataset alone."""
    counts = collected.counts
    codes, labels = counts.labels(dataset_key, complete=True)
    tally = statistics.collect(statistics.tally(counts.n_genes, codes, len(labels)), counts.chunks())
    histogram = statistics.histogram(tally, counts.n_genes)
    found = {}
    for code, label in enumerate(labels):
        cells, rows = codes == code, histogram.dataset == code
        part = Observed(
            int(cells.sum()),
            counts.n_genes,
            histogram.gene[rows],
            histogram.count[rows],
            histogram.n[rows],
            counts.total[cells],
        )
        log_nu = None if points.log_nu is None else points.log_nu[:, cells]
        of_part = Points(points.core, points.logit_gate, log_nu)
        found[label] = predictive.gene_tables(posterior.spec, of_part, part, seed)
    return found


def _tables(parts: Mapping[str, GeneTables], gene_names: np.ndarray, labelled: bool) -> dict[str, dict]:
    """One below the other; the column `dataset` is "" for all cells together."""
    found = {"ppc_gene": [], "ppc_hist": []}
    for label, tables in parts.items():
        gene, histogram = {"gene": gene_names}, {"gene": gene_names[tables.histogram["gene"]]}
        for columns in (gene, histogram) if labelled else ():
            columns["dataset"] = np.full(len(columns["gene"]), label, object)
        found["ppc_gene"].append(gene | tables.genes)
        found["ppc_hist"].append(histogram | {k: v for k, v in tables.histogram.items() if k != "gene"})
    return {stem: {k: np.concatenate([p[k] for p in rows]) for k in rows[0]} for stem, rows in found.items()}
