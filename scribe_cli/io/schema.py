"""Names and layout of what a fit leaves behind (CONTRACT 3). Imports nothing heavy: a finished run is seen by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..core.axes import CELL, GENE, Axes, without
from ..data.names import unique

SCHEMA_VERSION = 1

STORE, TABLES, MANIFEST, METRICS = "posterior.zarr", "tables", "manifest.json", "metrics.json"
RECIPE, RESOLVED, VERSIONS, REPORT = "recipe.yaml", "recipe.resolved.yaml", "versions.yml", "report.html"
FIT = {"h5ad": "fit.h5ad", "zarr": "fit.zarr"}
# live files of a run; they change after its results are in place and are in no manifest
LIVE = ("run.log", "events.jsonl", "status.json")
ENTRIES = (STORE, TABLES, METRICS, RECIPE, RESOLVED, VERSIONS, REPORT, MANIFEST, *FIT.values())

STATISTICS = ("map", "mean", "sd", "q05", "q50", "q95")
COLUMNS = ("map", "mean", "sd", "q05", "q95")
# along `statistic` of the group `summary` in the store
STATISTIC = ("mean", "sd", "q05", "q50", "q95", "saturated")
UNCONSTRAINED = "_unconstrained"
# the probabilities of the components of cells, in obsm and in the group `cell_columns` of the store
COMPONENT_PROB = "component_prob"
# attribute `kind` of a hierarchy's locations and scales; else it is sampled or derived
HIERARCHY = "hierarchy"
QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}
# of columns, which are groups or folders in the files
RESERVED = (".", "..", "_index", ".zarray", ".zattrs", ".zgroup", "zarr.json")
LONGEST = 200  # bytes; a file system takes 255
# genes or cells in a chunk, of the store and of everything computed over draws
CHUNK = 2048


def slot(axes: Axes) -> str:
    """Where a parameter with these axes lives in an AnnData: var, varm, obs, obsm or scalars."""
    if GENE in axes and CELL in axes:
        raise ValueError(f"a parameter with axes {axes} has no slot in var or obs: it is a layer")
    for axis, one, many in ((GENE, "var", "varm"), (CELL, "obs", "obsm")):
        if axis in axes:
            return one if axes == (axis,) else many
    return "scalars"


def escaped(label: str) -> str:
    """A label as part of a column name: AnnData takes no `/` in a key."""
    return str(label).replace("/", "|")


def column_labels(axes: Axes, coords: Mapping[str, Sequence[str]]) -> list[str]:
    """The columns of a varm or obsm frame: `<component>`, `<dataset>` or `<component>__<dataset>`, made unique.

    A name that HDF5, Zarr or AnnData keeps for itself gets an underscore; one longer than a file name may be is cut.
    """
    labels = [""]
    for axis in without(axes, GENE, CELL):
        labels = [f"{head}__{escaped(c)}" if head else escaped(c) for head in labels for c in coords[axis]]
    return unique(map(_held, labels)).tolist()


def _held(name: str) -> str:
    name = f"{name}_" if name in RESERVED else name
    return name.encode()[:LONGEST].decode(errors="ignore")


def rows_first(values: np.ndarray, axes: Axes) -> np.ndarray:
    """Values with a gene or cell axis as rows x the remaining axes in order, flattened."""
    row = axes.index(GENE if GENE in axes else CELL)
    return np.moveaxis(values, row, 0).reshape(values.shape[row], -1)
