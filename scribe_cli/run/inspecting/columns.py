"""Columns of obs that a recipe can use: datasets, types of cells, doublets, library sizes. By name and by content."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...data.doubts import NO_LABEL
from ...data.selection import label

# words in names, the likeliest first
DATASET = (
    "dataset", "batch", "sample", "donor", "patient", "subject", "individual", "orig ident", "library", "plate",
    "lane", "run", "replicate", "experiment", "study", "condition", "treatment", "stim", "channel", "chemistry",
)  # fmt: skip
CELL_TYPE = (
    "cell type", "celltype", "cell types", "cell label", "cell ontology class", "annotation", "annotations", "label",
    "labels", "bulk labels", "cluster", "clusters", "seurat clusters", "leiden", "louvain", "subpop", "subtype",
)  # fmt: skip
DOUBLET = ("doublet", "doublets")
LIBRARY = (
    "library size", "libsize", "lib size", "total counts", "n counts", "ncount", "n umi", "n umis", "total umis",
    "total umi", "umis", "umi count", "size full",
)  # fmt: skip
DOUBLETS = ("dbl", "doublet", "doublets", "multiplet", "true", "1", "yes")
MOST_LEVELS = 100
LARGER = 1.02  # a true library size over the counts in the file, in the middle cell


@dataclass(frozen=True)
class Column:
    """kind: dataset, cell type, doublet or library size. levels: {label: cells}, largest first; missing: cells without
    a value; ratio: of a library size, the middle one of its values over the cells' counts."""

    name: str
    kind: str
    levels: Mapping[str, int]
    missing: int
    ratio: float = 1.0


def found(obs: pd.DataFrame, total: np.ndarray | None) -> list[Column]:
    """The columns that look like something, those of a kind together and the likeliest first. total: (C,) counts."""
    named = [(kind, *_likeness(kind, name), str(name)) for kind in KINDS for name in obs.columns]
    hits = sorted((KINDS.index(kind), at, whole, name) for kind, at, whole, name in named if at >= 0)
    levelled = [_levelled(obs, KINDS[kind], name) for kind, _, _, name in hits]
    return [*(c for c in levelled if c is not None), *(_library_sizes(obs, total) if total is not None else [])]


def dataset_column(obs: pd.DataFrame, name: str) -> Column:
    """The column that the user says is the datasets, whatever its name."""
    levels, missing = _levels(obs[name])
    return Column(name, "dataset", levels, missing)


def _likeness(kind: str, name: object) -> tuple[int, int]:
    """(place among the kind's words, -1 for none; how much else there is in the name)."""
    text = _plain(name)
    places = [i for i, word in enumerate(WORDS[kind]) if re.search(rf"(^| ){word}( |$)", text)]
    return (places[0], len(text)) if places else (-1, 0)


def _plain(name: object) -> str:
    """Words of a column's name, in small letters: cellType, cell.type and cell_type are one."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(name))
    return " ".join(re.split(r"[^a-z0-9]+", spaced.lower())).strip()


def _levelled(obs: pd.DataFrame, kind: str, name: str) -> Column | None:
    """The column, if it divides the cells into a few."""
    levels, missing = _levels(obs[name])
    if not 2 <= len(levels) <= min(MOST_LEVELS, len(obs) // 2):
        return None
    return Column(name, kind, levels, missing)


def _levels(column: pd.Series) -> tuple[dict[str, int], int]:
    counts = column.value_counts()
    counts = counts[counts > 0]  # categories without a cell
    return {label(value): int(n) for value, n in counts.items()}, int(column.isna().sum())


def _library_sizes(obs: pd.DataFrame, total: np.ndarray) -> list[Column]:
    """Library sizes that are larger than the counts there are: of files that hold a part of the genes."""
    columns = []
    for name in obs.columns:
        if obs[name].dtype.kind not in "iuf" or _likeness("library size", name)[0] < 0:
            continue
        values = obs[name].to_numpy(float)
        seen = (total > 0) & np.isfinite(values)
        ratio = float(np.median(values[seen] / total[seen])) if seen.any() else 0.0
        if ratio >= LARGER and np.isfinite(values).all() and (values >= 0).all():
            columns.append(Column(str(name), "library size", {}, 0, ratio))
    return columns


def of_kind(columns: Sequence[Column], kind: str) -> list[Column]:
    return [c for c in columns if c.kind == kind]


def singlets(column: Column) -> list[str]:
    """The levels of a doublet column that are none; empty if none of its levels says doublet."""
    doubled = [level for level in column.levels if level.lower() in DOUBLETS]
    return [level for level in column.levels if level not in doubled] if doubled else []


def confounded(obs: pd.DataFrame, dataset: Column, types: Column) -> bool:
    """Whether each dataset has cells of one type alone, or each type cells of one dataset, of cells with both known."""
    known = _known(obs[dataset.name]) & _known(obs[types.name])
    pairs = pd.crosstab(obs[dataset.name][known].astype(str), obs[types.name][known].astype(str)).to_numpy() > 0
    if min(pairs.shape) < 2:
        return False
    return bool((pairs.sum(axis=1) == 1).all() or (pairs.sum(axis=0) == 1).all())


def _known(column: pd.Series) -> np.ndarray:
    return (column.notna() & ~column.astype(str).str.lower().isin(NO_LABEL)).to_numpy()


KINDS = ("dataset", "cell type", "doublet")
WORDS = {"dataset": DATASET, "cell type": CELL_TYPE, "doublet": DOUBLET, "library size": LIBRARY}
