"""From a stored fit to the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ...io.outputs import Told
from ...io.stored import StoredFit
from ..fitting import choice
from ..fitting.misfit import FAILS, STATISTICS
from . import equations, genes, pictures, verdict, words
from .material import Material

FOLDER = Path(__file__).parent
WORST = 10  # elements in the table of convergence
PHASES = ("read", "compile", "fit", "draws", "ppc", "total")


def build(stored: StoredFit, told: Told) -> str:
    """report.html: the same text for the same fit, wherever it lies."""
    return _template().render(_page(Material(stored, told)))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"thousands": "{:,}".format, "few": _few}
    return environment.get_template("page.html")


def _few(value: float | None) -> str:
    """A number in three digits; a dash for what metrics.json has no number for."""
    return "\u2013" if value is None else words.number(value, 3)


def _page(m: Material) -> dict[str, Any]:
    """What the template is filled with."""
    level, headline = verdict.headline(m)
    return {
        "title": f"{m.model}, {m.n_cells:,} cells \u00d7 {len(m.genes):,} genes",
        "fitted": words.fitted(m),
        "level": level,
        "mark": verdict.MARKS[level],
        "headline": headline,
        "statuses": verdict.statuses(m),
        "model": words.model(m),
        "equations": [equations.html(text) for text in m.stored.explained["equations"]],
        "sites": m.stored.explained["sites"],
        "told": m.told,
        **_convergence(m),
        **_checks(m),
        **_run(m),
    }


def _convergence(m: Material) -> dict[str, Any]:
    said = verdict.statuses(m)[0].texts
    if m.stored.method == "svi":
        return {"converged": said, "loss": pictures.of_loss(m), "worst_mixed": [], "chains": []}
    found = m.stored.group("convergence")
    order = np.argsort(-np.nan_to_num(found["rhat"]), kind="stable")[:WORST]
    columns = ("parameter", "element", "rhat", "ess_bulk", "ess_tail")
    mixed = [{c: found[c][i] for c in columns} for i in order]
    return {"converged": said, "loss": None, "worst_mixed": mixed, "chains": list(pictures.of_chains(m))}


def _checks(m: Material) -> dict[str, Any]:
    flagged, checks, p = genes.flagged(m), m.checks(), m.columns["ppc_p"]
    labels = {"all cells": ""} | {label: label for label in m.datasets}
    return {
        "statistics": STATISTICS,
        "limit": FAILS,
        "misfits": {name: m.misfit(label) for name, label in labels.items()},
        "of_genes": list(pictures.of_genes(m)),
        "of_cells": list(pictures.of_cells(m)),
        "badly": list(pictures.of_gene(m, choice.worst(checks, p, m.empty))),
        "well": list(pictures.of_gene(m, choice.well(checks, p, m.empty))),
        "flagged": genes.rows(m, flagged[: genes.LISTED]),
        "n_flagged": len(flagged),
        "n_genes": len(m.genes),
    }


def _run(m: Material) -> dict[str, Any]:
    record, metrics = m.stored.record, m.metrics
    return {
        "record": record,
        "seconds": {name: metrics[f"seconds_{name}"] for name in PHASES},
        "metrics": metrics,
        "resolved": m.stored.resolved,
    }
