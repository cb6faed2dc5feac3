"""The matrices of an input: what each holds, in words, and which of them are the counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...data import checks, inspection
from ...data.inspection import Glance, Values
from ...data.source import Source
from ...errors import BadData
from ...io import readers

# names of layers that hold counts, where there is no X or it holds none
COUNT_LAYERS = ("counts", "raw_counts", "count", "umi", "umis", "umi_counts", "raw")
EQUAL = 0.01  # relative spread of sums over cells that were made equal
LOGGED = 25.0  # logarithms of counts are below it
ESTIMATED = 0.3  # share of whole numbers among the values of counts that were corrected or estimated


@dataclass(frozen=True)
class Matrix:
    """One matrix. layer: as --layer spells it; seen: None where it cannot be read; word: what it holds; reason: why
    that is no counts, or why it cannot be read."""

    element: str
    layer: str
    shape: tuple[int, int] | None
    dtype: str
    seen: Glance | None
    word: str
    reason: str

    @property
    def counts(self) -> bool:
        return self.seen is not None and self.seen.values.counts


def opened(path: Path, layer: str | None, transpose: bool) -> Source:
    """The source at X, or at `layer`; where there is no X, at the layer whose name says counts, or at .raw.

    Errors as those of the readers.
    """
    try:
        return readers.open_source(path, layer, transpose)
    except BadData:
        if layer is not None:
            raise
        for name in COUNT_LAYERS:
            try:
                return readers.open_source(path, name, transpose)
            except BadData:
                continue
        raise


def described(source: Source) -> Iterator[Matrix]:
    """Each matrix of the input, in the order of the file."""
    for element in source.elements:
        layer = checks.flag(element)
        try:
            at = source if element == source.element else source.reopen(element)
            seen = inspection.glance(at)
        except BadData as error:
            yield Matrix(element, layer, None, "", None, "not readable", str(error))
            continue
        yield Matrix(element, layer, at.shape, str(at.read(0, 1).dtype), seen, *holds(seen.values))


def told(matrix: Matrix, values: Values) -> Matrix:
    """The same, of which all is known now."""
    word, reason = holds(values)
    return replace(matrix, seen=Glance(values, True), word=word, reason=reason)


def in_order(matrices: Sequence[Matrix], asked: str | None) -> list[Matrix]:
    """Those that may be the counts: the one asked for alone, else X, layers named for them, .raw, other layers."""
    if asked is not None:
        return [m for m in matrices if m.element == asked and m.counts]
    names = ["X", *COUNT_LAYERS]
    last = len(names)
    return sorted((m for m in matrices if m.counts), key=lambda m: names.index(m.layer) if m.layer in names else last)


def holds(values: Values) -> tuple[str, str]:
    """(word, reason) for what values are; no reason for counts."""
    bad = dict(zip(checks.KINDS, values.findings.bad, strict=True))
    if values.counts:
        return "counts", ""
    if not values.nonzero:
        return "nothing", "every value is zero"
    for kind in ("missing", "infinite", "given twice"):
        if bad[kind]:
            return "damaged", f"{bad[kind]:,} values are {kind}"
    if bad["negative"]:
        return "scaled", f"{bad['negative']:,} values are negative: scaled, centred or regressed out"
    return _fractional(values, bad)


def _fractional(values: Values, bad: dict[str, int]) -> tuple[str, str]:
    if not bad["fractional"]:
        return "too large", f"{bad['over 2^31']:,} values are over 2^31"
    share = bad["fractional"] / values.findings.stored
    if _equal(values.exponentials):
        return "log-normalised", f"log(1 + v), {values.exponentials[1]:,.6g} in each cell: normalised, then logged"
    if _equal(values.sums):
        return "normalised", f"each cell sums to {values.sums[1]:,.6g}: normalised"
    if 1 - share >= ESTIMATED:
        return "estimated", f"{share:.0%} of the values are fractions: corrected counts, or a quantifier's estimates"
    if values.highest <= 1:
        return "fractions", f"values between 0 and {values.highest:.4g}"
    if values.highest < LOGGED:
        return "logged", f"fractions up to {values.highest:.4g}: logarithms, it seems"
    return "fractions", f"{share:.0%} of the values are fractions: normalised, it seems"


def _equal(span: tuple[float, float]) -> bool:
    return 0 < span[1] < float("inf") and span[1] - span[0] <= EQUAL * span[1]
