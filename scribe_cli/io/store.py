"""posterior.zarr: the posterior on disk, in the layout of ArviZ (CONTRACT 3).

Zarr format 2, consolidated. Arrays are written one variable at a time, so that no more than one variable's
draws is in memory, and straight by zarr: xarray opens the result, but need not be there to make it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import zarr

from ..core.axes import CELL, COMPONENT, DATASET, GENE, Axes
from ..core.inference.posterior import Variable
from ..core.model.derive import NAMES, Name, Reported
from ..core.model.supports import SUPPORTS
from .outputs import Array, FitOutputs, Selected
from .results import Results, with_saturated
from .schema import CHUNK, COMPONENT_PROB, HIERARCHY, SCHEMA_VERSION, STATISTIC, UNCONSTRAINED
from .summary import Summary, at_limits, summarise

COMPRESSOR = numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.SHUFFLE)


def write_store(path: Path, fit: FitOutputs) -> Results:
    """All groups of posterior.zarr; what is left of the fit without its draws."""
    root = zarr.create_group(store=path, zarr_format=2, attributes=_root_attributes(fit))
    summaries = tuple(map(functools.partial(_parameter, root, fit), fit.variables))  # a loop would keep one while it makes the next
    reasons = with_saturated(fit.reasons, summaries, len(fit.coords[GENE]))
    probabilities = None if fit.component_prob is None else np.asarray(fit.component_prob, np.float32)
    results = Results(summaries, fit.coords, fit.gene_columns, fit.cell_columns, reasons, fit.map_kind, probabilities)
    root.attrs["parameters"] = [s.name for s in summaries]
    for name, array in fit.lifted.items():
        values = at_limits(array.values, "real")[0]
        _put(root, "unconstrained_posterior", name + UNCONSTRAINED, Array((*fit.sample_dims, *array.dims), values))
    for name, values in fit.sample_stats.items():
        _put(root, "sample_stats", name, Array(fit.sample_dims, np.asarray(values)))
    for name, values in fit.history.items():
        _put(root, "fit_history", name, Array(("step",), np.asarray(values)))
    for name, array in fit.constant.items():
        _put(root, "constant_data", name, array)
    _predictive(root, fit)
    _columns(root, results, fit.selected)
    _guide(root, fit.guide)
    put_coordinates(root, fit.coords, fit.sample_dims)
    zarr.consolidate_metadata(root.store, zarr_format=2)
    return results


def _root_attributes(fit: FitOutputs) -> dict[str, Any]:
    record = fit.record
    return {
        "run_id": record.run_id,
        "schema_version": SCHEMA_VERSION,
        "model_spec": fit.spec.to_json(),
        "sample_dims": list(fit.sample_dims),
        "map_kind": fit.map_kind,
        "key": record.key,
        "format": record.format,
        "method": record.method,
        "seed": record.seed,
        "results_only": record.results_only,
        "fingerprint": dict(record.fingerprint),
        "versions": dict(record.versions),
        "explained": dict(fit.explained),
        "coords": list(fit.coords),
        "inference_library": "numpyro",
    }


def _parameter(root: zarr.Group, fit: FitOutputs, variable: Variable) -> Summary:
    """One parameter in `posterior`, `map` and `summary`."""
    summary, draws = summarise(variable, len(fit.sample_dims))
    attributes = attributes_of(variable)
    if variable.stored:
        _put(root, "posterior", variable.name, Array((*fit.sample_dims, *variable.axes), draws), attributes)
    _put(root, "map", variable.name, Array(variable.axes, summary.statistics["map"]), attributes)
    if variable.lifted is not None:
        axes = variable.lifted_axes or variable.axes
        lifted = Array(lifted_dims(axes, variable.support), np.asarray(variable.lifted, float))
        _put(root, "map", variable.name + UNCONSTRAINED, lifted, attributes)
    rows = {**summary.statistics, "saturated": summary.saturated}
    stacked = np.stack([rows[s] for s in STATISTIC]).astype(np.float32)
    _put(root, "summary", variable.name, Array(("statistic", *variable.axes), stacked), attributes)
    return summary


def attributes_of(variable: Variable | Reported) -> dict[str, Any]:
    name = NAMES.get(variable.name, Name(variable.name, variable.name))
    return {
        "descriptive_name": name.descriptive,
        "symbol": name.symbol,
        "support": variable.support,
        "domain": SUPPORTS[variable.support].domain,
        "coordinate": SUPPORTS[variable.support].coordinate,
        "kind": kind_of(variable),
        "unconstrained_name": variable.name + UNCONSTRAINED if variable.sampled else "",
    }


def kind_of(variable: Variable | Reported) -> str:
    """sampled, derived, or a location or scale of a hierarchy, which no user gives."""
    return ("sampled" if variable.name in NAMES else HIERARCHY) if variable.sampled else "derived"


COMPONENT_RATIO = "component_ratio"


def lifted_dims(axes: Axes, support: str) -> tuple[str, ...]:
    """Dimensions of theta: a simplex has one element less along component, so that is another dimension."""
    return tuple(COMPONENT_RATIO if a == COMPONENT and support == "simplex" else a for a in axes)


def _predictive(root: zarr.Group, fit: FitOutputs) -> None:
    """`ppc`: the predictive tables, along gene, cell, and `bin` of the count histograms; `convergence` likewise."""
    table = fit.tables.get("ppc_gene", {})
    rows = "row" if {COMPONENT, DATASET} & set(table) else GENE  # with either a gene has a row for each
    for name, values in table.items():
        if name != rows:
            _put(root, "ppc", name, Array((rows,), np.asarray(values)))
    for name, values in fit.cell_totals.items():
        _put(root, "ppc", name, Array((CELL,), np.asarray(values)))
    for name, values in fit.tables.get("ppc_hist", {}).items():
        _put(root, "ppc", f"hist_{name}", Array(("bin",), np.asarray(values)))
    for name, values in fit.tables.get("convergence", {}).items():
        _put(root, "convergence", name, Array(("row",), np.asarray(values)))


def _columns(root: zarr.Group, results: Results, selected: Selected) -> None:
    """What var and obs hold beside parameters, and which part of the input was fitted: to make fit.h5ad again."""
    for name, values in {**results.gene_columns, "reason": results.reasons}.items():
        _put(root, "gene_columns", name, Array((GENE,), np.asarray(values)))
    for name, values in results.cell_columns.items():
        _put(root, "cell_columns", name, Array((CELL,), np.asarray(values)))
    if results.component_prob is not None:
        _put(root, "cell_columns", COMPONENT_PROB, Array((CELL, COMPONENT), results.component_prob))
    for name, values in (("cells", selected.cells), ("genes", selected.genes)):
        _put(root, "selected", name, Array((f"selected_{name}",), np.asarray(values, np.int64)))


def _guide(root: zarr.Group, guide: Mapping[str, Any] | None) -> None:
    """`variational_params/<group>/<site>`: rank-3 float64 arrays, as the guide has them."""
    if guide is None:
        return
    parent = root.create_group("variational_params", attributes={"family": guide["family"]})
    for name, sites in guide["params"].items():
        group = parent.create_group(name)
        for site, values in sites.items():
            values = np.asarray(values, np.float64)
            _array(group, site, Array(tuple(f"{site}_{i}" for i in range(values.ndim)), values), {})


def put_coordinates(root: zarr.Group, coords: Mapping[str, Sequence[str]], sample_dims: Sequence[str]) -> None:
    """In each group the names along the axes that its arrays use; in `coords` all of them."""
    for axis, names in coords.items():
        _put(root, "coords", axis, Array((axis,), np.asarray(names, dtype=str)))
    labels = {**coords, "statistic": STATISTIC}
    for _, group in root.groups():
        used = {d for _, array in group.arrays() for d in array.attrs["_ARRAY_DIMENSIONS"]}
        for axis in sorted(used & set(labels) - set(group)):
            _array(group, axis, Array((axis,), np.asarray(labels[axis], dtype=str)), {})
        for dim in sorted(used & {*sample_dims, "step"}):
            size = _size(group, dim)
            _array(group, dim, Array((dim,), np.arange(size)), {})


def _size(group: zarr.Group, dim: str) -> int:
    arrays = (a for _, a in group.arrays())
    return next(a.shape[a.attrs["_ARRAY_DIMENSIONS"].index(dim)] for a in arrays if dim in a.attrs["_ARRAY_DIMENSIONS"])


def _put(root: zarr.Group, group: str, name: str, array: Array, attributes: Mapping[str, Any] | None = None) -> None:
    """One array of a group, the group made when first needed."""
    if group not in root:
        drawn = group in ("posterior", "unconstrained_posterior", "sample_stats")
        root.create_group(
            group, attributes={k: root.attrs[k] for k in ("sample_dims", "inference_library")} if drawn else {}
        )
    _array(root[group], name, array, attributes or {})


def _array(group: zarr.Group, name: str, array: Array, attributes: Mapping[str, Any]) -> None:
    values = _plain(array.values)
    new_array(group, name, array.dims, values.shape, values.dtype, attributes)[...] = values


def new_array(
    group: zarr.Group, name: str, dims: tuple[str, ...], shape: tuple[int, ...], dtype, attributes: Mapping[str, Any], **most: int
) -> zarr.Array:
    """An array to be filled. most: {dimension: how much of it is in a chunk}, beside those of _chunk."""
    # no fill value: xarray would read it as missing
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=tuple(min(_chunk(d, n), most.get(d, n)) for d, n in zip(dims, shape, strict=True)),
        compressors=COMPRESSOR,
        fill_value=None,
        config={"write_empty_chunks": True},
        attributes={"_ARRAY_DIMENSIONS": list(dims), **attributes},
    )


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts at a fixed width of at least one; all else as it is."""
    if values.dtype.kind in "OU":
        values = values.astype(str)
        return values.astype("<U1") if values.dtype.itemsize == 0 else values
    return values


def _chunk(dim: str, size: int) -> int:
    """All of a dimension, but of genes and cells."""
    return max(1, min(size, CHUNK) if dim in (GENE, CELL) else size)
