"""Inputs opened, checked and selected as a recipe says; what was noticed is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..data import design
from ..data.counts import CountData
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
    labels = stems(paths)
    sources = [readers.open_source(path, layer, transpose) for path in paths]
    return sources[0] if len(sources) == 1 else joined(sources, labels)


def selection(config: Config) -> Selection:
    d = config.data
    return Selection(d.where, d.min_cells, d.min_counts, d.gene_coverage, d.genes, d.library_size)


def read(paths: Sequence[Path], config: Config, transpose: bool, console: Console) -> CountData:
    """Inputs opened, checked and selected."""
    return checked(open_data(paths, config.data.layer, transpose), config, console)


def checked(source: Source, config: Config, console: Console) -> CountData:
    """Checked and selected counts; notices and warnings go to the console."""
    counts = CountData.build(source, selection(config))
    doubts = design.doubts(counts, config.dataset_key, config.data.library_size)
    counts = replace(counts, warnings=counts.warnings | doubts)
    console.tell(counts)
    return counts
