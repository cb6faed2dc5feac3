"""Results: a fit without its draws, and the places its parts take in an AnnData and in the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import entr

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from .part import Part
from .schema import COLUMNS, COMPONENT_PROB, column_labels, rows_first, slot
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

    gene_columns, cell_columns: {name: (G,) or (C,)} beside the parameters; reasons: (G,) texts, "" for none;
    component_prob: (C, components) of the cells, None without components.
    """

    summaries: tuple[Summary, ...]
    coords: Mapping[str, Sequence[str]]
    gene_columns: Mapping[str, np.ndarray]
    cell_columns: Mapping[str, np.ndarray]
    reasons: Sequence[str]
    map_kind: str
    component_prob: np.ndarray | None = None

    def on(self, part: Part) -> Results:
        """The parameters on a part of the fit; all else is the whole fit's."""
        return replace(self, summaries=tuple(s.on(part) for s in self.summaries))

    @property
    def membership(self) -> dict[str, np.ndarray]:
        """{component: the likeliest of each cell, component_entropy: how open that is, in nats}; empty without components."""
        if self.component_prob is None:
            return {}
        names = np.asarray(self.coords[COMPONENT], object)[self.component_prob.argmax(1)]
        return {"component": names, "component_entropy": entr(self.component_prob.astype(float)).sum(1)}

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
    extra = results.gene_columns if axis == GENE else {**results.cell_columns, **results.membership}
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
        columns = column_labels(s.axes, results.coords)
        for c in COLUMNS:
            out[f"{key}_{s.name}_{c}"] = _frame(rows_first(s.statistics[c], s.axes), columns, place)
    if axis == CELL and results.component_prob is not None:
        columns = column_labels((COMPONENT, CELL), results.coords)
        out[f"{key}_{COMPONENT_PROB}"] = _frame(results.component_prob, columns, place)
    return out


def _frame(rows: np.ndarray, columns: Sequence[str], place: Place) -> pd.DataFrame:
    """rows: (fitted, columns)."""
    return pd.DataFrame({c: place.spread(rows[:, i]) for i, c in enumerate(columns)}, index=place.frame.index)


def scalars(results: Results) -> dict[str, dict[str, np.ndarray | float]]:
    """{parameter: {statistic: number, or array over component and dataset}}."""
    return {s.name: {c: s.statistics[c].astype(float)[()] for c in COLUMNS} for s in results.of("scalars")}


def labels(results: Results) -> dict[str, np.ndarray]:
    """The labels of components and datasets, which column names hold with `/` as `|`."""
    return {f"{a}s": np.asarray(results.coords[a], object) for a in (COMPONENT, DATASET) if a in results.coords}
