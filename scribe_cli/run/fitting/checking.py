"""Predictive checks of a posterior: the tables of genes and of cells, for all cells and for each dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.analysis import predictive, totals
from ...core.analysis.expected import Points
from ...core.analysis.predictive import GeneTables, Observed
from ...core.inference.posterior import Posterior
from ...core.model.spec import ModelSpec
from ...data import statistics
from ...data.counts import CountData
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


@dataclass(frozen=True)
class Group:
    """Cells that are checked together: "" for all of them, or the label of a dataset; their places, and their counts."""

    label: str
    cells: np.ndarray
    observed: Observed


def check(posterior: Posterior, collected: Collected, config: Config, threads: int) -> Checks:
    """`output.ppc_samples` of the posterior's draws, evenly spaced (all where there are fewer). Threads change no result."""
    counts = collected.counts
    points = predictive.points_of(posterior.spec, posterior.facts, posterior.some(config.output.ppc_samples))
    h = collected.histogram
    observed = Observed.of_histogram(counts.n_cells, counts.n_genes, h.gene, h.count, h.n, counts.total)
    groups = [Group("", np.arange(counts.n_cells), observed)]
    if config.dataset_key is not None:
        groups += datasets(counts, config.dataset_key)
    found = gene_tables(posterior.spec, points, groups, config.seed, threads)
    cells = totals.cell_table(posterior.spec, points, counts.total, config.seed)
    return Checks(found[""], tables(found, counts.gene_names, config.dataset_key is not None), cells)


def datasets(counts: CountData, dataset_key: str) -> list[Group]:
    """The cells of each dataset."""
    codes, labels = counts.labels(dataset_key, complete=True)
    tally = statistics.collect(statistics.tally(counts.n_genes, codes, len(labels)), counts.chunks())
    h = statistics.histogram(tally, counts.n_genes)
    found = []
    for code, label in enumerate(labels):
        cells, rows = np.flatnonzero(codes == code), h.dataset == code
        parts = (v[rows] for v in (h.gene, h.count, h.n))
        found.append(Group(label, cells, Observed.of_histogram(len(cells), counts.n_genes, *parts, counts.total[cells])))
    return found


def gene_tables(
    spec: ModelSpec, points: Points, groups: Sequence[Group], seed: int, threads: int
) -> dict[str, GeneTables]:
    """{label: the tables of a group's cells}."""
    return {g.label: predictive.gene_tables(spec, points.cells(g.cells), g.observed, seed, threads) for g in groups}


def tables(parts: Mapping[str, GeneTables], gene_names: np.ndarray, labelled: bool) -> dict[str, dict]:
    """One below the other; where they are `labelled`, the column `dataset` is "" for all cells together."""
    found = {"ppc_gene": [], "ppc_hist": []}
    for label, part in parts.items():
        gene, histogram = {"gene": gene_names}, {"gene": gene_names[part.histogram["gene"]]}
        for columns in (gene, histogram) if labelled else ():
            columns["dataset"] = np.full(len(columns["gene"]), label, object)
        found["ppc_gene"].append(gene | part.genes)
        found["ppc_hist"].append(histogram | {k: v for k, v in part.histogram.items() if k != "gene"})
    return {stem: {k: np.concatenate([p[k] for p in rows]) for k in rows[0]} for stem, rows in found.items()}
