"""`scribe summary`: what was estimated, as a digest for a reader or as every row for a program. Loads no jax."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from ..errors import listed
from ..io.part import WHOLE, Part
from ..io.schema import HIERARCHY, STATISTICS
from ..io.stored import StoredFit, open_fit
from .options import SummaryOptions
from .recipe import yaml12
from .terminal.table import Table

LABELS = (COMPONENT, DATASET, GENE, CELL)
SPREAD = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}
EXTREMES = 3  # genes or cells of each kind
SHOWN = ("map", "mean", "sd", "q05", "q95")
MAP_KINDS = {
    "joint_mode": "mode of the joint posterior",
    "guide_location": "location of the variational posterior",
    "lifted_mean": "mean of the draws in the unconstrained coordinates",
}


@dataclass(frozen=True)
class Elements:
    """One parameter, element by element. kind: sampled, derived or hierarchy; sizes: {axis: size}, the last axis running

    fastest; labels: {axis: (n,) names}; statistics: {statistic: (n,)}.
    """

    name: str
    support: str
    kind: str
    sizes: dict[str, int]
    labels: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.statistics["map"])

    @property
    def row_axis(self) -> str | None:
        return next((a for a in (GENE, CELL) if a in self.labels), None)

    @property
    def width(self) -> np.ndarray:
        """How uncertain each element is: the 90 % interval, as a ratio where the parameter is a scale."""
        low, high = self.statistics["q05"].astype(float), self.statistics["q95"].astype(float)
        return high / low if self.support.startswith("positive") else high - low

    @property
    def rows(self) -> np.ndarray:
        """(components x datasets, genes or cells) positions of the elements."""
        at = list(self.sizes).index(self.row_axis)
        every = np.arange(len(self)).reshape(tuple(self.sizes.values()))
        return np.moveaxis(every, at, -1).reshape(-1, self.sizes[self.row_axis])

    def label(self, axis: str, at: int) -> str:
        return str(self.labels[axis][at]) if axis in self.labels else ""


def summary(asked: SummaryOptions) -> list[Table]:
    """The digest, or with `every_row` one long table. With `genes` the gene parameters of these alone.

    Errors: 66 where there is no fit, 74 where it is of two runs, 65 for a gene that it has not.
    """
    stored = open_fit(asked.fit)
    part = WHOLE if asked.genes is None else Part({GENE: stored.genes(asked.genes)})
    if asked.every_row:
        return [every_row(stored, part, asked.descriptive)]
    parameters = list(elements(stored, part, asked.descriptive))
    heading = _heading(stored)
    if asked.genes is not None:
        return [heading, _rows("Gene parameters", parameters)]
    spreads = [t for axis in (GENE, CELL) for t in _digest(axis, [p for p in parameters if p.row_axis == axis])]
    return [heading, *_globals(parameters), *spreads]


def every_row(stored: StoredFit, part: Part = WHOLE, descriptive: bool = False) -> Table:
    """One row per element of every parameter; an axis that a parameter lacks is empty."""
    rows = (row for p in elements(stored, part, descriptive) for row in _all(p, LABELS, STATISTICS))
    return Table(("parameter", *LABELS, *STATISTICS), rows)


def elements(stored: StoredFit, part: Part, descriptive: bool) -> Iterator[Elements]:
    """The reported parameters in order, on the part; on some genes only what is a gene's."""
    for name in stored.names:
        if GENE in part.at and GENE not in stored.axes(name):
            continue
        s = stored.summary(name).on(part.labelled)
        coords = {a: part.names(a, stored.coords) for a in s.axes}
        labels = dict(zip(s.axes, (g.ravel() for g in np.meshgrid(*coords.values(), indexing="ij")), strict=True))
        sizes, values = {a: len(n) for a, n in coords.items()}, {k: s.statistics[k].ravel() for k in STATISTICS}
        about = stored.attributes(name)
        shown = about["descriptive_name"] if descriptive else name
        yield Elements(shown, s.support, about["kind"], sizes, labels, values)


