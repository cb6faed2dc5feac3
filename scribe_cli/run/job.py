"""The work of a fit after its input has passed: infer, check, and hand everything over to be written."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.axes import CELL, GENE
from ..core.inference.posterior import Posterior, Variable
from ..core.model.spec import ModelSpec
from ..data.counts import CountData
from ..errors import CannotCreate
from ..io.fit import rebuild_fit, write_fit
from ..io.outputs import Array, FitOutputs, RunRecord, Selected
from ..io.schema import VERSIONS
from . import assemble, compiling, findings, inference, record, resolved
from .assemble import Collected
from .config import Config
from .console import Console
from .device import Device
from .identity import Run
from .options import FitOptions

SPARE = 1.2  # of the estimated size of the outputs


@dataclass(frozen=True)
class Fitted:
    """A posterior with what belongs to it. lane: name of the engine's lane; warnings: {name: text}."""

    posterior: Posterior
    lane: str
    collected: Collected
    warnings: Mapping[str, str]


def run(asked: FitOptions, config: Config, counts: CountData, identity: Run, device: Device, console: Console) -> None:
    """Fit and write OUT. Warnings are told as they are found, and again in metrics.json."""
    spec = config.resolve()
    _check_room(asked.output, counts, config)
    compiled = compiling.watched()
    collected = assemble.collect(counts, spec)
    posterior, lane = inference.infer(collected, spec, config, console)
    warnings = findings.joined([device.warnings, counts.warnings, _warnings(config, spec, collected, posterior)])
    for name, text in warnings.items():
        if name not in counts.warnings:
            console.warning(text)
    fitted = Fitted(posterior, lane, collected, warnings)
    outputs = _outputs(asked, config, counts, identity, fitted, compiled, console)
    with console.phase("write"):
        for notice in write_fit(asked.output, outputs):
            console.notice(notice)


def _warnings(config: Config, spec: ModelSpec, collected: Collected, posterior: Posterior) -> dict[str, str]:
    of_method = {"svi": findings.of_svi, "mcmc": findings.of_mcmc}[config.inference_method]
    log_library = collected.cells.arrays.get("log_library")
    return findings.joined(
        [findings.identifiability(spec, config.priors, log_library), of_method(posterior.diagnostics)]
    )


def _outputs(asked, config, counts, identity, fitted, compiled, console) -> FitOutputs:
    posterior = fitted.posterior
    return FitOutputs(
        record=_run_record(asked, config, identity),
        spec=posterior.spec,
        selected=Selected(counts.source, counts.cell_index, counts.gene_index),
        variables=_chosen(posterior.variables(), config.output.samples),
        coords={GENE: counts.gene_names, CELL: counts.cell_names},
        sample_dims=posterior.sample_dims,
        map_kind=posterior.map_kind,
        metrics=lambda saturated: _metrics(config, counts, fitted, compiled, console, saturated),
        lifted=_lifted(posterior, config),
        history=posterior.history,
        sample_stats=posterior.sample_stats,
        guide=posterior.guide,
        constant={"total": Array((CELL,), counts.total), "library_size": Array((CELL,), counts.library)},
        write_tables=config.output.tables,
        texts={VERSIONS: record.versions_yml()},
    )


def _run_record(asked: FitOptions, config: Config, identity: Run) -> RunRecord:
    return RunRecord(
        run_id=identity.run_id,
        key=asked.key_added,
        format=identity.format,
        method=config.inference_method,
        seed=config.seed,
        fingerprint=identity.fingerprint,
        versions=identity.versions,
        recipe=config.source.text,
        resolved=resolved.resolved_text(config),
        results_only=config.output.data == "results",
    )


def _chosen(variables: Iterator[Variable], samples: str | list[str]) -> Iterator[Variable]:
    """Draws are kept of the parameters that `output.samples` names."""
    for v in variables:
        yield dataclasses.replace(v, stored=v.stored and (samples == "all" or v.name in samples and samples != "none"))


def _lifted(posterior: Posterior, config: Config) -> dict[str, Array]:
    """Draws in the lifted coordinates: always of a chain; of a guide where asked for, since it can make them again."""
    if config.inference_method == "svi" and not config.output.unconstrained:
        return {}
    return {}


def _metrics(config, counts, fitted, compiled, console, saturated: int) -> dict:
    seconds = {name: round(console.seconds.get(name, 0.0), 3) for name in ("read", "fit", "draws", "ppc", "write")}
    warnings = fitted.warnings
    return {
        **{f"seconds_{name}": value for name, value in seconds.items()},
        "seconds_compile": round(compiled.seconds, 3),
        "seconds_total": round(console.elapsed(), 3),
        "peak_memory_gb": round(record.peak_memory_gb(), 3),
        "n_cells": counts.n_cells,
        "n_genes": counts.n_genes,
        "nnz": counts.nnz,
        "engine": fitted.lane,
        "programs_compiled": compiled.programs,
        "saturated_values": saturated,
        **fitted.posterior.diagnostics,
        **findings.warning_flags(config.inference_method, warnings),
    }


def _check_room(out: Path, counts: CountData, config: Config) -> None:
    """Free space for draws and the copied input. CannotCreate (73) where there is too little."""
    draws = config.svi.n_samples if config.inference_method == "svi" else config.mcmc.n_samples * config.mcmc.n_chains
    values = draws * 4 * (3 * counts.n_genes + counts.n_cells) if config.output.samples != "none" else 0
    source = counts.source.path
    copied = sum(f.stat().st_size for f in ([source] if source.is_file() else source.rglob("*")) if f.is_file())
    need = int(SPARE * (values + 2 * copied)) + 2**24
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < need:
        raise CannotCreate(
            f"{out}: about {need / 1e9:.2g} GB are needed and {free / 1e9:.2g} GB are free on its disk; make room, or "
            "store less (output.samples: none, output.data: results)"
        )


def rebuild(asked: FitOptions, config: Config, counts: CountData, console: Console) -> None:
    """fit.h5ad again from the store and the input, without fitting."""
    with console.phase("write"):
        for notice in rebuild_fit(asked.output, counts.source, {}):
            console.notice(notice)
