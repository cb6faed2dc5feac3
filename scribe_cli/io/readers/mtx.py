"""Matrix Market files, gzipped or not: a directory with names files, or a bare .mtx."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

from ...data.source import InMemory, Source
from ...errors import BadData, listed
from ._elements import only_x
from ._features import gene_expression
from ._mtx_names import CELLS, GENES, Names, names_beside
from ._numbers import whole
from ._reader import GZIP, Reader, head
from ._unpacked import unpacked

MAGIC = b"%%MatrixMarket"
FIELDS = ("integer", "real", "unsigned-integer", "double")
COLUMNS = {"row": np.int64, "column": np.int64, "value": np.float64}
BLOCK = 2**24  # bytes parsed at a time
LONGEST = 4096  # bytes of a line
# how pandas says that it drops a fourth field, or casts a number to another
LOST = (pd.errors.ParserWarning, RuntimeWarning)
# an entry takes 6 bytes, and gzip packs at most 1,032 to one
ENTRY_BYTES, PACKING = 6, 1032
# names made up: 1e6 and 4 an entry (of raw matrices most barcodes are empty)
FREE_NAMES, NAMES_PER_ENTRY = 2**20, 4


@dataclass(frozen=True)
class Header:
    """shape: rows, columns of the file; stored: entries it promises."""

    shape: tuple[int, int]
    stored: int


def recognises(path: Path) -> bool:
    return bool(_candidates(path))


def _candidates(path: Path) -> list[Path]:
    """Matrix Market files at a path: itself, those in it, or those one folder down (10x keeps genomes so)."""
    if not path.is_dir():
        return [path] if head(path, len(MAGIC)) == MAGIC else []
    inside = _in_folder(path)
    return inside or [f for folder in sorted(p for p in path.iterdir() if p.is_dir()) for f in _in_folder(folder)]


def _in_folder(folder: Path) -> list[Path]:
    return [f for f in sorted(folder.iterdir()) if f.is_file() and head(f, len(MAGIC)) == MAGIC]


def open_mtx(path: Path, layer: str | None, transpose: bool) -> Source:
    """Genes x cells; names files that fit only the other orientation turn it, and so does `transpose`.

    BadData for several matrices, a layer, a header that is none, names that do not fit.
    """
    only_x(path, layer, "a Matrix Market input")
    file = _the_one(path)
    header = _header(file)
    names = _names(path, file, header)
    turned = _turned(file, header.shape, names, transpose)
    cells, genes = header.shape if turned else header.shape[::-1]
    obs, var = names.obs(cells), names.var(genes)
    keep, notices = gene_expression(names.feature_types, genes, "" if names.genes is None else names.genes.file.name)
    if turned and not transpose:
        notices = (f"{file.name} is read as cells x genes: its names files fit only so", *notices)
    rows = InMemory((cells, int(keep.sum())), header.stored, partial(_counts, file, header, turned, keep))
    return Source(
        path=path,
        format="mtx",
        element="X",
        rows=rows,
        obs=obs,
        var=var[keep],
        elements=("X",),
        reopen=lambda name: open_mtx(path, name, transpose),
        transposed=turned,
        notices=(*names.notices(), *notices),
    )


def _the_one(path: Path) -> Path:
    found = _candidates(path)
    if len(found) > 1:
        folders = {f.parent for f in found}
        names = [str(f.relative_to(path)) for f in found] if len(folders) > 1 else [f.name for f in found]
        raise BadData(f"{path} holds {len(found)} matrices: {listed(names)}; give the path of one")
    return found[0]


def _names(path: Path, file: Path, header: Header) -> Names:
    """The names beside a file. BadData for a directory that lacks some, and where too many would be made up."""
    names = names_beside(file, len(_in_folder(file.parent)) == 1).fitting(header.shape)
    sides = ((names.genes, GENES), (names.cells, CELLS))
    missing = " and no ".join(f"{kinds[0]}.tsv[.gz]" for side, kinds in sides if side is None)
    if missing and path.is_dir():
        raise BadData(
            f"{path} has no {missing} beside {file.name}; add what is missing, or give the path of {file.name} itself, "
            "which is read with names made up"
        )
    most = FREE_NAMES + NAMES_PER_ENTRY * header.stored
    if missing and max(header.shape) > most:
        raise BadData(
            f"{file}: the header says {header.shape[0]:,} x {header.shape[1]:,} with {header.stored:,} entries, and no "
            f"{missing} names them; add the names files"
        )
    return names


def _header(file: Path) -> Header:
    """The first line and the line of sizes. BadData unless the file can hold what they say."""
    with unpacked(file) as stream:
        line = stream.readline(1000).decode("latin-1").strip()
        sizes = stream.readline(1_000_000)
        while sizes and (sizes.startswith(b"%") or not sizes.strip()):
            sizes = stream.readline(1_000_000)
    words = line.lower().split()
    if len(words) != 5 or words[3] not in FIELDS or [*words[1:3], words[4]] != ["matrix", "coordinate", "general"]:
        raise BadData(
            f'{file}: header "{line[:100]}"; "{MAGIC.decode()} matrix coordinate integer general" is needed: write all '
            "entries, each with its value"
        )
    try:
        rows, columns, stored = (int(n) for n in sizes.split())
    except ValueError as error:
        text = sizes[:60].decode("latin-1").strip()
        raise BadData(f'{file}: the line of sizes is "{text}", not rows, columns and entries; copy it again') from error
    _check_sizes(file, rows, columns, stored)
    return Header((rows, columns), stored)


def _check_sizes(file: Path, rows: int, columns: int, stored: int) -> None:
    said = f"{file}: the header says {rows:,} rows, {columns:,} columns, {stored:,} entries"
    if min(rows, columns, stored) < 0:
        raise BadData(f"{said}; none can be negative, copy it again")
    if stored > rows * columns or max(rows, columns) >= 2**31:
        raise BadData(f"{said}; there is no such matrix, copy it again")
    size = file.stat().st_size * (PACKING if _packed(file) else 1)
    if stored * ENTRY_BYTES > size + 1:  # the last line may lack its end
        raise BadData(f"{said}, which its {file.stat().st_size:,} bytes cannot hold; copy it again")


def _packed(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def _turned(file: Path, shape: tuple[int, int], names: Names, transpose: bool) -> bool:
    """Whether the file is cells x genes."""
    genes, cells = names.n_genes, names.n_cells
    straight = genes in (None, shape[0]) and cells in (None, shape[1])
    across = genes in (None, shape[1]) and cells in (None, shape[0])
    if straight and across:
        return transpose
    if transpose and straight:
        raise BadData(f"{file}: its names files say genes x cells, --transpose cells x genes; leave out --transpose")
    if straight or across:
        return across
    raise BadData(
        f"{file} is {shape[0]:,} x {shape[1]:,}, but {names.told()}; names files of its own genes and cells are needed"
    )


def _counts(file: Path, header: Header, turned: bool, keep: np.ndarray) -> csr_array:
    """All entries, cells x genes. BadData unless the body is what the header says.

    Not scipy.io.mmread: it takes 1.5 for 1 under `integer`, and 2,5 for 2 anywhere, without a word.
    """
    with unpacked(file) as stream:
        _skip_head(stream)
        parts = _parts(file, header, stream)
    row, column, value = (np.concatenate([part[i] for part in parts]) for i in range(3))
    if len(value) != header.stored:
        raise BadData(f"{file}: the header says {header.stored:,} entries, {len(value):,} are there; copy it again")
    counts = coo_array((whole(value), (row, column)), shape=header.shape).tocsr()
    if counts.nnz != len(value):
        _refuse_repeats(file, row, column)
    return (counts if turned else counts.T.tocsr())[:, keep]


def _parts(file: Path, header: Header, stream: BinaryIO) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, columns and values of the entries, in the order of the file."""
    try:
        with warnings.catch_warnings():
            for told in LOST:
                warnings.simplefilter("error", told)
            return [_part(file, header, _lines(block)) for block in _blocks(stream)]
    except (ValueError, OverflowError, *LOST) as error:
        reason = " ".join(str(error).split())
        raise BadData(f"{file}: a line is not row, column and value ({reason}); mend it, or copy it again") from error


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The body in blocks of whole lines, one at least. ValueError for an endless line, and for a NUL byte, where pandas
    would end a value."""
    block = stream.read(BLOCK)
    while True:
        rest = stream.readline(LONGEST)
        if len(rest) == LONGEST:
            raise ValueError(f"there is one of more than {LONGEST:,} bytes")
        block += rest
        if b"\0" in block:
            raise ValueError("there is a NUL byte")
        yield block
        if not (block := stream.read(BLOCK)):
            return


def _skip_head(stream: BinaryIO) -> None:
    """Past the line of sizes; the header is known to be good."""
    line = stream.readline()
    while line.startswith(b"%") or not line.strip():
        line = stream.readline()


def _lines(block: bytes) -> pd.DataFrame:
    """Row, column, value (from 1) of each line. ValueError on any line that is not just those."""
    return pd.read_csv(
        io.BytesIO(block or b"\n"),
        sep=r"\s+",
        header=None,
        names=list(COLUMNS),
        index_col=False,
        dtype=COLUMNS,
        keep_default_na=False,
        na_values={"value": ["nan", "NaN", "NAN", "NA"]},
        comment="%",
        quoting=csv.QUOTE_NONE,
        encoding="latin-1",
    )


def _part(file: Path, header: Header, lines: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns from 0, int32 where they fit, and values. BadData for one outside the matrix."""
    places = []
    for name, size in zip(("row", "column"), header.shape, strict=True):
        index = lines[name].to_numpy()
        if len(index) and (index.min() < 1 or index.max() > size):
            ends = f"from {index.min()} to {index.max()}"
            raise BadData(f"{file}: {name}s run {ends}, outside 1 .. {size}; copy it again")
        places.append((index - 1).astype(np.int32 if size <= np.iinfo(np.int32).max else np.int64))
    return *places, lines["value"].to_numpy()


def _refuse_repeats(file: Path, row: np.ndarray, column: np.ndarray) -> None:
    twice = pd.DataFrame({"row": row, "column": column}).duplicated().to_numpy()
    at = int(np.argmax(twice))
    raise BadData(
        f"{file}: {int(twice.sum()):,} entries are given twice, the first at row {row[at] + 1}, "
        f"column {column[at] + 1}; keep one of each"
    )


MEMBER = Reader("mtx", "Matrix Market directories and bare .mtx, gzipped or not", recognises, open_mtx)