def _heading(stored: StoredFit) -> Table:
    """What was fitted, and whether to trust it."""
    metrics, model = stored.metrics, yaml12.parse(stored.resolved, str(stored.out)).value["model"]
    warned = [name.removeprefix("warning_") for name, value in metrics.items() if name.startswith("warning_") and value]
    rows = [
        ("model", f"{model}, parameterization {stored.spec.parameterization}"),
        ("data", f"{len(stored.coords[CELL]):,} cells x {len(stored.coords[GENE]):,} genes"),
        *((f"{a}s", listed(stored.coords[a])) for a in (COMPONENT, DATASET) if a in stored.coords),
        ("method", f"{stored.method}, {stored.n_draws:,} draws stored; MAP: {MAP_KINDS[stored.map_kind]}"),
        ("converged", "yes" if metrics["converged"] else "no"),
        ("genes", _standing(stored)),
        ("warnings", f"{', '.join(warned)} (their texts are in run.log)" if warned else "none"),
    ]
    return Table(("fit", str(stored.out)), rows)


def _standing(stored: StoredFit) -> str:
    """How many genes are ok, and of each reason against one how many it meets."""
    reasons = stored.group("gene_columns")["reason"].tolist()
    met = Counter(reason for text in reasons if text for reason in text.split(";"))
    against = ", ".join(f"{n:,} {reason}" for reason, n in met.most_common())
    return f"{reasons.count(''):,} of {len(reasons):,} ok" + (f"; {against} ({stored.record.key}_reason in var)" if against else "")


def _globals(parameters: Sequence[Elements]) -> list[Table]:
    found = [p for p in parameters if p.row_axis is None]
    return [_rows("Global parameters", found, STATISTICS)] if found else []


def _digest(axis: str, parameters: Sequence[Elements]) -> list[Table]:
    """The spread of the MAP over genes or cells, and the extremes of what is no derived parameter: those follow the rest."""
    if not parameters:
        return []
    labels = _used(parameters, (COMPONENT, DATASET))
    spread = [row for p in parameters for row in _spread(p, labels)]
    extremes = [row for p in parameters if p.kind != "derived" for row in _extremes(p, (*labels, axis))]
    kind, number = axis.capitalize(), len(set(parameters[0].labels[axis]))
    return [
        Table(("parameter", *labels, *SPREAD), spread, f"{kind} parameters, the MAP over {number:,} {axis}s"),
        Table(("parameter", "extreme", *labels, axis, *SHOWN), extremes, f"{kind} parameters, the extremes"),
    ]


def _spread(p: Elements, labels: Sequence[str]) -> Iterator[tuple]:
    """A row for each component and dataset of a parameter."""
    for mine in p.rows:
        quantiles = np.quantile(p.statistics["map"][mine], list(SPREAD.values()))
        yield (p.name, *(p.label(a, mine[0]) for a in labels), *quantiles)


def _extremes(p: Elements, labels: Sequence[str]) -> Iterator[tuple]:
    """The elements with the largest and smallest MAP, and those with the widest interval; of a hierarchy the largest alone."""
    value = p.statistics["map"]
    orders = {"largest": -value} | ({} if p.kind == HIERARCHY else {"smallest": value, "uncertain": -p.width})
    for extreme, order in orders.items():
        for i in np.argsort(order, kind="stable")[:EXTREMES]:
            yield (p.name, extreme, *_row(p, i, labels, SHOWN))


def _rows(title: str, parameters: Sequence[Elements], statistics: Sequence[str] = SHOWN) -> Table:
    labels = _used(parameters, LABELS)
    rows = [row for p in parameters for row in _all(p, labels, statistics)]
    return Table(("parameter", *labels, *statistics), rows, title)


def _used(parameters: Sequence[Elements], axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(a for a in axes if any(a in p.labels for p in parameters))


def _all(p: Elements, labels: Sequence[str], statistics: Sequence[str]) -> Iterator[tuple]:
    return ((p.name, *_row(p, i, labels, statistics)) for i in range(len(p)))


def _row(p: Elements, at: int, labels: Sequence[str], statistics: Sequence[str]) -> tuple:
    return (*(p.label(a, at) for a in labels), *(p.statistics[s][at] for s in statistics))
