"""Doubts about what a recipe makes of its data: datasets that are no samples, or that are one with a label, labels that say
nothing, and library sizes that cannot be."""

from __future__ import annotations

import numpy as np

from ..errors import listed
from .counts import CountData

# labels, in small letters, of cells of which nothing is known
NO_LABEL = ("unknown", "na", "nan", "none", "unassigned", "unlabeled", "unlabelled", "")


def doubts(counts: CountData, dataset_key: str | None, library_size: str | None) -> dict[str, str]:
    """{name of the warning: text}. BadData where a fitted cell has no dataset, or the column is not there."""
    found = {} if dataset_key is None else _lone_cells(counts, dataset_key) | _confounded(counts, dataset_key)
    found |= _no_label(counts)
    return found if library_size is None else found | _too_small(counts, library_size)


def _lone_cells(counts: CountData, key: str) -> dict[str, str]:
    codes, labels = counts.labels(key, complete=True)
    lone = [label for label, n in zip(labels, np.bincount(codes, minlength=len(labels)), strict=True) if n == 1]
    if not lone:
        return {}
    text = (
        f'{counts.source.path}: {len(lone):,} of the {len(labels):,} datasets of obs column "{key}" have a single cell '
        f"({listed(lone, 5)}): their checks say nothing; is it the column that names the dataset of a cell (dataset_key)?"
    )
    return {"dataset_of_one_cell": text}


def _confounded(counts: CountData, key: str) -> dict[str, str]:
    pairs = counts.design.coinciding
    if not pairs:
        return {}
    said = listed([f"{dataset} is {label}" for dataset, label in pairs], 5)
    text = (
        f'{counts.source.path}: datasets of obs column "{key}" hold the cells of one label, which are in no other ({said}): '
        "what differs between such components cannot be told from what differs between the datasets (dataset_key, annotation_key)"
    )
    return {"dataset_is_label": text}


def _no_label(counts: CountData) -> dict[str, str]:
    codes, names = counts.design.annotation, counts.design.components
    at = [k for k, name in enumerate(names) if name.strip().lower() in NO_LABEL]
    if codes is None or not np.isin(codes, at).any():
        return {}
    said = listed(f'"{names[k]}" ({int((codes == k).sum()):,} cells)' for k in at)
    text = (
        f"{counts.source.path}: the label {said} names a component as any other does; if it says that nothing is known of a "
        "cell, leave those cells without a value in the column (annotation_key)"
    )
    return {"label_that_says_nothing": text}


def _too_small(counts: CountData, column: str) -> dict[str, str]:
    below = counts.library < counts.library_all
    if not below.any():
        return {}
    at = int(np.argmax(below))
    text = (
        f'{counts.source.path}: obs column "{column}" (data.library_size) is below a cell\'s own total count in '
        f'{int(below.sum()):,} of {len(below):,} cells, the first "{counts.cell_names[at]}" ({counts.library[at]:,.0f} '
        f"below {counts.library_all[at]:,}); a library size counts all molecules of a cell: give that column, or null"
    )
    return {"library_size_below_total": text}
