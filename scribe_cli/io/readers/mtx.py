"""Matrix Market files, gzipped or not: a directory with names files, or a bare .mtx."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array

from ...data.source import InMemory, Source
from ...errors import BadData, IOFailure, listed
from ._mtx_names import Names, names_beside
from ._reader import Reader, head, opened_bytes

MAGIC = b"%%MatrixMarket"
FIELDS = ("integer", "real", "unsigned-integer", "double")
PART = 2**22  # lines parsed at a time


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
    if layer not in (None, "X"):
        raise BadData(f'{path} is a Matrix Market input, which has no layers; leave out --layer "{layer}"')
    file = _the_one(path)
    header = _header(file)
    names = names_beside(file)
    turned = _turned(file, header.shape, names, transpose)
    cells, genes = header.shape if turned else header.shape[::-1]
    obs, var = names.obs(cells), names.var(genes)
    keep, notices = names.gene_expression(genes)
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
        notices=notices,
    )


def _the_one(path: Path) -> Path:
    found = _candidates(path)
    if len(found) > 1:
        folders = {f.parent for f in found}
        names = [str(f.relative_to(path)) for f in found] if len(folders) > 1 else [f.name for f in found]
        raise BadData(f"{path} holds {len(found)} matrices: {listed(names)}; give the path of one")
    return found[0]


def _header(file: Path) -> Header:
    """The first line and the line of sizes."""
    with _reading(file), opened_bytes(file) as stream:
        line = stream.readline(1000).decode("latin-1").strip()
        sizes = stream.readline(1_000_000)
        while sizes and (sizes.startswith(b"%") or not sizes.strip()):
            sizes = stream.readline(1_000_000)
    words = line.lower().split()
    if len(words) != 5 or words[3] not in FIELDS or [*words[1:3], words[4]] != ["matrix", "coordinate", "general"]:
        raise BadData(f'{file}: header "{line}"; "{MAGIC.decode()} matrix coordinate integer general" is needed')
    try:
        rows, columns, stored = (int(n) for n in sizes.split())
    except ValueError as error:
        text = sizes[:60].decode("latin-1").strip()
        raise BadData(f'{file}: the line of sizes is "{text}", not rows, columns and entries; copy it again') from error
    if min(rows, columns, stored) < 0:
        raise BadData(f"{file}: the header says {rows} rows, {columns} columns, {stored} entries; none can be negative")
    return Header((rows, columns), stored)


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
    with _reading(file), opened_bytes(file) as stream:
        _skip_head(stream)
        with _lines(stream) as lines:
            parts = [_part(file, header, part) for part in lines]
    row, column, value = (np.concatenate([part[i] for part in parts]) for i in range(3))
    if len(value) != header.stored:
        raise BadData(f"{file}: the header says {header.stored:,} entries, {len(value):,} are there; copy it again")
    counts = coo_array((_whole(value), (row, column)), shape=header.shape).tocsr()
    if counts.nnz != len(value):
        _refuse_repeats(file, row, column)
    return (counts if turned else counts.T.tocsr())[:, keep]


def _whole(values: np.ndarray) -> np.ndarray:
    """As int32 if that is what they are: so they are written to a result."""
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int32)
    return whole if np.array_equal(whole, values) else values


def _skip_head(stream) -> None:
    """Past the line of sizes; the header is known to be good."""
    line = stream.readline()
    while line.startswith(b"%") or not line.strip():
        line = stream.readline()


def _lines(stream):
    """Row, column, value (from 1) in parts, an iterator to be closed. ValueError on any line that is not just those."""
    return pd.read_csv(
        stream,
        sep=r"\s+",
        header=None,
        names=["row", "column", "value"],
        index_col=False,
        dtype={"row": np.int64, "column": np.int64, "value": np.float64},
        keep_default_na=False,
        na_values={"value": ["nan", "NaN", "NAN", "NA"]},
        comment="%",
        quoting=csv.QUOTE_NONE,
        encoding="latin-1",
        chunksize=PART,
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


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """What goes wrong below, in our words: a damaged gzip stream, lines that are not numbers."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadData(f"{file} is a truncated or damaged gzip file ({error}); copy it again") from error
    except ValueError as error:
        raise BadData(f"{file}: a line is not row, column and value ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise IOFailure(f"{file} cannot be read: {error}") from error


MEMBER = Reader("mtx", "Matrix Market directories and bare .mtx, gzipped or not", recognises, open_mtx)
