"""Are these numbers counts? Findings of a chunk, which merge over chunks, and the one line they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ..errors import BadData
from .source import Source

TOLERANCE = 1e-3
LIMIT = 2**31  # counts are int32
KINDS = ("missing", "infinite", "negative", "fractional", "over 2^31", "given twice")


@dataclass(frozen=True)
class Findings:
    """What chunks hold. bad: number of each of KINDS; first: (row, column, value, kind) of the first offender."""

    stored: int = 0
    rounded: int = 0
    bad: tuple[int, ...] = (0,) * len(KINDS)
    first: tuple[int, int, float, str] | None = None

    @property
    def ok(self) -> bool:
        return not any(self.bad)

    def merge(self, other: Findings) -> Findings:
        """`other` lies below: the first offender is the upper one's."""
        bad = tuple(a + b for a, b in zip(self.bad, other.bad, strict=True))
        return Findings(self.stored + other.stored, self.rounded + other.rounded, bad, self.first or other.first)


def checked(raw: csr_array, first_row: int, place: str) -> tuple[Findings, csr_array]:
    """Findings of a chunk, and it as int32 counts in order of column without stored zeros (void unless `ok`).

    BadData if its values are no numbers.
    """
    if raw.dtype.kind not in "buif":
        raise BadData(f"{place} holds values of type {raw.dtype}, not numbers; counts are needed")
    if not raw.has_sorted_indices:
        raw = raw.sorted_indices()
    whole, kind = _integers(raw.data)
    kind[_repeats(raw)] = len(KINDS)
    bad = np.bincount(kind[kind > 0], minlength=len(KINDS) + 1)[1:] if kind.any() else np.zeros(len(KINDS), int)
    rounded = int(np.count_nonzero((raw.data != whole) & (kind == 0)))
    findings = Findings(raw.nnz, rounded, tuple(map(int, bad)), _first(raw, kind, first_row))
    index = index_type(raw.nnz)
    places = (raw.indices.astype(index, copy=False), raw.indptr.astype(index, copy=False))
    counts = csr_array((whole.astype(np.int32), *places), shape=raw.shape)
    counts.has_canonical_format = findings.ok
    if not counts.data.all():
        counts = counts.copy()  # the indices are the source's, and what follows works in place
        counts.eliminate_zeros()
    return findings, counts


def index_type(nnz: int) -> type:
    """Of indices and pointers, which SciPy wants equally wide."""
    return np.int32 if nnz < LIMIT else np.int64


def _integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(nearest integers, 0 where there is none; kind of offence: 0 or 1 + its place in KINDS)."""
    kind = np.zeros(len(values), np.int8)
    whole = np.rint(values) if values.dtype.kind == "f" else values
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            kind[~(np.abs(values - whole) <= TOLERANCE)] = 4
    kind[(whole < 0) | ((values < 0) & (kind == 4))] = 3
    kind[whole >= LIMIT] = 5
    if values.dtype.kind == "f":
        kind[np.isinf(values)] = 2
        kind[np.isnan(values)] = 1
    return np.where(kind > 0, 0, whole) if kind.any() else whole, kind


def _repeats(raw: csr_array) -> np.ndarray:
    """Places of values whose row and column (sorted) are those of the value before."""
    same = np.flatnonzero(np.diff(raw.indices) == 0) + 1
    return np.setdiff1d(same, raw.indptr, assume_unique=False)


def _first(raw: csr_array, kind: np.ndarray, first_row: int) -> tuple[int, int, float, str] | None:
    if not kind.any():
        return None
    at = int(np.argmax(kind > 0))
    row = int(np.searchsorted(raw.indptr, at, side="right")) - 1
    return first_row + row, int(raw.indices[at]), float(raw.data[at]), KINDS[kind[at] - 1]


def refuse(source: Source, findings: Findings) -> None:
    """BadData: how many, the first offender, and the element that does hold counts, if there is one."""
    row, column, value, kind = findings.first
    several = ", ".join(f"{n:,} {k}" for n, k in zip(findings.bad, KINDS, strict=True) if n)
    part, own_row, own_column = source.at(row, column)
    raise BadData(
        f"{part.place} does not hold counts: of {findings.stored:,} stored values {several}; "
        f'the first, {kind}, is {value:.10g} of cell "{source.cell_names[row]}", gene "{source.gene_names[column]}" '
        f"(row {own_row}, column {own_column}); {where_counts_are(part)}"
    )


def where_counts_are(source: Source) -> str:
    """The remedy: the element that does hold counts, if there is one."""
    seen = source.alternatives()
    for element in seen:
        if holds_counts(source.reopen(element)):
            return f"{element} does hold counts: --layer {flag(element)}"
    others = f"nor {'does' if len(seen) == 1 else 'do'} {', '.join(seen)}; " if seen else ""
    return f"{others}give the raw counts"


def flag(element: str) -> str:
    """An element as --layer spells it."""
    return {"X": "X", "raw/X": "raw"}.get(element, element.removeprefix("layers/"))


def holds_counts(source: Source) -> bool:
    """Whether every value is a count and one of them is not zero. Stops at the first chunk that says no."""
    total = 0
    try:
        for start, raw in source.chunks():
            findings, counts = checked(raw, start, source.place)
            if not findings.ok:
                return False
            total += counts.nnz
    except BadData:
        return False
    return total > 0
