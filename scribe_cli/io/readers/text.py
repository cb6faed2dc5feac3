"""Text tables, .csv or .tsv, gzipped or not: cells x genes, names in the first line and the first column."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from ...data.source import InMemory, Source
from ._elements import only_x
from ._reader import Reader, head
from ._table import SEPARATORS, read_table

SNIFFED = 4096  # bytes
NO_TEXT = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
# how other formats in text begin: Matrix Market, HTML and XML, JSON, sequences
OTHERS = (b"%%", b"<", b"{", b"[", b"@", b">")


def recognises(path: Path) -> bool:
    """Text with a separator in the first two lines, in any encoding: what is no table is refused with its reason."""
    start = head(path, SNIFFED)
    lines = b"\n".join(start.split(b"\n")[:2])
    there = any(separator.encode() in lines for separator in SEPARATORS)
    return there and not NO_TEXT.search(start) and not start.startswith(OTHERS)


def open_text(path: Path, layer: str | None, transpose: bool) -> Source:
    """The whole table, sparse: a text is read once, from end to end, to know its rows. `transpose`: genes x cells."""
    only_x(path, layer, "a text table")
    table = read_table(path)
    counts = table.counts.T.tocsr() if transpose else table.counts
    cells, genes = (table.columns, table.rows) if transpose else (table.rows, table.columns)
    said = f"{path.name} is read as {len(cells):,} cells x {len(genes):,} genes; if its rows are genes, --transpose"
    return Source(
        path=path,
        format="text",
        element="X",
        rows=InMemory(counts.shape, counts.nnz, lambda: counts),
        obs=pd.DataFrame(index=pd.Index(cells, dtype=object)),
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
        elements=("X",),
        reopen=lambda name: open_text(path, name, transpose),
        transposed=transpose,
        notices=() if transpose else (said,),
    )


MEMBER = Reader("text", ".csv/.tsv[.gz]", recognises, open_text)
