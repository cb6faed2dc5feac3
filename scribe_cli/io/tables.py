"""tables/: the results as tab separated text, the long ones gzipped."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.axes import CELL, COMPONENT, DATASET, GENE, Axes, in_order
from .outputs import FitOutputs
from .results import Results
from .schema import COLUMNS, COMPONENT_PROB, STATISTICS
from .summary import Summary

# what of a statistic is written: float32 values to 9 digits, the MAP to 17, both exact
DIGITS = {np.dtype(np.float32): "%.9g", np.dtype(np.float64): "%.17g"}
GZIPPED = ("gene", "cell", "ppc_gene", "ppc_hist")


def write_tables(folder: Path, fit: FitOutputs, results: Results) -> None:
    """gene, cell, scalar, and the tables the analysis made."""
    folder.mkdir()
    tables = {stem: pd.DataFrame(dict(columns)) for stem, columns in fit.tables.items()}
    tables["gene"] = long_table(results, GENE, {**results.gene_columns, "reason": results.reasons})
    tables["cell"] = long_table(results, CELL, {**results.cell_columns, **_membership(results), **fit.cell_totals})
    tables["scalar"] = scalar_table(results)
    for stem, table in sorted(tables.items()):
        write_table(folder / f"{stem}.tsv{'.gz' if stem in GZIPPED else ''}", table)


def long_table(results: Results, axis: str, extra: dict[str, np.ndarray]) -> pd.DataFrame:
    """One row per gene (cell) x component x dataset: as many of these as some parameter has; others repeat.

    Numbers are texts already: they are written out once, not for every row that repeats them.
    """
    summaries = [s for s in results.summaries if axis in s.axes]
    axes = (axis, *in_order({a for s in summaries for a in s.axes} - {axis}))
    coords = {a: np.asarray(results.coords[a], object) for a in axes}
    table = {a: column for a, column in zip(axes, _grid([coords[a] for a in axes]), strict=True)}
    for s in summaries:
        for c in COLUMNS:
            table[f"{s.name}_{c}"] = _expanded(_texts(s.statistics[c]), s.axes, axes, [len(coords[a]) for a in axes])
    repeats = len(next(iter(table.values()))) // len(coords[axis])
    return pd.DataFrame({**table, **{n: np.repeat(_texts(np.asarray(v)), repeats) for n, v in extra.items()}})


def _membership(results: Results) -> dict[str, np.ndarray]:
    """The component of each cell, its entropy, and the probability of each component in a column of its own."""
    if results.component_prob is None:
        return {}
    of_each = zip(results.coords[COMPONENT], results.component_prob.T, strict=True)
    return results.membership | {f"{COMPONENT_PROB}_{name}": values for name, values in of_each}


def scalar_table(results: Results) -> pd.DataFrame:
    """parameter, component, dataset, then every statistic; empty where a parameter has no such axis."""
    parts = [_scalar_rows(s, results) for s in results.of("scalars")]
    columns = ["parameter", COMPONENT, DATASET, *STATISTICS]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _scalar_rows(summary: Summary, results: Results) -> pd.DataFrame:
    names = dict(zip(summary.axes, _grid([np.asarray(results.coords[a], object) for a in summary.axes]), strict=True))
    size = summary.statistics["map"].size
    labels = {a: names[a] if a in names else np.full(size, "", object) for a in (COMPONENT, DATASET)}
    values = {s: summary.statistics[s].ravel() for s in STATISTICS}
    return pd.DataFrame({"parameter": np.full(size, summary.name, object), **labels, **values})


def _grid(coords: list[np.ndarray]) -> list[np.ndarray]:
    """The columns of all combinations, the last axis running fastest."""
    return [g.ravel() for g in np.meshgrid(*coords, indexing="ij")] if coords else []


def _expanded(values: np.ndarray, axes: Axes, onto: tuple[str, ...], sizes: list[int]) -> np.ndarray:
    """Values repeated along the axes they lack, in the order of `onto`, flattened."""
    present = [a for a in onto if a in axes]
    ordered = values.transpose([axes.index(a) for a in present])
    shape = [n if a in axes else 1 for a, n in zip(onto, sizes, strict=True)]
    return np.broadcast_to(ordered.reshape(shape), sizes).ravel()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A tab separated file with a header; NaN is empty. The gzip header holds no time and no name."""
    text = pd.DataFrame({name: _texts(table[name].to_numpy()) for name in table}, columns=table.columns)
    body = text.to_csv(None, sep="\t", index=False, lineterminator="\n").encode()
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=4, mtime=0) as file:
            file.write(body)
        body = buffer.getvalue()
    path.write_bytes(body)


def _texts(values: np.ndarray) -> np.ndarray:
    """Floats as texts, in their shape; all else as it is."""
    digits = DIGITS.get(values.dtype)
    if digits is None:
        return values
    texts = np.array([digits % v for v in values.ravel().tolist()], object).reshape(values.shape)
    texts[np.isnan(values)] = ""
    return texts
