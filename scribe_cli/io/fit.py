"""A whole fit on disk: written, opened again, and its fit.h5ad made anew from store and input."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..core.axes import Axes
from ..core.model.spec import ModelSpec
from ..data.source import Source
from .anndata import write_anndata
from .manifest import RUN_ID_COMMENT, locate, manifest_text, one_run, read_manifest, sums_text
from .outputs import FitOutputs, Layer, RunRecord, Selected
from .results import Results
from .schema import FIT, METRICS, RECIPE, RESOLVED, STORE, TABLES
from .staging import commit, open_stage, seal, writing
from .store import STATISTIC, UNCONSTRAINED, arrays_in, dims_of, write_store
from .summary import Summary
from .tables import write_tables


def write_fit(out: Path, fit: FitOutputs) -> list[str]:
    """Write everything of CONTRACT 3 into OUT; notices of what could not be kept of the input.

    CannotCreate (73) where OUT cannot be written, IOFailure (74) where writing fails; OUT then is as it was.
    """
    record = fit.record
    stage = open_stage(out, record.run_id)
    with writing(out, record.run_id):
        results = write_store(stage / STORE, fit)
        if fit.write_tables:
            write_tables(stage / TABLES, fit, results)
        notices = write_anndata(stage / FIT[record.format], results, record, fit.selected, fit.layers)
        _write_texts(stage, fit, results.saturated_values)
        seal(stage, manifest_text(stage, record.run_id, record.key, record.fingerprint))
        commit(out, record.run_id)
    return notices


def rebuild_fit(out: Path, source: Source, layers: Mapping[str, Layer]) -> list[str]:
    """Make fit.h5ad or fit.zarr of a finished run again from its store and its input; notices as of `write_fit`."""
    stored = open_fit(out)
    record = stored.record
    stage = open_stage(out, record.run_id)
    with writing(out, record.run_id):
        name = FIT[record.format]
        selected = Selected(source, *stored.selected)
        notices = write_anndata(stage / name, stored.results, record, selected, layers)
        seal(stage, sums_text(read_manifest(out), stage))
        commit(out, record.run_id)
    return notices


def open_fit(path: Path) -> StoredFit:
    """A fit from OUT, or from the fit.h5ad or fit.zarr in it. InputMissing (66), IOFailure (74) if of two runs."""
    out = locate(path)
    one_run(out)
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
        return Summary(name, self.axes(name), kind["support"], kind["kind"] == "sampled", statistics, saturated)

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
        columns = self.group("gene_columns")
        reasons = columns.pop("reason").tolist()
        return Results(
            tuple(self.summaries()), self.coords, columns, self.group("cell_columns"), reasons, self.map_kind
        )


def _write_texts(stage: Path, fit: FitOutputs, saturated_values: int) -> None:
    """The recipes, metrics.json and what else the run layer hands over."""
    record = fit.record
    (stage / RECIPE).write_bytes(record.recipe)
    (stage / RESOLVED).write_text(f"{RUN_ID_COMMENT}{record.run_id}\n{record.resolved}")
    for name, text in fit.texts.items():
        (stage / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    metrics = {"run_id": record.run_id, **fit.metrics(saturated_values)}
    plain = {name: _number(value) for name, value in metrics.items()}
    (stage / METRICS).write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")


def _number(value: Any) -> Any:
    """A metric as JSON has it: no NumPy types; what is no finite number is null."""
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
