"""Names and labels that no output could hold: of endless length, or with a byte that ends a text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ...data.source import Source
from ...errors import BadData

LONGEST = 4096  # characters


def check_names(source: Source) -> None:
    """BadData for the first name of a cell, a gene or a column, or text in a column, that is too long or holds a NUL.

    Texts in a column may be of any length.
    """
    for kind, names, frame in (("cell", source.cell_names, source.obs), ("gene", source.gene_names, source.var)):
        _check(names, kind, source.path)
        _check(map(str, frame.columns), f"column of {kind}s", source.path)
        for name in frame.columns:
            _refuse_nul(frame[name], f"the {kind}s' column {str(name)!r}", source.path)


def _check(names: Iterable[str], kind: str, path: Path) -> None:
    for at, name in enumerate(names):
        if len(name) > LONGEST or "\0" in name:
            why = "holds a NUL byte" if "\0" in name else f"has {len(name):,} characters, more than {LONGEST:,}"
            raise BadData(f'{path}: the name of {kind} {at + 1:,}, "{name[:40]}"..., {why}; rename it')


def _refuse_nul(column: pd.Series, what: str, path: Path) -> None:
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    if values.dtype == object and any(isinstance(v, str) and "\0" in v for v in values):
        raise BadData(f"{path}: {what} holds a text with a NUL byte; write it without")
