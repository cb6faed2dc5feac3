"""fit.h5ad, fit.zarr: the input with the results added. The input's groups are copied, never read into an AnnData."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr

from ..core.axes import CELL, GENE
from ..data.source import Source
from ..errors import UsageError
from .elements import Group, copy_element, copy_old_raw, plain_frame, quiet_writing, write_element
from .layers import write_layer
from .new_hdf5 import new_hdf5
from .outputs import Layer, RunRecord, Selected
from .readers._frames import read_frame
from .results import SIDE, Place, Results, annotations, frames, labels, scalars
from .schema import SCHEMA_VERSION, STORE
from .slots import Slots, is_fit, slots_in

# written anew; the rest of the file is copied
ANEW = ("obs", "var", "uns")
# what `output.data: results` leaves out
DATA = ("X", "layers", "raw", "obsp", "varp")
# `.raw` before anndata 0.7
OLD_RAW = ("raw.X", "raw.var", "raw.varm")
MAPPINGS = ("layers", "obsm", "varm", "obsp", "varp", "uns")
READABLE = ("h5ad", "zarr")


def write_anndata(
    path: Path, results: Results, record: RunRecord, selected: Selected, layers: Mapping[str, Layer]
) -> list[str]:
    """Write fit.h5ad or fit.zarr; notices of what could not be kept of the input."""
    source, key = selected.source, record.key
    places = {CELL: Place(plain_frame(source.obs), selected.cells), GENE: _genes(selected)}
    shape = tuple(len(places[axis].frame) for axis in (CELL, GENE))
    with quiet_writing(), _create(path, record.format, source) as target:
        notices = _copy_input(source, target, record)
        slots = slots_of(target, key)
        notices += _drop_earlier(target, source, slots)
        for name in MAPPINGS:
            _mapping(target, name)
        for axis, place in places.items():
            _side(target, axis, place, results, slots)
        write_element(target["uns"], key, uns(results, record))
        target["uns"][key].attrs["run_id"] = record.run_id
        for name, layer in layers.items():
            write_layer(target["layers"], f"{key}_{name}", layer, shape, (selected.cells, places[GENE].at))
    if record.format == "zarr":
        with quiet_writing():
            zarr.consolidate_metadata(path)
    return notices


@contextmanager
def opened(source: Source) -> Iterator[Group]:
    """The source's file, to copy from."""
    if source.format == "h5ad":
        with h5py.File(source.path, "r") as file:
            yield file
    else:
        yield zarr.open_group(source.path, mode="r")


@contextmanager
def _create(path: Path, format: str, source: Source) -> Iterator[Group]:
    """A new, empty AnnData file; Zarr in the input's own format, else in 2, which anndata 0.10 reads."""
    if format == "h5ad":
        with new_hdf5(path) as file:
            _encoded(file, "anndata")
            yield file
        return
    version = zarr.open_group(source.path, mode="r").metadata.zarr_format if source.format == "zarr" else 2
    root = zarr.create_group(store=path, zarr_format=version)
    _encoded(root, "anndata")
    yield root


def _genes(selected: Selected) -> Place:
    """var of the result. Counts of `.raw` may have more genes than var: those found there by name have a place."""
    source = selected.source
    if source.element != "raw/X" or not _copyable(source):
        return Place(plain_frame(source.var), selected.genes)
    with opened(source) as file:
        var = plain_frame(read_frame(file, "var", source.path))
    position = {name: i for i, name in reversed(list(enumerate(var.index)))}
    names = [source.gene_names[g] if g >= 0 else None for g in selected.genes]
    return Place(var, np.array([position.get(name, -1) for name in names], np.int64))


def _copyable(source: Source) -> bool:
    """Whether the input is an AnnData as it stands; else there are its counts, obs and var alone."""
    return source.format in READABLE and not source.transposed


def _copy_input(source: Source, target: Group, record: RunRecord) -> list[str]:
    """The input's groups but obs and var; notices."""
    if not _copyable(source):
        if not record.results_only:
            everything = tuple(np.arange(n) for n in source.shape)
            write_layer(target, "X", _counts(source), source.shape, everything)
        return _only_counts(source, record.results_only)
    left = {*ANEW, *OLD_RAW, *(DATA if record.results_only else ())}
    with opened(source) as file:
        if "raw.X" in file and not record.results_only:
            copy_old_raw(file, target, source.path)
        names = [*sorted(set(file) - left), *(["uns"] if "uns" in file else [])]
        lost = [path for name in names for path in copy_element(file, target, name)]
    return [f"{source.path}: {path} is None, which older readers refuse: it is left out of the result" for path in lost]


