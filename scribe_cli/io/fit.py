"""A whole fit on disk: written, and its fit.h5ad made anew from store and input."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..data.source import Source
from .anndata import write_anndata
from .manifest import RUN_ID_COMMENT, manifest_text, page, sums_text
from .outputs import FitOutputs, Layer, Selected
from .schema import FIT, METRICS, RECIPE, REPORT, RESOLVED, STORE, TABLES
from .staging import commit, open_stage, read_manifest, seal, writing
from .store import write_store
from .stored import StoredFit, open_fit
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
        told = dataclasses.replace(fit.told, notices=(*fit.told.notices, *notices))
        if fit.report is not None:
            report = fit.report(StoredFit(stage, zarr.open_group(stage / STORE, mode="r")), told)
            (stage / REPORT).write_bytes(page(report))
        seal(stage, manifest_text(stage, record, told))
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
