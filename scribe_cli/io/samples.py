"""Draws of a posterior in a store of their own: the layout of posterior.zarr, written a block of draws at a time."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..core.axes import COMPONENT, Axes
from ..core.model.derive import Reported
from ..core.model.spec import ParamSpec
from ..errors import CannotCreate, IOFailure, UsageError
from .schema import UNCONSTRAINED
from .staging import refuse_entry, require_room
from .store import COMPONENT_RATIO, attributes_of, lifted_dims, new_array, put_coordinates
from .stored import StoredFit
from .summary import at_limits

MADE_BY = "scribe sample"
# of the store of the fit that the draws are of
KEPT = ("run_id", "schema_version", "model_spec", "map_kind", "key", "format", "method", "fingerprint", "versions", "coords")
ROOM = 1.05  # of the bytes before they are compressed: random digits hardly are


@dataclass(frozen=True)
class Drawn:
    """What is written. lead: {sample dimension: its size}; parameters: of `posterior`; lifted: of
    `unconstrained_posterior`; statistics: {name: values} of `sample_stats`; block: draws in a chunk; seed: theirs.
    """

    stored: StoredFit
    lead: Mapping[str, int]
    parameters: Sequence[Reported]
    lifted: Sequence[ParamSpec]
    statistics: Mapping[str, np.ndarray]
    block: int
    seed: int

    @property
    def size(self) -> int:
        """Bytes of the draws."""
        sizes = {axis: len(names) for axis, names in self.stored.coords.items()}
        each = sum(np.prod([sizes[a] for a in p.axes]) for p in (*self.parameters, *self.lifted))
        return 4 * int(np.prod(list(self.lead.values())) * each)


def refuse(path: Path) -> None:
    """UsageError (2) for a name that is none of ours or a place in the fit, CannotCreate (73) where it cannot be made."""
    if path.suffix != ".zarr":
        raise UsageError(f'-o {path}: ends in "{path.suffix}"; sample writes one .zarr store, name it {path.stem}.zarr')
    refuse_entry(path)
    real = Path(os.path.realpath(path))
    if os.path.lexists(path) and not _ours(path):
        raise CannotCreate(f"-o {path}: is there and no store of scribe sample; name another one, or move it away")
    if not real.parent.is_dir() or not os.access(real.parent, os.W_OK | os.X_OK):
        raise CannotCreate(f"-o {path}: cannot be created; name a store in a folder that exists and is writable")


def _ours(path: Path) -> bool:
    """Whether an earlier `scribe sample` made it."""
    try:
        return json.loads((path / ".zattrs").read_text()).get("made_by") == MADE_BY
    except (OSError, ValueError, AttributeError):
        return False


def write(path: Path, drawn: Drawn, blocks: Iterable[tuple[tuple, dict, dict]]) -> int:
    """blocks: (where among the draws, {parameter: values}, {parameter: lifted values}), the draws first in values.

    The store appears whole or not at all. Returns how many values lay beyond float32 and are at its limits. Errors: 73
    where there is no room, 74 where writing fails.
    """
    require_room(path.absolute().parent, int(ROOM * drawn.size), "name a store on another disk, or ask for fewer draws (-n)")
    fresh, old = (path.with_name(f".{path.name}.{what}") for what in ("tmp", "old"))
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        saturated = _fill(fresh, drawn, blocks)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(path, old)
        os.rename(fresh, path)
    except OSError as error:
        raise IOFailure(f"-o {path}: writing failed ({error.strerror or error}); make room, then run it again") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return saturated


def _fill(path: Path, drawn: Drawn, blocks: Iterable[tuple[tuple, dict, dict]]) -> int:
    """The groups, empty, then block after block."""
    stored, lead = drawn.stored, tuple(drawn.lead)
    attributes: dict[str, Any] = {name: stored.root.attrs[name] for name in KEPT}
    about = {"sample_dims": list(lead), "inference_library": stored.root.attrs["inference_library"]}
    root = zarr.create_group(
        store=path, zarr_format=2, attributes={"made_by": MADE_BY, **attributes, **about, "seed": drawn.seed}
    )
    groups = {name: root.create_group(name, attributes=about) for name in _groups(drawn)}
    values = {p.name: _empty(groups["posterior"], p.name, p.axes, drawn, attributes_of(p)) for p in drawn.parameters}
    lifted = {
        p.name: _empty(groups["unconstrained_posterior"], p.name + UNCONSTRAINED, lifted_dims(p.axes, p.support), drawn, {})
        for p in drawn.lifted
    }
    saturated = 0
    for where, natural, thetas in blocks:
        for p in drawn.parameters:
            values[p.name][where], beyond = at_limits(natural[p.name], p.support)
            saturated += int(beyond.sum())
        for name, array in lifted.items():
            array[where] = at_limits(thetas[name], "real")[0]
    for name, statistic in drawn.statistics.items():
        new_array(groups["sample_stats"], name, lead, statistic.shape, statistic.dtype, {})[...] = statistic
    put_coordinates(root, stored.coords, lead)
    zarr.consolidate_metadata(root.store, zarr_format=2)
    return saturated


def _groups(drawn: Drawn) -> list[str]:
    wanted = {"posterior": True, "unconstrained_posterior": bool(drawn.lifted), "sample_stats": bool(drawn.statistics)}
    return [name for name, there in wanted.items() if there]


def _empty(group: zarr.Group, name: str, axes: Axes, drawn: Drawn, attributes: Mapping[str, Any]) -> zarr.Array:
    """An array of draws, to be filled; a chunk holds the draws of one block and no more than one chain."""
    sizes = {**{axis: len(names) for axis, names in drawn.stored.coords.items()}, **drawn.lead}
    sizes[COMPONENT_RATIO] = sizes.get(COMPONENT, 1) - 1
    dims = (*drawn.lead, *axes)
    most = {**dict.fromkeys(drawn.lead, 1), list(drawn.lead)[-1]: drawn.block}
    return new_array(group, name, dims, tuple(sizes[d] for d in dims), np.float32, attributes, **most)
