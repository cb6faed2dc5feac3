"""The names files that lie beside a Matrix Market file: genes.tsv or features.tsv, and barcodes.tsv."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ...errors import BadData, listed
from ._made_up import made_up, notice
from ._unpacked import unpacked

GENES, CELLS = ("features", "genes"), ("barcodes",)
TAIL = r"(\.tsv|\.txt)?(\.gz)?"
# first fields of a header line, as R and pandas write one: no gene or barcode is called so
HEADERS = {"", "x", "v1", "id", "name", "index", "symbol", "barcode", "barcodes", "cell", "cells", "cell_id"}
HEADERS |= {"gene", "genes", "gene_id", "geneid", "gene_ids", "gene_name", "gene_symbol", "feature", "features"}


@dataclass(frozen=True)
class NamesFile:
    """rows: split at tabs; header: whether the file has a line above them."""

    file: Path
    rows: list[list[str]]
    header: bool = False

    def fitting(self, shape: tuple[int, int]) -> NamesFile:
        """Without its first line, if that is a header and one name too many for both axes."""
        n = len(self.rows)
        if n in shape or n - 1 not in shape or self.rows[0][0].strip().lower() not in HEADERS:
            return self
        return NamesFile(self.file, self.rows[1:], header=True)


@dataclass(frozen=True)
class Names:
    """The names files of one matrix; None where there is none."""

    matrix: Path
    genes: NamesFile | None
    cells: NamesFile | None

    def fitting(self, shape: tuple[int, int]) -> Names:
        genes, cells = (side and side.fitting(shape) for side in (self.genes, self.cells))
        return replace(self, genes=genes, cells=cells)

    @property
    def n_genes(self) -> int | None:
        return None if self.genes is None else len(self.genes.rows)

    @property
    def n_cells(self) -> int | None:
        return None if self.cells is None else len(self.cells.rows)

    def told(self) -> str:
        """Which files there are and how many names they give."""
        return " and ".join(f"{s.file.name} gives {len(s.rows):,} names" for s in (self.genes, self.cells) if s)

    def notices(self) -> tuple[str, ...]:
        """Of header lines, and of names made up."""
        sides = ((self.genes, "gene"), (self.cells, "cell"))
        none = [notice(self.matrix.name, kind) for side, kind in sides if side is None]
        header = "the first line of {} is a header, no name: left out"
        return (*none, *(header.format(side.file.name) for side, _ in sides if side and side.header))

    def obs(self, n: int) -> pd.DataFrame:
        names = made_up("cell", n) if self.cells is None else [row[0] for row in self.cells.rows]
        return pd.DataFrame(index=pd.Index(names, dtype=object))

    def var(self, n: int) -> pd.DataFrame:
        """Symbols as names; ids in gene_ids, the third column in feature_types, where they are given."""
        if self.genes is None:
            return pd.DataFrame(index=pd.Index(made_up("gene", n), dtype=object))
        rows = self.genes.rows
        width = min(map(len, rows), default=1)
        symbols = [row[1] or row[0] for row in rows] if width > 1 else [row[0] for row in rows]
        columns = {"gene_ids": 0, "feature_types": 2}
        data = {name: [row[at] for row in rows] for name, at in columns.items() if width > max(at, 1)}
        return pd.DataFrame(data, index=pd.Index(symbols, dtype=object), dtype=object)

    @property
    def feature_types(self) -> list[str]:
        """The third column, as far as it is there."""
        return [] if self.genes is None else [row[2] for row in self.genes.rows if len(row) > 2]


def names_beside(matrix: Path, alone: bool) -> Names:
    """The names files of a matrix: with its prefix, else with none; with any, if it is `alone` in its folder."""
    files = [_file_of(matrix, kinds, alone) for kinds in (GENES, CELLS)]
    return Names(matrix, *(None if f is None else NamesFile(f, _rows(f)) for f in files))


def _file_of(matrix: Path, kinds: tuple[str, ...], alone: bool) -> Path | None:
    """<prefix><kind>.tsv[.gz]; the prefix is what stands before `matrix.mtx`, or the stem of any other name."""
    stem = re.sub(r"\.mtx$", "", matrix.name.removesuffix(".gz"))
    prefix = re.sub(r"matrix$", "", stem)
    prefixes = [re.escape(p) for p in ([prefix] if prefix != stem else [stem, stem + "_", stem + ".", stem + "-"])]
    for prefix in dict.fromkeys([*prefixes, "", *([r".*[_.-]"] if alone else [])]):
        pattern = re.compile(prefix + f"({'|'.join(kinds)})" + TAIL)
        found = [f for f in sorted(matrix.parent.iterdir()) if pattern.fullmatch(f.name) and f.is_file()]
        if len(found) > 1:
            raise BadData(f"{matrix} has {len(found)} names files: {listed(f.name for f in found)}; keep one")
        if found:
            return found[0]
    return None


def _rows(file: Path) -> list[list[str]]:
    with unpacked(file) as stream:
        content = stream.read()
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not text in UTF-8 ({error}); convert it") from error
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text.strip() else []
    return [[_unquoted(field) for field in line.split("\t")] for line in lines]


def _unquoted(field: str) -> str:
    """A name as R writes it, without its quotes."""
    return field[1:-1] if len(field) > 1 and field[0] == field[-1] == '"' else field
