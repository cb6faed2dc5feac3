"""The counts that a fit is checked against: those it was fitted to, from its store, or those of other data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.analysis import grid
from ...core.analysis.expected import Points
from ...core.analysis.predictive import Observed
from ...core.axes import CELL, GENE
from ...data import statistics
from ...data.counts import CountData
from ...errors import BadData, UsageError, did_you_mean, listed
from ...io import joined
from ...io.stored import StoredFit
from .. import fitted_data
from ..fitting import checking
from ..fitting.checking import Group
from ..options import BIOLOGICAL, PpcOptions
from ..recipe import yaml12
from ..terminal.console import Console


@dataclass(frozen=True)
class Counted:
    """gene_names, cell_names: of the counts; genes: places of the genes in the fit; cells: of the cells, None where the
    fit has no parameters of cells; groups: all cells and then each dataset, or one dataset alone; digest: of the input.
    """

    gene_names: np.ndarray
    genes: np.ndarray
    cell_names: np.ndarray
    cells: np.ndarray | None
    groups: tuple[Group, ...]
    labelled: bool
    digest: str

    @property
    def whole(self) -> Group:
        """The cells whose totals are checked."""
        return self.groups[0]

    def points(self, of_fit: Points) -> Points:
        """Draws of the fit's parameters, on these genes and cells."""
        points = of_fit.genes(self.genes)
        return points if self.cells is None else points.cells(self.cells)

    def of_dataset(self, label: str | None, place: str) -> Counted:
        """The cells of one dataset alone; None: as it is."""
        if label is None:
            return self
        if not self.labelled:
            raise UsageError(
                f"--dataset {label}: the fit's recipe names no datasets (dataset_key), or the data have no such column; "
                "leave it out, or give DATA and --dataset-key"
            )
        found = tuple(g for g in self.groups if g.label == label)
        if not found or not label:
            there = [g.label for g in self.groups[1:]]
            raise BadData(f'{place}: no dataset "{label}"{did_you_mean(label, there)}; there are {listed(there)}')
        return replace(self, groups=found)


def of_fit(stored: StoredFit) -> Counted:
    """The counts that were fitted. InputMissing (66) where the datasets of cells are wanted and fit.h5ad is gone."""
    columns = stored.group("ppc")
    genes, cells = (np.asarray(stored.coords[axis], object) for axis in (GENE, CELL))
    every = np.arange(len(cells))
    labelled = "dataset" in columns
    parts = {"": every}
    if labelled:
        key = yaml12.parse(stored.resolved, str(stored.out)).value["dataset_key"]
        of_cell = joined.labels(stored, key)
        parts |= {label: np.flatnonzero(of_cell == label) for label in sorted(set(of_cell))}
    groups = tuple(Group(label, at, _stored(columns, label, at, genes)) for label, at in parts.items())
    digest = stored.root.attrs["fingerprint"]["input"]
    return Counted(genes, np.arange(len(genes)), cells, every, groups, labelled, digest)


def _stored(columns: dict[str, np.ndarray], label: str, cells: np.ndarray, genes: np.ndarray) -> Observed:
    """What the store tells of the counts of some cells."""
    rows, bins = ((columns[c] == label if c in columns else slice(None)) for c in ("dataset", "hist_dataset"))
    place = {name: i for i, name in enumerate(genes)}
    tally = np.zeros((len(genes), grid.ALL.n_bins))
    gene = [place[name] for name in columns["hist_gene"][bins].tolist()]
    tally[gene, grid.ALL.bin_of(columns["hist_count_from"][bins])] = columns["hist_obs"][bins]
    mean, variance, maximum = (columns[f"{s}_obs"][rows] for s in ("mean", "var", "max"))
    return Observed(len(cells), mean, variance, maximum.astype(np.int64), tally, columns["total_obs"][cells])


def of_data(stored: StoredFit, asked: PpcOptions, console: Console) -> Counted:
    """Other counts, genes and cells matched by name. BadData for a cell of which the fit needs parameters and has none."""
    own = fitted_data.recipe_of(stored, asked.overrides, several=len(asked.data) > 1)
    counts, dataset_key = fitted_data.read(stored, own, asked.data, asked.transpose, console)
    at = _shared(stored, counts, console)
    counts = fitted_data.on_genes(counts, at)
    tally = statistics.collect(statistics.tally(counts.n_genes), counts.chunks())
    h = statistics.histogram(tally, counts.n_genes)
    observed = Observed.of_histogram(counts.n_cells, counts.n_genes, h.gene, h.count, h.n, counts.total)
    labelled = dataset_key is not None
    parts = checking.datasets(counts, dataset_key) if labelled else []
    groups = (Group("", np.arange(counts.n_cells), observed), *parts)
    genes = fitted_data.places(stored.coords[GENE], counts.gene_names, "genes", counts)
    cells = None
    if stored.spec.per_cell and asked.kind != BIOLOGICAL:
        cells = fitted_data.places(stored.coords[CELL], counts.cell_names, "cells", counts)
    return Counted(counts.gene_names, genes, counts.cell_names, cells, groups, labelled, counts.digest)


def _shared(stored: StoredFit, counts: CountData, console: Console) -> np.ndarray:
    """Where the genes that fit and data share stand in the data, in the order of the fit."""
    fitted: Sequence[str] = stored.coords[GENE]
    place = {name: i for i, name in enumerate(counts.gene_names)}
    at = np.array([place[name] for name in fitted if name in place], np.int64)
    if len(at) == 0:
        raise BadData(
            f'{counts.source.path}: none of its {counts.n_genes:,} genes, the first "{counts.gene_names[0]}", is in the '
            f'fit, whose first is "{fitted[0]}"; names are compared exactly: give data of the same genes'
        )
    if len(at) < max(len(fitted), counts.n_genes):
        console.warning(
            f"{counts.source.path}: has {counts.n_genes:,} genes and the fit {len(fitted):,}; the {len(at):,} that both "
            "have are checked, and cells have the totals of these"
        )
    return at
