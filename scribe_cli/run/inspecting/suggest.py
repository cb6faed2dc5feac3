"""The recipe that suits what was found, each key with its reason. It guesses no organism."""

from __future__ import annotations

from collections.abc import Iterator

from ...data import checks
from ..recipe import yaml12
from . import columns
from .found import Counts

EVEN = 1.5  # spread of library sizes that cells seen equally well have too
RARE = 3  # cells
MANY = 0.05  # of the genes
ENOUGH = 100  # cells from which genes may be too rare to keep
ATLAS = 10**8  # non-zero counts whose copy is worth leaving out
COMMENT_COLUMN = 30

Line = tuple[str, str]  # text, reason


def recipe(counts: Counts) -> str:
    """YAML, one key a line, reasons as comments."""
    lines = [*_model(counts), *_datasets(counts), *_block("data", _data(counts)), *_block("output", _output(counts))]
    return "".join(f"{_commented(text, reason)}\n" for text, reason in lines)


def _commented(text: str, reason: str) -> str:
    return f"{text:<{COMMENT_COLUMN}}# {reason}" if reason and text else text or f"# {reason}"


def _block(name: str, lines: Iterator[Line]) -> list[Line]:
    inside = [(f"  {text}" if text else text, reason) for text, reason in lines]
    return [(f"{name}:", ""), *inside] if any(text for text, _ in inside) else inside


def _model(counts: Counts) -> Iterator[Line]:
    captured = counts.spread >= EVEN
    if captured:
        yield "model: nbvcp", f"library sizes differ {counts.spread:.3g}-fold"
    else:
        yield "model: nbdm", "library sizes are even"
    yield "parameterization: mean_odds", ""
    yield "unconstrained: true", ""
    if not captured:
        return
    yield "", "Only ratios of mu are identified, unless you say one of these:"
    yield "", "priors: {organism: ...}  (human, mouse, yeast or ecoli)"
    yield "", "priors: {capture_efficiency: [log_M0, sigma_M]}"
    for column in counts.of_kind("library size")[:1]:
        yield "", "and with it in the block data, for the genes that are not here,"
        yield "", f"library_size: {yaml12.word(column.name)}"


def _datasets(counts: Counts) -> Iterator[Line]:
    there = counts.of_kind("dataset")
    if counts.dataset_key is not None:
        yield f"dataset_key: {yaml12.word(counts.dataset_key)}", "as you said"
        return
    usable = [c for c in there if not c.missing and c.name not in counts.confounded]
    if usable:
        yield f"dataset_key: {yaml12.word(usable[0].name)}", f"{len(usable[0].levels)} datasets"
    elif there and there[0].name in counts.confounded:
        other = counts.confounded[there[0].name]
        yield "", f"no dataset_key: {there[0].name} coincides with {other}"


def _data(counts: Counts) -> Iterator[Line]:
    element = counts.source.element
    if element != "X":
        yield f"layer: {yaml12.word(checks.flag(element))}", "holds the counts"
    for column in counts.of_kind("doublet"):
        kept = columns.singlets(column)
        if kept:
            n = sum(n for level, n in column.levels.items() if level not in kept)
            yield f"where: {{{yaml12.word(column.name)}: {yaml12.flow(kept)}}}", f"leaves out {n:,} doublets"
            break
    rare = counts.rare_genes(RARE)
    if counts.n_cells >= ENOUGH and MANY * counts.n_genes <= rare < counts.n_genes:
        yield f"min_cells: {RARE}", f"{rare:,} genes are in fewer cells: all prior"


def _output(counts: Counts) -> Iterator[Line]:
    if counts.tour.values.nonzero > ATLAS:
        yield "data: results", "X is not copied, it is large"
