"""An input opened, checked and selected as a recipe says; what it noticed is told."""

from __future__ import annotations

from pathlib import Path

from ..data.counts import CountData
from ..data.selection import Selection
from ..data.source import Source
from ..errors import InputMissing
from ..io import readers
from .recipe.config import Config
from .terminal.console import Console


def open_data(path: Path, layer: str | None, transpose: bool) -> Source:
    """The source of the counts. Errors: 66 where there is no such file, 65 where it holds none."""
    if not path.exists():
        raise InputMissing(f"{path}: no such file or directory; give the count matrix to read")
    return readers.open_source(path, layer, transpose)


def selection(config: Config) -> Selection:
    d = config.data
    return Selection(d.where, d.min_cells, d.min_counts, d.gene_coverage, d.genes, d.library_size)


def read(path: Path, config: Config, transpose: bool, console: Console) -> CountData:
    """Checked and selected counts; notices and warnings go to the console."""
    counts = CountData.build(open_data(path, config.data.layer, transpose), selection(config))
    for notice in counts.notices:
        console.notice(notice)
    for warning in counts.warnings.values():
        console.warning(warning)
    if config.dataset_key is not None:
        counts.labels(config.dataset_key, complete=True)
    return counts
