"""Predictive checks of a posterior: the tables of genes and of cells, for all cells, for each dataset and each component."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...core.analysis import pointwise, predictive, totals
from ...core.analysis.points import Points, points_of
from ...core.analysis.predictive import GeneTables, Observed
from ...core.axes import COMPONENT, DATASET
from ...core.inference.posterior import Posterior
from ...core.model import program
from ...core.model.spec import ModelSpec
from ...data import statistics
from ...data.counts import CountData
from ..recipe.config import Config
from .assemble import Collected

PREDICTED = {"ppc_mean": "mean_pred", "ppc_var": "var_pred", "ppc_zero": "zero_pred"}


class Key(NamedTuple):
    """Which cells: of a component, of a dataset, "" for any."""

    component: str = ""
    dataset: str = ""


WHOLE = Key()


@dataclass(frozen=True)
class Checks:
    """genes: of all cells; tables: {ppc_gene, ppc_hist: {column: values}}; cells: {total_obs ...: (cells,)};

    component_prob: (cells, components) probability of each given the cell's counts and label, None if there is one.
    """

    genes: GeneTables
    tables: Mapping[str, Mapping]
    cells: Mapping[str, np.ndarray]
    component_prob: np.ndarray | None = None

    @property
    def gene_columns(self) -> dict[str, np.ndarray]:
        """What var holds of them."""
        return {name: self.genes.genes[column] for name, column in PREDICTED.items()} | {"ppc_p": self.genes.p}


@dataclass(frozen=True)
class Group:
    """Cells that are checked together; their places, their counts, and the component that they are predicted by."""

    key: Key
    cells: np.ndarray
    observed: Observed
    component: int | None = None

    def points(self, of_all: Points) -> Points:
        """Draws of what predicts them."""
        found = of_all.cells(self.cells)
        return found if self.component is None else found.component(self.component)


def check(posterior: Posterior, collected: Collected, config: Config, threads: int) -> Checks:
    """`output.ppc_samples` of the posterior's draws, evenly spaced (all where there are fewer). Threads change no result."""
    counts, spec, by_dataset = collected.counts, posterior.spec, config.dataset_key is not None
    drawn = points_of(spec, posterior.facts, posterior.some(config.output.ppc_samples))
    probability = of_components(posterior, counts) if spec.mixed else None
    groups = [_whole(collected), *(datasets(counts, config.dataset_key) if by_dataset else ())]
    if probability is not None:
        groups += components(counts, probability, counts.design.components)
    found = gene_tables(spec, drawn, groups, config.seed, threads)
    cells = totals.cell_table(spec, drawn, counts.total, config.seed, threads)
    return Checks(found[WHOLE], tables(found, counts.gene_names, labelled(spec, by_dataset)), cells, probability)


def of_components(posterior: Posterior, counts: CountData) -> np.ndarray:
    """(cells, components) probabilities at the MAP, guided by the labels of cells."""
    natural = program.natural(posterior.spec, posterior.point_log_scale())
    return pointwise.components(posterior.spec, natural, posterior.facts, counts.chunks(), guided=True)


def hard(probability: np.ndarray) -> np.ndarray:
    """(cells,) the likeliest component of each, as the store has it: in float32."""
    return probability.astype(np.float32).argmax(1)


def _whole(collected: Collected) -> Group:
    counts, h = collected.counts, collected.histogram
    observed = Observed.of_histogram(counts.n_cells, counts.n_genes, h.gene, h.count, h.n, counts.total)
    return Group(WHOLE, np.arange(counts.n_cells), observed)


def datasets(counts: CountData, dataset_key: str) -> Iterator[Group]:
    """The cells of each dataset."""
    codes, labels = counts.labels(dataset_key, complete=True)
    return split(counts, codes, [Key(dataset=label) for label in labels])


def components(counts: CountData, probability: np.ndarray, names: Sequence[str]) -> Iterator[Group]:
    """The cells whose likeliest component it is, predicted by its law alone."""
    return split(counts, hard(probability), [Key(name) for name in names], by_component=True)


def split(counts: CountData, codes: np.ndarray, keys: Sequence[Key], by_component: bool = False) -> Iterator[Group]:
    """The cells of each code; none of one without cells."""
    tally = statistics.collect(statistics.tally(counts.n_genes, codes, len(keys)), counts.chunks())
    h = statistics.histogram(tally, counts.n_genes)
    for code, key in enumerate(keys):
        cells, rows = np.flatnonzero(codes == code), h.dataset == code
        if len(cells):
            parts = (v[rows] for v in (h.gene, h.count, h.n))
            observed = Observed.of_histogram(len(cells), counts.n_genes, *parts, counts.total[cells])
            yield Group(key, cells, observed, code if by_component else None)


def gene_tables(
    spec: ModelSpec, drawn: Points, groups: Sequence[Group], seed: int, threads: int
) -> dict[Key, GeneTables]:
    """{key: the tables of a group's cells}."""
    return {g.key: predictive.gene_tables(spec, g.points(drawn), g.observed, seed, threads) for g in groups}


def labelled(spec: ModelSpec, by_dataset: bool) -> tuple[str, ...]:
    """The columns that say of which cells a row is."""
    return (*((COMPONENT,) if spec.mixed else ()), *((DATASET,) if by_dataset else ()))


def tables(parts: Mapping[Key, GeneTables], gene_names: np.ndarray, axes: Sequence[str]) -> dict[str, dict]:
    """One below the other; axes: of `labelled`, whose columns are "" for all cells together."""
    found = {"ppc_gene": [], "ppc_hist": []}
    for key, part in parts.items():
        gene, histogram = {"gene": gene_names}, {"gene": gene_names[part.histogram["gene"]]}
        for columns in (gene, histogram):
            columns |= {axis: np.full(len(columns["gene"]), getattr(key, axis), object) for axis in axes}
        found["ppc_gene"].append(gene | part.genes)
        found["ppc_hist"].append(histogram | {k: v for k, v in part.histogram.items() if k != "gene"})
    return {stem: {k: np.concatenate([p[k] for p in rows]) for k in rows[0]} for stem, rows in found.items()}
