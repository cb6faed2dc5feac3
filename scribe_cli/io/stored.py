"""A fit on disk, opened again; what it gives is read when asked for. Quick to import: loads neither jax nor pandas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from ..core.axes import COMPONENT, DATASET, GENE, Axes
from ..core.model.spec import ModelSpec
from ..errors import BadData, UsageError, did_you_mean, listed
from . import plain_zarr
from .manifest import RUN_ID_COMMENT, locate, one_run
from .outputs import RunRecord
from .schema import COMPONENT_PROB, METRICS, RECIPE, RESOLVED, STATISTIC, STORE, UNCONSTRAINED
from .summary import Summary

if TYPE_CHECKING:
    from .results import Results

# what to do for a component or a dataset where a fit has none
WITHOUT = {
    COMPONENT: "fit with n_components of 2 or more",
    DATASET: "fit with dataset_key, an obs column, or give several inputs",
}


def open_fit(path: Path) -> StoredFit:
    """A fit from OUT, or from the fit.h5ad or fit.zarr in it.

    InputMissing (66), IOFailure (74) if of two runs, BadData (65) if its store is not what scribe writes.
    """
    out = locate(path)
    one_run(out)
    plain_zarr.check(out / STORE)
    return StoredFit(out, zarr.open_group(out / STORE, mode="r"))


@dataclass(frozen=True)
class StoredFit:
    """A fit as it lies on disk; arrays are read when asked for."""

    out: Path
    root: zarr.Group

    @property
    def run_id(self) -> str:
        return self.root.attrs["run_id"]

    @property
    def method(self) -> str:
        """svi or mcmc."""
        return self.root.attrs["method"]

    @property
    def format(self) -> str:
        """h5ad or zarr."""
        return self.root.attrs["format"]

    @property
    def seed(self) -> int:
        return self.root.attrs["seed"]

    @property
    def sample_dims(self) -> tuple[str, ...]:
        return tuple(self.root.attrs["sample_dims"])

    @property
    def map_kind(self) -> str:
        return self.root.attrs["map_kind"]

    @cached_property
    def spec(self) -> ModelSpec:
        return ModelSpec.from_json(self.root.attrs["model_spec"])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The reported parameters, in order."""
        return tuple(self.root.attrs["parameters"])

    @cached_property
    def coords(self) -> dict[str, list[str]]:
        """{axis: names} of the axes that the fit has."""
        return {k: self.root["coords"][k][:].tolist() for k in self.root.attrs["coords"]}

    def genes(self, names: Sequence[str], among: Sequence[int] | None = None) -> np.ndarray:
        """Positions of fitted genes, in the order of `names`. BadData (65) for one that was not fitted.

        `among`: positions of those there are, where that is not all of them.
        """
        fitted = self.coords[GENE]
        place = {fitted[i]: i for i in (range(len(fitted)) if among is None else among)}
        unknown = [name for name in names if name not in place]
        if unknown:
            raise BadData(
                f"{self.out}: not in the fit: {'gene' if len(unknown) == 1 else 'genes'} {listed(unknown)}"
                f"{did_you_mean(unknown[0], place)}; it has {len(place):,}, and names are compared exactly"
            )
        return np.array([place[name] for name in names], np.int64)

    def place(self, axis: str, key: str | int) -> int:
        """The position of a component or a dataset, by its name or position. UsageError (2), with those there are."""
        names = self.coords.get(axis)
        if names is None:
            raise UsageError(f"{self.out}: the fit has no {axis}s; {WITHOUT[axis]}")
        if isinstance(key, str) and key in names:
            return names.index(key)
        if isinstance(key, Integral) and not isinstance(key, bool) and -len(names) <= key < len(names):
            return int(key) % len(names)
        near = did_you_mean(key, names) if isinstance(key, str) else ""
        raise UsageError(
            f"{axis} {key!r} is not in the fit{near}; there are {listed(names)}: give a name, or a position from 0"
        )

    def cells_of(self, dataset: int) -> np.ndarray:
        """Positions of the fitted cells of a dataset."""
        return np.flatnonzero(np.asarray(self.root["constant_data"]["dataset_of_cell"][...]) == dataset)

    def attributes(self, name: str) -> dict[str, Any]:
        """descriptive_name, symbol, support, domain, coordinate, kind, unconstrained_name of a parameter."""
        return {k: v for k, v in self.root["map"][name].attrs.items() if not k.startswith("_")}

    def axes(self, name: str) -> Axes:
        return dims_of(self.root["map"][name])

    def point(self, name: str) -> np.ndarray:
        """The MAP, float64, with the parameter's axes."""
        return np.asarray(self.root["map"][name][...])

    def lifted(self, name: str) -> np.ndarray | None:
        """theta of the MAP, None of a derived parameter."""
        key = name + UNCONSTRAINED
        return np.asarray(self.root["map"][key][...]) if key in self.root["map"] else None

    @property
    def n_draws(self) -> int:
        """Stored draws in all; 0 where only summaries are stored."""
        arrays = arrays_in(self.root, "posterior").values()
        return next((int(np.prod(a.shape[: len(self.sample_dims)])) for a in arrays), 0)

    def draws(self, name: str) -> zarr.Array | None:
        """The draws, sample dims first, read where sliced; None where only the summaries are stored."""
        group = arrays_in(self.root, "posterior")
        return group.get(name)

    def summary(self, name: str) -> Summary:
        array = self.root["summary"][name]
        values = np.asarray(array[...])
        statistics = {"map": self.point(name)} | {s: values[i] for i, s in enumerate(STATISTIC)}
        saturated = statistics.pop("saturated").astype(int)
        kind = self.attributes(name)
        return Summary(name, self.axes(name), kind["support"], kind["kind"] != "derived", statistics, saturated)

    def summaries(self) -> Iterator[Summary]:
        return (self.summary(name) for name in self.names)

    @property
    def guide(self) -> dict[str, Any] | None:
        """{"family": name, "params": {group: {site: array}}} as in Posterior."""
        if "variational_params" not in self.root:
            return None
        groups = self.root["variational_params"]
        params = {k: {s: np.asarray(a[...]) for s, a in g.arrays()} for k, g in groups.groups()}
        return {"family": groups.attrs["family"], "params": params}

    def group(self, name: str) -> dict[str, np.ndarray]:
        """{name: values} of `fit_history`, `sample_stats`, `constant_data`, `ppc`, `unconstrained_posterior`..."""
        return {k: np.asarray(a[...]) for k, a in arrays_in(self.root, name).items()}

    @property
    def selected(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the fitted cells and genes in the input, -1 for the pooled gene."""
        return tuple(np.asarray(self.root["selected"][name][...]) for name in ("cells", "genes"))

    @property
    def explained(self) -> dict[str, Any]:
        """The model written out, as in FitOutputs."""
        return self.root.attrs["explained"]

    @property
    def metrics(self) -> dict[str, Any]:
        return json.loads((self.out / METRICS).read_text())

    @property
    def resolved(self) -> str:
        """The resolved recipe, without the line of the run id."""
        text = (self.out / RESOLVED).read_text()
        return text.split("\n", 1)[1] if text.startswith(RUN_ID_COMMENT) else text

    @property
    def record(self) -> RunRecord:
        names = ("run_id", "key", "format", "method", "seed", "fingerprint", "versions", "results_only")
        attributes = {name: self.root.attrs[name] for name in names}
        return RunRecord(**attributes, recipe=(self.out / RECIPE).read_bytes(), resolved=self.resolved)

    @property
    def results(self) -> Results:
        from .results import Results

        columns, of_cells = self.group("gene_columns"), self.group("cell_columns")
        reasons, probabilities = columns.pop("reason").tolist(), of_cells.pop(COMPONENT_PROB, None)
        summaries = tuple(self.summaries())
        return Results(summaries, self.coords, columns, of_cells, reasons, self.map_kind, probabilities)


def dims_of(array: zarr.Array) -> tuple[str, ...]:
    return tuple(array.attrs["_ARRAY_DIMENSIONS"])


def arrays_in(root: zarr.Group, group: str) -> dict[str, zarr.Array]:
    """{name: array} of a group without its coordinates; empty where there is no such group."""
    if group not in root:
        return {}
    return {k: a for k, a in sorted(root[group].arrays()) if (k,) != dims_of(a)}
