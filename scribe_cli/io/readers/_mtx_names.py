"""The names files that lie beside a Matrix Market file: genes.tsv or features.tsv, and barcodes.tsv."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import BadData, listed
from ._reader import opened_bytes

GENES, CELLS = ("features", "genes"), ("barcodes",)
GENE_EXPRESSION = "Gene Expression"
TAIL = r"(\.tsv|\.txt)?(\.gz)?"


@dataclass(frozen=True)
class Names:
    """Rows of each file, split at tabs; None where there is no file."""

    folder: Path
    genes_file: Path | None
    cells_file: Path | None
    genes: list[list[str]] | None
    cells: list[list[str]] | None

    @property
    def n_genes(self) -> int | None:
        return None if self.genes is None else len(self.genes)

    @property
    def n_cells(self) -> int | None:
        return None if self.cells is None else len(self.cells)

    def told(self) -> str:
        """Which files there are and how many names they give."""
        pairs = ((self.genes_file, self.n_genes), (self.cells_file, self.n_cells))
        return " and ".join(f"{file.name} gives {n:,} names" for file, n in pairs if file is not None)

    def obs(self, n: int) -> pd.DataFrame:
        names = _generated("cell", n) if self.cells is None else [row[0] for row in self.cells]
        return pd.DataFrame(index=pd.Index(names, dtype=object))

    def var(self, n: int) -> pd.DataFrame:
        """Symbols as names; ids in gene_ids, the third column in feature_types, where they are given."""
        if self.genes is None:
            return pd.DataFrame(index=pd.Index(_generated("gene", n), dtype=object))
        width = min(map(len, self.genes), default=1)
        symbols = [row[1] or row[0] for row in self.genes] if width > 1 else [row[0] for row in self.genes]
        columns = {"gene_ids": 0, "feature_types": 2}
        data = {name: [row[at] for row in self.genes] for name, at in columns.items() if width > max(at, 1)}
        return pd.DataFrame(data, index=pd.Index(symbols, dtype=object), dtype=object)

    def gene_expression(self, n: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """Features that are genes, and a notice of the others (antibodies, guides). All, if none is said to be one."""
        types = [] if self.genes is None else [row[2] for row in self.genes if len(row) > 2]
        if len(types) != n or GENE_EXPRESSION not in types:
            return np.ones(n, bool), ()
        keep = np.array(types) == GENE_EXPRESSION
        others = Counter(t for t in types if t != GENE_EXPRESSION)
        if not others:
            return keep, ()
        several = listed(f"{count:,} {kind}" for kind, count in sorted(others.items()))
        return keep, (f"features of {self.genes_file.name} that are no genes are left out: {several}",)


def names_beside(matrix: Path) -> Names:
    """The names files of a matrix: with its prefix, else with none."""
    files = [_file_of(matrix, kinds) for kinds in (GENES, CELLS)]
    return Names(matrix.parent, *files, *(None if f is None else _rows(f) for f in files))


def _file_of(matrix: Path, kinds: tuple[str, ...]) -> Path | None:
    """<prefix><kind>.tsv[.gz]; the prefix is what stands before `matrix.mtx`, or the stem of any other name."""
    stem = re.sub(r"\.mtx$", "", matrix.name.removesuffix(".gz"))
    prefix = re.sub(r"matrix$", "", stem)
    prefixes = [prefix] if prefix != stem else [stem, stem + "_", stem + ".", stem + "-"]
    for prefix in dict.fromkeys([*prefixes, ""]):
        pattern = re.compile(re.escape(prefix) + f"({'|'.join(kinds)})" + TAIL)
        found = [f for f in sorted(matrix.parent.iterdir()) if pattern.fullmatch(f.name) and f.is_file()]
        if len(found) > 1:
            raise BadData(f"{matrix} has {len(found)} names files: {listed(f.name for f in found)}; keep one")
        if found:
            return found[0]
    return None


def _rows(file: Path) -> list[list[str]]:
    try:
        with opened_bytes(file) as stream:
            text = stream.read().decode("utf-8")
    except (EOFError, zlib.error, OSError) as error:
        raise BadData(f"{file} is a truncated or damaged file ({error}); copy it again") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{file} is not text in UTF-8 ({error}); convert it") from error
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text.strip() else []
    return [line.split("\t") for line in lines]


def _generated(kind: str, n: int) -> list[str]:
    return [f"{kind}_{i + 1}" for i in range(n)]
