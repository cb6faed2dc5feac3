"""Results: a fit without its draws, and the places its parts take in an AnnData and in the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from .schema import COLUMNS, column_labels, rows_first, slot
from .summary import Summary

SIDE = {GENE: "var", CELL: "obs"}


@dataclass(frozen=True)
class Place:
    """obs or var of the input, and the positions in it of what was fitted; -1 of a gene that has none there."""

    frame: pd.DataFrame
    at: np.ndarray

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of the fitted on the whole input: NaN, False or "" elsewhere; whole numbers become floats."""
        values = np.asarray(values)
        kind = values.dtype.kind
        dtype = {"i": float, "u": float, "U": object}.get(kind, values.dtype)
        empty = {"b": False, "U": "", "O": ""}.get(kind, np.nan)
        out = np.full(len(self.frame), empty, dtype)
        out[self.at[self.at >= 0]] = values[self.at >= 0]
        return out


@dataclass(frozen=True)
class Results:
    """What fit.h5ad and the tables are made of.

    gene_columns, cell_columns: {name: (G,) or (C,)} beside the parameters; reasons: (G,) texts, "" for none.
    """

    summaries: tuple[Summary, ...]
    coords: Mapping[str, Sequence[str]]
    gene_columns: Mapping[str, np.ndarray]
    cell_columns: Mapping[str, np.ndarray]
    reasons: Sequence[str]
    map_kind: str

    def of(self, place: str) -> list[Summary]:
        """The parameters that live in var, varm, obs, obsm or scalars."""
        return [s for s in self.summaries if slot(s.axes) == place]

    @property
    def saturated_values(self) -> int:
        return int(sum(s.saturated.sum() for s in self.summaries))


def with_saturated(reasons: Sequence[str] | None, summaries: Sequence[Summary], n_genes: int) -> list[str]:
    """The reasons of each gene, "saturated" added where a value of it lay beyond float32."""
    hit = np.zeros(n_genes, bool)
    for summary in summaries:
        if GENE in summary.axes:
            hit |= rows_first(summary.saturated, summary.axes).any(1)
    reasons = list(reasons) if reasons is not None else [""] * n_genes
    return [";".join(filter(None, (r, "saturated"))) if h else r for r, h in zip(reasons, hit, strict=True)]


def annotations(results: Results, key: str, axis: str, place: Place) -> dict[str, np.ndarray]:
    """{column: values over the whole input} for var (axis gene) or obs (axis cell)."""
    extra = results.gene_columns if axis == GENE else results.cell_columns
    columns = {f"{s.name}_{c}": s.statistics[c] for s in results.of(SIDE[axis]) for c in COLUMNS}
    columns = {**columns, **dict(sorted(extra.items())), "fitted": np.ones(len(place.at), bool)}
    if axis == GENE:
        reasons = np.asarray(results.reasons, dtype=str)
        columns |= {"ok": reasons == "", "reason": reasons}
    return {f"{key}_{name}": place.spread(values) for name, values in columns.items()}


def frames(results: Results, key: str, axis: str, place: Place) -> dict[str, pd.DataFrame]:
    """{key: frame over the whole input} for varm (axis gene) or obsm (axis cell)."""
    out = {}
    for s in results.of(f"{SIDE[axis]}m"):
        labels = column_labels(s.axes, results.coords)
        for c in COLUMNS:
            rows = rows_first(s.statistics[c], s.axes)
            columns = {label: place.spread(rows[:, i]) for i, label in enumerate(labels)}
            out[f"{key}_{s.name}_{c}"] = pd.DataFrame(columns, index=place.frame.index)
    return out


def scalars(results: Results) -> dict[str, dict[str, np.ndarray | float]]:
    """{parameter: {statistic: number, or array over component and dataset}}."""
    return {s.name: {c: s.statistics[c].astype(float)[()] for c in COLUMNS} for s in results.of("scalars")}


def labels(results: Results) -> dict[str, np.ndarray]:
    """The labels of components and datasets, which column names hold with `/` as `|`."""
    return {f"{a}s": np.asarray(results.coords[a], object) for a in (COMPONENT, DATASET) if a in results.coords}
