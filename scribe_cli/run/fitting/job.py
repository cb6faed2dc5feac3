"""The work of a fit after its input has passed: infer, check, and hand everything over to be written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ...core.axes import CELL, COMPONENT, DATASET, GENE
from ...core.facts import ARRAY_AXIS, Facts
from ...core.inference.diagnostics import prior_ratio
from ...core.inference.posterior import Posterior, Variable, squeeze
from ...core.model import explain, program
from ...core.model.spec import ModelSpec
from ...data.counts import CountData
from ...io import manifest
from ...io.fit import rebuild_fit, write_fit
from ...io.outputs import Array, FitOutputs, Layer, RunRecord, Selected, Told
from ...io.schema import FIT, REPORT, VERSIONS
from ...io.store import lifted_dims
from ...io.stored import StoredFit, open_fit
from .. import record, redraw
from ..device import Device
from ..options import FitOptions
from ..recipe import resolved
from ..recipe.config import Config
from ..reporting import build as report
from ..terminal.console import Console
from . import assemble, audit, checking, compiling, findings, inference, metrics, misfit
from . import layers as layering
from .assemble import Collected
from .checking import Checks
from .identity import Run
from .inference import Inferred


@dataclass(frozen=True)
class Job:
    """One fit under way: what was asked, and what has been found so far."""

    asked: FitOptions
    config: Config
    counts: CountData
    identity: Run
    console: Console
    compiled: compiling.Compiling


def run(asked: FitOptions, config: Config, counts: CountData, identity: Run, device: Device, console: Console) -> None:
    """Fit and write OUT. Warnings are told as they are found, and again in metrics.json and the report."""
    spec = config.resolve()
    job = Job(asked, config, counts, identity, console, compiling.watched())
    collected = assemble.collect(counts, spec)
    inferred = inference.infer(collected, spec, config, console)
    with console.phase("ppc"):
        checks = checking.check(inferred.posterior, collected, config, device.cores)
    reasons = findings.gene_reasons(counts.empty_genes, prior_ratio(inferred.posterior), checks.genes.p, inferred.rhat)
    errors = audit.errors(inferred.posterior, counts, inferred.lane, config.seed, inferred.nodes)
    counts.kept.release()  # nobody reads them from here on, and the draws of all cells are still to be written
    engine = findings.engine(errors, audit.beyond(inferred.posterior, counts, inferred.lane))
    warnings = findings.joined([inferred.warnings, engine, *_warnings(spec, collected, checks, reasons)])
    for text in warnings.values():
        console.warning(text)
    drawn, said = layering.layers(inferred.posterior, config, counts.nnz)
    for notice in said:
        console.notice(notice)
    warnings = findings.joined([device.warnings, counts.warnings, warnings])
    told = Told(asked.command, tuple(map(str, asked.data)), warnings, (*device.notices, *counts.notices, *said))
    numbers = errors | {"prior_dominated_genes": int(reasons["prior-dominated"].sum()), "ppc_failed_genes": int(reasons["ppc"].sum())}
    outputs = _outputs(job, inferred, checks, reasons, told, drawn, numbers)
    with console.phase("write"):
        for notice in write_fit(asked.output, outputs):
            console.notice(notice)


def _warnings(spec: ModelSpec, collected: Collected, checks: Checks, reasons: Mapping) -> list[dict[str, str]]:
    log_library, counts = collected.cells.arrays.get("log_library"), collected.counts
    of_genes = misfit.of_genes(checks.genes.genes, counts.empty_genes)
    return [
        findings.identifiability(spec, log_library),
        findings.components(counts.design.components, checks.component_prob, counts.design.annotation),
        findings.checks(spec, of_genes, misfit.of_cells(checks.cells["total_p"])),
        findings.amount(counts.n_cells, reasons["prior-dominated"], counts.empty_genes),
    ]


def _outputs(
    job: Job, inferred: Inferred, checks: Checks, reasons: Mapping, told: Told, layers: Mapping[str, Layer], numbers: Mapping
) -> FitOutputs:
    posterior, counts, config = inferred.posterior, job.counts, job.config
    coords = _coords(counts, posterior.facts)
    return FitOutputs(
        record=_run_record(job),
        spec=posterior.spec,
        selected=Selected(counts.source, counts.cell_index, counts.gene_index),
        variables=_chosen(posterior.variables(), config.output.samples),
        coords=coords,
        sample_dims=posterior.sample_dims,
        map_kind=posterior.map_kind,
        metrics=lambda saturated: _metrics(job, inferred, told.warnings, numbers | {"saturated_values": saturated}),
        lifted=_lifted(posterior, config),
        history=posterior.history,
        sample_stats=posterior.sample_stats,
        guide=posterior.guide,
        constant=_constant(counts, posterior.facts),
        gene_columns=checks.gene_columns,
        cell_totals=checks.cells,
        component_prob=checks.component_prob,
        reasons=findings.joined_reasons(reasons),
        tables={**checks.tables, "convergence": inferred.convergence(coords)},
        write_tables=config.output.tables,
        layers=layers,
        texts={VERSIONS: record.versions_yml()},
        explained=dataclasses.asdict(explain.explain(posterior.spec, posterior.facts.sizes)),
        told=told,
        report=report.build,
    )


def _coords(counts: CountData, facts: Facts) -> dict:
    """{axis: names}: datasets also where they are labels of results alone."""
    design = counts.design
    found = {COMPONENT: design.components} if COMPONENT in facts.sizes else {}
    found |= {DATASET: design.datasets} if design.datasets else {}
    return found | {GENE: counts.gene_names, CELL: counts.cell_names}


def _constant(counts: CountData, facts: Facts) -> dict[str, Array]:
    """What was given, of cells and genes: totals, library sizes, and the facts that the model names."""
    found = {"total": Array((CELL,), counts.total), "library_size": Array((CELL,), counts.library)}
    arrays = {name: v for name, v in facts.arrays.items() if name != "log_library"}
    arrays |= {} if counts.design.dataset_of_cell is None else {"dataset_of_cell": counts.design.dataset_of_cell}
    return found | {name: Array((ARRAY_AXIS[name],), np.asarray(v)) for name, v in arrays.items()}


def _run_record(job: Job) -> RunRecord:
    asked, config, identity = job.asked, job.config, job.identity
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
    kept = lambda v: v.stored and (samples == "all" or v.name in samples and samples != "none")  # noqa: E731
    return map(lambda v: dataclasses.replace(v, stored=kept(v)), variables)


def _lifted(posterior: Posterior, config: Config) -> dict[str, Array]:
    """Draws in the lifted coordinates: always of chains; of a guide where asked for, since it can make them again."""
    if config.inference_method == "svi" and not config.output.unconstrained:
        return {}
    of_params = {p.name: Array(lifted_dims(p.axes, p.support), squeeze(posterior.draws[p.name], p.axes)) for p in posterior.spec.params}
    axes = {name: site.axes for name, site in program.sites(posterior.spec, posterior.facts).items()}
    return of_params | {name: Array(axes[name], squeeze(v, axes[name])) for name, v in posterior.pieces.items()}


def _metrics(job: Job, inferred: Inferred, warnings: Mapping[str, str], numbers: Mapping) -> dict:
    console, counts = job.console, job.counts
    return {
        **{f"seconds_{name}": round(console.spent(name), 3) for name in ("read", "fit", "draws", "ppc", "write")},
        "seconds_compile": round(job.compiled.seconds, 3),
        "seconds_total": round(console.elapsed(), 3),
        "peak_memory_gb": round(record.peak_memory_gb(), 3),
        "n_cells": counts.n_cells,
        "n_genes": counts.n_genes,
        "nnz": counts.nnz,
        "engine": inferred.lane,
        "programs_compiled": job.compiled.programs,
        **numbers,
        **inferred.posterior.diagnostics,
        **metrics.warning_flags(job.config.inference_method, warnings),
    }


def rebuild(asked: FitOptions, config: Config, counts: CountData, console: Console) -> None:
    """fit.h5ad again from the store and the input, and report.html from the store, without fitting."""
    stored, told = open_fit(asked.output), manifest.told(asked.output)
    for name, text in told.warnings.items():
        if name not in counts.warnings:  # those were told as the data were read
            console.warning(text)
    if not (asked.output / FIT[stored.record.format]).exists():
        _rebuild_fit(stored, config, counts, console)
    if not (asked.output / REPORT).exists():
        manifest.put_report(asked.output, report.build(stored, told))


def _rebuild_fit(stored: StoredFit, config: Config, counts: CountData, console: Console) -> None:
    n = config.svi.n_samples if config.inference_method == "svi" else config.mcmc.n_samples * config.mcmc.n_chains
    drawn, _ = layering.layers(redraw.posterior(stored, n), config, counts.nnz)
    with console.phase("write"):
        for notice in rebuild_fit(stored.out, counts.source, drawn):
            console.notice(notice)
