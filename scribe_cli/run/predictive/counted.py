"""The counts that a fit is checked against: those it was fitted to, from its store, or those of other data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.analysis import grid, pointwise
from ...core.analysis.points import Points
from ...core.analysis.predictive import Observed
from ...core.axes import CELL, COMPONENT, DATASET, GENE
from ...data.counts import CountData
from ...errors import BadData, UsageError, did_you_mean, listed
from ...io.schema import COMPONENT_PROB
from ...io.stored import StoredFit
from .. import fitted_data, score
from ..fitting import checking
from ..fitting.checking import Group, Key
from ..options import BIOLOGICAL, PpcOptions
from ..terminal.console import Console


@dataclass(frozen=True)
class Counted:
    """gene_names, cell_names: of the counts; genes: places of the genes in the fit; cells: of the cells, None where the
    fit has no parameters of cells; dataset: of each cell, a place among the fit's, None where the model or the fit itself
    says; groups: all cells, each dataset and each component, or one dataset alone; digest: of the input.
    """

    gene_names: np.ndarray
    genes: np.ndarray
    cell_names: np.ndarray
    cells: np.ndarray | None
    dataset: np.ndarray | None
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
        points = points if self.cells is None else points.cells(self.cells)
        return points if self.dataset is None else points.with_kinds(self.dataset)

    def of_dataset(self, label: str | None, place: str) -> Counted:
        """The cells of one dataset alone; None: as it is."""
        if label is None:
            return self
        if not self.labelled:
            raise UsageError(
                f"--dataset {label}: the fit's recipe names no datasets (dataset_key), or the data have no such column; "
                "leave it out, or give DATA and --dataset-key"
            )
        found = tuple(g for g in self.groups if g.key == Key(dataset=label))
        if not found or not label:
            there = [g.key.dataset for g in self.groups if g.key.dataset]
            raise BadData(f'{place}: no dataset "{label}"{did_you_mean(label, there)}; there are {listed(there)}')
        return replace(self, groups=found)


def of_fit(stored: StoredFit) -> Counted:
    """The counts that were fitted, as the store tells of them."""
    columns = stored.group("ppc")
    genes, cells = (np.asarray(stored.coords[axis], object) for axis in (GENE, CELL))
    every = np.arange(len(cells))
    groups = tuple(_groups(stored, columns, genes))
    digest = stored.root.attrs["fingerprint"]["input"]
    return Counted(genes, np.arange(len(genes)), cells, every, None, groups, DATASET in columns, digest)


def _groups(stored: StoredFit, columns: dict[str, np.ndarray], genes: np.ndarray) -> Iterator[Group]:
    """In the order of the tables."""
    n = len(columns["mean_obs"])
    labels = (columns.get(axis, np.full(n, "")).tolist() for axis in Key._fields)
    for key in dict.fromkeys(map(Key, *labels)):
        cells, component = _cells(stored, key)
        yield Group(key, cells, _stored(columns, key, cells, genes), component)


def _cells(stored: StoredFit, key: Key) -> tuple[np.ndarray, int | None]:
    """(places of a group's cells, its component)."""
    if key.component:
        component = stored.coords[COMPONENT].index(key.component)
        return np.flatnonzero(checking.hard(stored.group("cell_columns")[COMPONENT_PROB]) == component), component
    if key.dataset:
        return stored.cells_of(stored.coords[DATASET].index(key.dataset)), None
    return np.arange(len(stored.coords[CELL])), None


def _rows(columns: dict[str, np.ndarray], key: Key, prefix: str) -> np.ndarray | slice:
    """Of a table with columns by this prefix, those of some cells."""
    there = [axis for axis in Key._fields if prefix + axis in columns]
    return np.logical_and.reduce([columns[prefix + axis] == getattr(key, axis) for axis in there]) if there else slice(None)


def _stored(columns: dict[str, np.ndarray], key: Key, cells: np.ndarray, genes: np.ndarray) -> Observed:
    """What the store tells of the counts of some cells."""
    rows, bins = _rows(columns, key, ""), _rows(columns, key, "hist_")
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
    counts = fitted_data.on_genes(counts, _shared(stored, counts, console))
    genes = fitted_data.places(stored.coords[GENE], counts.gene_names, "genes", counts)
    cells, biological = None, asked.kind == BIOLOGICAL
    if stored.spec.per_cell and not biological:
        cells = fitted_data.places(stored.coords[CELL], counts.cell_names, "cells", counts)
    groups = tuple(_of_counts(stored, counts, dataset_key, biological))
    dataset = counts.design.dataset_of_cell if stored.spec.by_dataset else None
    labelled = dataset_key is not None
    return Counted(counts.gene_names, genes, counts.cell_names, cells, dataset, groups, labelled, counts.digest)


def _of_counts(stored: StoredFit, counts: CountData, dataset_key: str | None, biological: bool) -> Iterator[Group]:
    """All cells, each dataset, and each component of which the MAP makes some: not of biological counts, since cells of

    unknown capture cannot be told apart.
    """
    yield from checking.split(counts, np.zeros(counts.n_cells, int), [checking.WHOLE])
    if dataset_key is not None:
        yield from checking.datasets(counts, dataset_key)
    if stored.spec.mixed and not biological:
        _, spec, natural, facts = score.at_map(stored, counts)
        probability = pointwise.components(spec, natural, facts, counts.chunks())
        yield from checking.components(counts, probability, stored.coords[COMPONENT])


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