def _only_counts(source: Source, results_only: bool) -> list[str]:
    """A notice where the input had more than its counts, obs and var."""
    what = "obs and var" if results_only else "counts, obs and var"
    if source.parts:
        lost = any(part.source.format in READABLE for part in source.parts)
        why = f"{len(source.parts)} inputs are joined"
    else:
        lost, why = source.format in READABLE, f"{source.path}: transposed"
    return [f"{why}, so only {what} go into the result"] if lost else []


def refuse_foreign_key(source: Source, key: str) -> None:
    """UsageError (2) where the input has something of another maker under the key that the results are to have."""
    if not _copyable(source):
        return
    with opened(source) as file:
        if "uns" in file and key in file["uns"] and not is_fit(_group(file["uns"][key])):
            raise UsageError(
                f'{source.path}: uns["{key}"] is there already and of no fit of scribe, so results under the key {key} '
                "would replace it; choose another --key-added"
            )


def slots_of(root: Group, key: str) -> Slots:
    """Of an AnnData on disk."""
    uns = root["uns"] if "uns" in root else {}
    return slots_in({name: _group(uns[name]) for name in uns}, key)


def _group(element: Group) -> Group | dict:
    """A group as a mapping of its names; nothing of what is no group."""
    return dict.fromkeys(element) if isinstance(element, h5py.Group | zarr.Group) else {}


def _drop_earlier(target: Group, source: Source, slots: Slots) -> list[str]:
    """Take out what an earlier fit under the same key left in the input, so that no two fits are mixed."""
    if not slots.earlier:
        return []
    for name in ("obsm", "varm", "layers"):
        for child in [c for c in target[name] if slots.own(c)] if name in target else []:
            del target[name][child]
    del target["uns"][slots.key]
    return [f"{source.path}: holds results of an earlier fit under the key {slots.key}: they are replaced"]


def _mapping(target: Group, name: str) -> None:
    """A dict group, there already or made."""
    if name not in target:
        _encoded(target.create_group(name), "dict")


def _side(target: Group, axis: str, place: Place, results: Results, slots: Slots) -> None:
    """obs and obsm, or var and varm: the input's columns, then ours."""
    side = SIDE[axis]
    write_element(target, side, annotated(place.frame, annotations(results, slots.key, axis, place), slots))
    for name, values in frames(results, slots.key, axis, place).items():
        write_element(target[f"{side}m"], name, values)


def annotated(frame: pd.DataFrame, ours: Mapping[str, np.ndarray], slots: Slots) -> pd.DataFrame:
    """The frame without what an earlier fit left in it, then our columns."""
    theirs = frame[[c for c in frame if c not in ours and not (slots.earlier and slots.own(c))]]
    return pd.concat([theirs, pd.DataFrame(ours, index=frame.index)], axis=1)


def uns(results: Results, record: RunRecord) -> dict[str, Any]:
    """uns[key]: what was done, and the parameters of no gene or cell."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": record.run_id,
        "status": "done",
        "method": record.method,
        "map_kind": results.map_kind,
        "seed": record.seed,
        "recipe": record.recipe.decode("utf-8", "replace"),
        "recipe_resolved": record.resolved,
        "recipe_sha256": hashlib.sha256(record.recipe).hexdigest(),
        "recipe_resolved_sha256": hashlib.sha256(record.resolved.encode()).hexdigest(),
        "fingerprint": dict(record.fingerprint),
        "versions": {name.replace("/", "|"): version for name, version in record.versions.items()},
        "posterior": STORE,
        "scalars": scalars(results),
        **labels(results),
    }


def _encoded(group: Group, kind: str, version: str = "0.1.0") -> None:
    group.attrs["encoding-type"], group.attrs["encoding-version"] = kind, version


def _counts(source: Source) -> Layer:
    """X of an input that is no AnnData: its counts as they are, sparse."""
    dtype = source.read(0, 1).dtype
    return Layer(lambda: (block for _, block in source.chunks()), sparse=True, dtype=dtype)
