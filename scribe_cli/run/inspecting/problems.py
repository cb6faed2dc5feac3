"""What a user should know or mend before a fit: what it is, and what to do. One row a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.doubts import NO_LABEL
from ...errors import listed
from . import columns, genes
from .found import Counts, twice
from .matrices import Matrix

SHALLOW = 500  # counts in the middle cell
NO_CELL = 50  # counts: fewer are a droplet without a cell, where most barcodes have so few
FEW_CELLS = 100
FEW_GENES = 5000
SMALL_DATASET = 50  # cells
READS_ENTRIES, READS_MAX, READS_ONES = 1000, 1000, 0.2  # non-zero counts, the largest, the share of ones among them
MUCH = 0.2  # of the counts


@dataclass(frozen=True)
class Problem:
    name: str
    what: str
    do: str


def of_matrices(matrices: Sequence[Matrix], counts: Counts | None) -> Iterator[Problem]:
    """What is wrong with the choice of the matrix."""
    if counts is None and (others := [m for m in matrices if m.counts]):
        what = "the matrix asked for does not hold counts"
        yield Problem("no_counts", what, f"{others[0].element} does: --layer {others[0].layer}")
        return
    if counts is None:
        yield Problem(
            "no_counts",
            "no matrix holds counts",
            "give the raw counts: the models are of counts, and other values cannot be turned back into them",
        )
        return
    chosen = counts.matrix
    if any(m.element == "X" and m.element != chosen.element and not m.counts for m in matrices):
        yield Problem("x_is_no_counts", "X does not hold counts", f"{chosen.element} does: --layer {chosen.layer}")


def of_counts(counts: Counts) -> list[Problem]:
    return [problem for check in CHECKS for problem in check(counts)]


def _names(counts: Counts) -> Iterator[Problem]:
    for kind, names in (("cell", counts.source.cell_names), ("gene", counts.source.gene_names)):
        if again := twice(names):
            stand = "names stand" if len(again) > 1 else "name stands"
            what = f"{len(again):,} {kind} {stand} more than once: {listed(again, 5)}"
            yield Problem(f"duplicate_{kind}_names", what, "-1, -2, ... is appended where unique names are needed")
    if genes.are_ids(counts.source.gene_names):
        symbols = genes.symbol_columns(counts.source.var)
        held = f"; symbols are in var column {symbols[0]}" if symbols else ""
        yield Problem(
            "names_are_ids",
            f"genes are named by ids, {counts.source.gene_names[0]} ...{held}",
            "name genes so in --genes and data.genes",
        )


def _empty(counts: Counts) -> Iterator[Problem]:
    if counts.empty_cells:
        yield Problem(
            "empty_cells",
            f"{_of(counts.empty_cells, counts.n_cells, 'cell')} without a count",
            "they are kept and fitted",
        )
    if counts.empty_genes:
        yield Problem(
            "empty_genes",
            f"{_of(counts.empty_genes, counts.n_genes, 'gene')} without a count",
            "data.min_cells: 1 leaves them out",
        )


def _depth(counts: Counts) -> Iterator[Problem]:
    total, middle = counts.tour.total, counts.library["median"]
    poor = int((total < NO_CELL).sum())
    if poor > counts.n_cells / 2 and counts.n_cells >= FEW_CELLS and counts.n_genes >= FEW_GENES:
        yield Problem(
            "empty_droplets",
            f"{_of(poor, counts.n_cells, 'cell')} with fewer than {NO_CELL} counts: an unfiltered matrix, it seems",
            "give the filtered matrix of cells",
        )
    elif middle < SHALLOW:
        yield Problem(
            "shallow",
            f"shallow: {middle:,.0f} counts in the middle cell",
            "expect wide intervals, and priors that decide for rare genes (prior-dominated)",
        )
    if total.min() == total.max():
        yield Problem(
            "equal_totals",
            f"all cells have equally many counts, {total[0]:,}: downsampled, or normalised?",
            "give the raw counts",
        )


def _size(counts: Counts) -> Iterator[Problem]:
    if counts.n_cells < FEW_CELLS:
        yield Problem(
            "few_cells",
            f"few cells: {counts.n_cells}",
            "dispersion and capture are hardly identified; expect the priors to decide",
        )


def _library(counts: Counts) -> Iterator[Problem]:
    for column in counts.of_kind("library size")[:1]:
        yield Problem(
            "part_of_the_genes",
            f"obs {column.name} is {column.ratio:.3g} times the counts in the middle cell: a part of the genes is here",
            f"with priors.organism or priors.capture_efficiency set data.library_size: {column.name}",
        )
        return
    if counts.n_genes < FEW_GENES:
        yield Problem(
            "few_genes",
            f"few genes, {counts.n_genes:,}: if they are a part of all, totals are not the cells' library sizes",
            "with priors.organism set data.library_size to an obs column that has those",
        )


def _units(counts: Counts) -> Iterator[Problem]:
    values = counts.tour.values
    ones = values.tally[1] / values.nonzero
    if values.nonzero >= READS_ENTRIES and values.highest >= READS_MAX and ones < READS_ONES:
        yield Problem(
            "reads",
            f"reads rather than molecules: {ones:.0%} of the non-zero counts are 1, the largest {values.highest:,.0f}",
            "priors.organism counts molecules and is no prior for reads; leave it out",
        )


def _spike_ins(counts: Counts) -> Iterator[Problem]:
    mask = counts.marked["spike-in"]
    if not mask.any():
        return
    first = counts.source.gene_names[np.argmax(mask)]
    share = counts.share("spike-in")
    follows = ", so the totals of cells are those of spike-ins" if share > MUCH else ""
    yield Problem(
        "spike_ins",
        f"{int(mask.sum())} spike-ins ({first} ...) are among the genes, with {share:.1%} of the counts{follows}",
        "to leave them out list the other genes, one a line, in a file, and set data.genes to its name",
    )


def _datasets(counts: Counts) -> Iterator[Problem]:
    for column in counts.of_kind("dataset")[:1]:
        few = min(SMALL_DATASET, counts.n_cells / len(column.levels) / 2)
        small = [f"{level} ({n})" for level, n in column.levels.items() if n < few]
        if column.missing:
            yield Problem(
                "cells_without_dataset",
                f"{_of(column.missing, counts.n_cells, 'cell')} without a value of obs {column.name}",
                "give each one, or leave those cells out (data.where), to use it as dataset_key",
            )
        if small:
            what = f"datasets of few cells in obs {column.name}: {listed(small, 5)}"
            yield Problem("small_datasets", what, "what differs there is hardly seen")
    for dataset, types in counts.confounded.items():
        yield Problem(
            "confounded",
            f"obs {dataset} coincides with {types}: their effects cannot be told apart",
            "do not take it for datasets, unless for labels in the results",
        )
    for column in counts.of_kind("cell type")[:1]:
        unknown = column.missing + sum(n for level, n in column.levels.items() if level.lower() in NO_LABEL)
        if unknown:
            yield Problem(
                "unlabelled_cells",
                f"{_of(unknown, counts.n_cells, 'cell')} of no known {column.name}",
                "they are fitted as the others",
            )


def _doublets(counts: Counts) -> Iterator[Problem]:
    for column in [c for c in counts.of_kind("doublet") if columns.singlets(c)]:
        what = ", ".join(f"{level} {n:,}" for level, n in column.levels.items())
        yield Problem("doublets", f"obs {column.name} flags doublets: {what}", "leave them out (data.where)")


def _earlier(counts: Counts) -> Iterator[Problem]:
    for key in genes.earlier_keys(counts.source.var):
        yield Problem(
            "earlier_results",
            f"results of an earlier fit are here, under {key}",
            f"a fit with --key-added {key} replaces them",
        )


def _of(n: int, all_of: int, what: str) -> str:
    return f"{n:,} of {all_of:,} {what}s"


CHECKS: tuple[Callable[[Counts], Iterator[Problem]], ...] = (
    _names,
    _empty,
    _size,
    _depth,
    _units,
    _library,
    _spike_ins,
    _datasets,
    _doublets,
    _earlier,
)
