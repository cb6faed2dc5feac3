"""What `inspect` found, for a reader and for a program."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...data.source import Source
from ..terminal.table import Table, lines
from .columns import Column
from .found import QUANTILES, Counts, quantiles, twice
from .matrices import Matrix
from .problems import Problem

WIDTH = 80


@dataclass(frozen=True)
class Report:
    """counts: None where no matrix holds any; then recipe and command are empty."""

    source: Source
    matrices: Sequence[Matrix]
    counts: Counts | None
    problems: Sequence[Problem]
    recipe: str
    command: str


def text(report: Report, width: int | None = None) -> Iterator[str]:
    """Line by line, within `width` characters as far as names allow (None, not a terminal: 80)."""
    width = width or WIDTH
    counts = report.counts
    for table in [_heading(report), _matrices(report.matrices), *(_of_counts(counts, width) if counts else ())]:
        yield from lines(table, "table", width)
        yield ""
    if reasons := [f"{m.element}: {m.reason}" for m in report.matrices if m.reason]:
        yield "Not counts"
        yield from _listed(reasons, width)
        yield ""
    yield "Problems" if report.problems else "No problems found"
    yield from _listed([f"{p.what}; {p.do}" for p in report.problems], width)
    if counts:
        yield ""
        yield "Suggested recipe"
        yield from (f"  {line}".rstrip() for line in report.recipe.splitlines())
        yield ""
        yield "Save it under the name in this command, or take your own:"
        yield f"  {report.command}"


def _heading(report: Report) -> Table:
    source, counts = report.source, report.counts
    n_cells, n_genes = (counts.source if counts else source).shape
    rows = [("data", f"{n_cells:,} cells x {n_genes:,} genes")]
    if counts is not None:
        values = counts.tour.values
        ones = values.tally[1] / values.nonzero
        said = f"{values.nonzero:,} non-zero, {ones:.0%} of them 1, largest {values.highest:,.0f}"
        rows.append(("counts", f"{counts.matrix.element}, {said}"))
        for name, mask in counts.marked.items():
            if mask.any():
                rows.append((name, f"{int(mask.sum()):,} genes, {counts.share(name):.2%} of the counts"))
    return Table((source.format, str(source.path)), rows)


def _matrices(matrices: Sequence[Matrix]) -> Table:
    rows = []
    for m in matrices:
        if m.seen is None:
            rows.append((m.element, "", "", "", "", m.word, ""))
            continue
        v = m.seen.values
        numbers = (f"{v.minimum:.4g}", f"{v.maximum:.4g}", f"{v.zeros:.1%}")
        rows.append((m.element, m.dtype, *numbers, m.word, "all" if m.seen.exact else "part"))
    return Table(("matrix", "type", "smallest", "largest", "zeros", "holds", "read"), rows, "Matrices")


def _of_counts(counts: Counts, width: int) -> Iterator[Table]:
    rows = [(name, *(round(v) for v in quantiles(values).values())) for name, values in _spreads(counts).items()]
    yield Table(("", *QUANTILES), rows, "Spread")
    if counts.columns:
        room = width - max(len(c.name) for c in counts.columns) - len("  library size  levels  ")
        rows = [(c.name, c.kind, len(c.levels) or "", _content(c, room)) for c in counts.columns]
        yield Table(("obs column", "looks like", "levels", "cells of each"), rows, "Columns of obs")


def _spreads(counts: Counts) -> dict[str, np.ndarray]:
    tour = counts.tour
    return {
        "counts of a cell": tour.total,
        "genes of a cell": tour.genes,
        "counts of a gene": tour.by_gene.total,
        "cells of a gene": tour.by_gene.cells,
    }


def _content(c: Column, room: int) -> str:
    """The levels, as many as there is room for."""
    if c.kind == "library size":
        return f"{c.ratio:.3g} times the counts, in the middle cell"
    shown = ", ".join(f"{level} {n:,}" for level, n in c.levels.items())
    return shown if len(shown) <= room else f"{shown[: room - 3].rpartition(', ')[0]}, ..."


def _listed(texts: Sequence[str], width: int) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            text, width, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )


def as_json(report: Report) -> dict[str, Any]:
    """The same, every number of it."""
    source, counts = report.source, report.counts
    shape = (counts.source if counts else source).shape
    return {
        "path": str(source.path),
        "format": source.format,
        "n_cells": shape[0],
        "n_genes": shape[1],
        "matrices": [_matrix(m) for m in report.matrices],
        "notices": list((counts.source if counts else source).notices),
        "counts": None if counts is None else _counts(counts),
        "problems": [asdict(p) for p in report.problems],
        "recipe": report.recipe or None,
        "command": report.command or None,
    }


def _matrix(m: Matrix) -> dict[str, Any]:
    told = {"element": m.element, "layer": m.layer, "holds": m.word, "reason": m.reason or None}
    if m.seen is None:
        return told
    v = m.seen.values
    return told | {
        "dtype": m.dtype,
        "n_cells": m.shape[0],
        "n_genes": m.shape[1],
        "minimum": _finite(v.minimum),
        "maximum": _finite(v.maximum),
        "zeros": v.zeros,
        "integer": v.findings.ok,
        "rounded": v.findings.rounded,
        "counts": m.counts,
        "all_read": m.seen.exact,
    }


def _counts(counts: Counts) -> dict[str, Any]:
    values = counts.tour.values
    return {
        "element": counts.matrix.element,
        "layer": counts.matrix.layer,
        "nonzero": values.nonzero,
        "rounded": values.findings.rounded,
        "maximum": int(values.maximum),
        "ones": float(values.tally[1] / values.nonzero),
        **{name.replace(" of a ", "_of_") + "s": quantiles(v) for name, v in _spreads(counts).items()},
        "empty_cells": counts.empty_cells,
        "empty_genes": counts.empty_genes,
        "duplicate_cell_names": twice(counts.source.cell_names),
        "duplicate_gene_names": twice(counts.source.gene_names),
        "marked_genes": {
            name: {"genes": list(counts.source.gene_names[mask]), "share_of_counts": counts.share(name)}
            for name, mask in counts.marked.items()
        },
        "columns": [asdict(c) for c in counts.columns],
        "confounded": counts.confounded,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
