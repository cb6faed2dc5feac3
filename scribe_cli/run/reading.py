"""Inputs opened, checked and selected as a recipe says; what was noticed is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..data import labels
from ..data.counts import CountData
from ..data.design import Design
from ..data.doubts import doubts
from ..data.joined import joined
from ..data.selection import Selection
from ..data.source import Source
from ..errors import BadData, InputMissing
from ..io import readers
from ..io.schema import FIT
from .options import stems
from .recipe.config import Config
from .terminal.console import Console


def open_data(paths: Sequence[Path], layer: str | None, transpose: bool) -> Source:
    """The source of the counts, of several inputs their union. Errors: 66 for a file that is not there, 65 for one
    that holds no counts."""
    for path in paths:
        if not path.exists():
            raise InputMissing(f"{path}: no such file or directory; give the count matrix to read")
        if inside := next((name for name in FIT.values() if (path / name).exists()), None):
            raise BadData(f"{path}: is the output of a fit; its counts are in {path / inside}, give that")
    names = stems(paths)
    sources = [readers.open_source(path, layer, transpose) for path in paths]
    return sources[0] if len(sources) == 1 else joined(sources, names)


def selection(config: Config) -> Selection:
    d = config.data
    return Selection(d.where, d.min_cells, d.min_counts, d.gene_coverage, d.genes, d.library_size)


def read(paths: Sequence[Path], config: Config, transpose: bool, console: Console) -> CountData:
    """Inputs opened, checked and selected."""
    return checked(open_data(paths, config.data.layer, transpose), config, console)


def checked(source: Source, config: Config, console: Console, fitted: Sequence[str] | None = None) -> CountData:
    """Checked and selected counts; notices and warnings go to the console.

    fitted: the datasets of a fit, of which the data's are some; None where they are the data's own.
    """
    counts = CountData.build(source, selection(config))
    counts = replace(counts, design=_design(counts, config, fitted))
    doubted = doubts(counts, config.dataset_key, config.data.library_size)
    rare = labels.rare(counts, config.annotation_key, config.annotation_min_cells) if config.annotation_min_cells else []
    counts = replace(counts, warnings=counts.warnings | doubted, notices=(*counts.notices, *rare))
    console.tell(counts)
    return counts


def _design(counts: CountData, config: Config, fitted: Sequence[str] | None) -> Design:
    if fitted is not None:
        return labels.design_in(counts, tuple(fitted), config.dataset_key)
    found = labels.design_of(
        counts,
        config.dataset_key,
        config.n_components,
        config.annotation_key,
        config.annotation_min_cells,
        config.annotation_component_order,
    )
    labels.refuse_one_dataset(found, config.resolve(), config.dataset_key)
    return found
