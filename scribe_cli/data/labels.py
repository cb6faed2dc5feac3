"""Making the Design of data: which dataset a cell is of, and which component its label speaks for."""

from __future__ import annotations

from collections.abc import Sequence
import numpy as np

from ..core.axes import DATASET
from ..core.model.hierarchies import LEVELS
from ..core.model.spec import ModelSpec
from ..errors import BadData, BadRecipe, did_you_mean, listed
from .counts import CountData
from .design import Design
from .names import unique
from .selection import label


def design_of(
    counts: CountData,
    dataset_key: str | None = None,
    n_components: int = 1,
    annotation_key: str | None = None,
    annotation_min_cells: int = 0,
    annotation_component_order: Sequence | None = None,
) -> Design:
    """The design that the keys of a recipe make of data: datasets in the order of their labels, labels before the other

    components, which are called component_<place>. Errors: BadData for a column or label that is not there and a cell
    without a dataset; BadRecipe for more labels than components.
    """
    dataset, datasets = (None, ()) if dataset_key is None else counts.labels(dataset_key, complete=True)
    if n_components < 2:
        return Design(tuple(datasets), dataset)
    annotation, labels = None, ()
    if annotation_key is not None:
        annotation, labels = _labels(counts, annotation_key, annotation_min_cells, annotation_component_order)
        if len(labels) > n_components:
            raise BadRecipe(
                f'annotation_key: obs column "{annotation_key}" of {counts.source.path} has {len(labels)} labels '
                f"({listed(labels, 8)}) and n_components is {n_components}: each label is a component; set n_components to "
                f"{len(labels)} or more, or drop rare labels with annotation_min_cells",
                key="annotation_key",
            )
    components = unique([*labels, *(f"component_{i}" for i in range(len(labels), n_components))])
    return Design(tuple(datasets), dataset, tuple(components), annotation)


def design_in(counts: CountData, datasets: Sequence[str], dataset_key: str | None) -> Design:
    """The design of data that a fit is applied to: datasets have the codes of the fit's; if there are none of these, since

    the fit does not tell datasets apart, those of the data. BadData for a dataset that the fit has not, and for data that do not say of which a cell is.
    """
    if not datasets:
        return design_of(counts, dataset_key)
    if dataset_key is None:
        raise BadData(
            f"{counts.source.path}: the fit has parameters of each dataset ({listed(datasets)}), and no obs column says of "
            "which a cell is; name it with --dataset-key"
        )
    codes, there = counts.labels(dataset_key, complete=True)
    datasets = tuple(datasets)
    new = [name for name in there if name not in datasets]
    if new:
        raise BadData(
            f'{counts.source.path}: obs column "{dataset_key}" has datasets that the fit has not: {listed(new)}; it has '
            f"{listed(datasets)}: leave the others out, or fit them"
        )
    place = np.array([datasets.index(name) for name in there], np.int32)
    return Design(datasets, place[codes])


def _labels(counts: CountData, key: str, min_cells: int, order: Sequence | None) -> tuple[np.ndarray, list[str]]:
    """(codes, labels) in the components' order; -1 where a cell has none, or one of too few cells."""
    codes, there = counts.labels(key)
    frequent = np.bincount(codes[codes >= 0], minlength=len(there)) >= min_cells
    kept = [name for name, enough in zip(there, frequent, strict=True) if enough]
    if not there:
        raise BadData(
            f'{counts.source.path}: obs column "{key}" has no value in any of the fitted cells (annotation_key); name the '
            "column that labels them, or leave annotation_key out"
        )
    if not kept:
        raise BadRecipe(
            f'annotation_min_cells: no label of obs column "{key}" of {counts.source.path} has {min_cells:,} cells, the most '
            f"frequent has {np.bincount(codes[codes >= 0]).max():,}; lower it, or leave annotation_key out",
            key="annotation_min_cells",
        )
    if order is not None:
        # 1 and 1.0 are one label
        kept = _ordered(counts, key, list(dict.fromkeys(label(v) for v in order)), there, kept)
    component = {name: i for i, name in enumerate(kept)}
    place = np.array([component.get(name, -1) for name in there] + [-1], np.int32)
    return place[codes], kept


def _ordered(counts: CountData, key: str, order: list[str], there: list[str], kept: list[str]) -> list[str]:
    """The kept labels in the order given, then those that it does not name."""
    for name in order:
        if name not in there:
            raise BadData(
                f'{counts.source.path}: obs column "{key}" has no label "{name}" (annotation_component_order)'
                f"{did_you_mean(name, there)}; there are {listed(there)}"
            )
    return [*(name for name in order if name in kept), *(name for name in kept if name not in order)]


def rare(counts: CountData, key: str, min_cells: int) -> list[str]:
    """What to say of labels that guide nothing, since they have fewer cells than a label needs."""
    codes, there = counts.labels(key)
    cells = np.bincount(codes[codes >= 0], minlength=len(there))
    said = [f"{name} ({n:,})" for name, n in zip(there, cells, strict=True) if n < min_cells]
    return [f"labels of fewer than {min_cells:,} cells, which guide nothing (annotation_min_cells): {listed(said)}"] if said else []


def refuse_one_dataset(design: Design, spec: ModelSpec, dataset_key: str | None) -> None:
    """BadRecipe for a prior across datasets of which there is one. Mixing weights are of each of any number."""
    across = [p for p in spec.params if DATASET in p.axes and p.role in LEVELS]
    if not across or len(design.datasets) != 1:
        return
    keys = [next(level.key for level in LEVELS[p.role] if level.over == DATASET) for p in across]
    raise BadRecipe(
        f'{", ".join(keys)}: {listed(p.name for p in across)} is to differ between datasets, and obs column "{dataset_key}" '
        f'has one value, "{design.datasets[0]}", in the fitted cells; remove {"it" if len(keys) == 1 else "them"}, or fit '
        "cells of more datasets",
        key=keys[0],
    )
