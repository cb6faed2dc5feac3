"""A result as a table, its forms (aligned text, separated values, JSON), and where it goes."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from ...errors import CannotCreate, UsageError
from .console import Console

GAP = "  "
# endings of what we read, which no table or page is
OF_DATA = (".h5ad", ".zarr", ".h5", ".loom", ".mtx", ".npz", ".yaml")
NARROWEST = 20  # characters of a column of text

@dataclass(frozen=True)
class Table:
    """Rows may be any iterable; it is read once. `title` stands above the aligned form only, and separated values
    have no header where there is one bare number to give.
    """

    columns: tuple[str, ...]
    rows: Iterable[tuple]
    title: str = ""
    header: bool = True


def format_of(path: Path) -> str:
    """The form a file's ending asks for."""
    return {".csv": "csv", ".json": "json"}.get(path.suffix, "tsv")


def lines(table: Table, form: str, width: int | None = None) -> Iterator[str]:
    """The table's text, line by line; the aligned form within `width` characters (None: any)."""
    if form == "table":
        return _aligned(table, width)
    if form == "json":
        return _json(table)
    return _separated(table, "," if form == "csv" else "\t")


def refuse_unwritable(path: Path) -> None:
    """What can be known before the work: that a file cannot be put at `path`. Errors: 73, 2 for a part of a fit."""
    from ...io.staging import refuse_entry  # with numpy, which help does without

    if path.suffix in OF_DATA:
        raise UsageError(f'-o {path}: ends in "{path.suffix}", and text is written; name a file that ends as text does')
    refuse_entry(path)
    if path.is_dir():
        raise CannotCreate(f"-o {path}: is a directory; name a file in it")
    if not path.parent.is_dir():
        raise CannotCreate(f"-o {path}: cannot be written (no folder {path.parent}); make it, or name a file elsewhere")
    if not os.access(path if path.exists() and not path.is_file() else path.parent, os.W_OK):
        raise CannotCreate(f"-o {path}: cannot be written (permission denied); name a file in a folder that is writable")


def deliver(tables: Iterable[Table], form: str, path: Path | None, console: Console) -> None:
    """The tables to stdout, or to a file that appears whole. Errors: 73 where it cannot be written."""
    texts = itertools.chain.from_iterable(_apart(tables, form, console.width if path is None else None))
    if path is not None:
        write(path, texts)
        return
    for line in texts:
        console.result(line)


def write(path: Path, texts: Iterable[str]) -> None:
    """Lines to a file that appears whole, or to a pipe. Errors: 73 where it cannot be written."""
    regular = path.is_file() or not path.exists()  # not a pipe, not /dev/stdout
    fresh = path.with_name(f".{path.name}.{os.getpid()}") if regular else path
    try:
        with open(fresh, "w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in texts)
        if regular:
            os.replace(fresh, path)
    except OSError as e:
        raise CannotCreate(f"-o {path}: cannot be written ({e.strerror}); name a file in a folder that is writable") from e


def _apart(tables: Iterable[Table], form: str, width: int | None) -> Iterator[Iterable[str]]:
    """Each table's lines, with an empty line between aligned ones."""
    for i, table in enumerate(tables):
        if i and form == "table":
            yield [""]
        yield lines(table, form, width)


def _aligned(table: Table, width: int | None) -> Iterator[str]:
    """For reading: columns padded, numbers to 4 significant digits and on the right.

    What is wider than `width` is folded: text in the last column within it, numbers into blocks of columns below one
    another, each with the labels that stand first.
    """
    rows = list(table.rows)
    right = [all(isinstance(value, Real) for value in column) for column in zip(*rows, strict=True)]
    right = right or [False] * len(table.columns)
    texts = [table.columns, *(tuple(map(_short, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    if width is not None and not right[-1]:
        before = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
        texts = [line for row in texts for line in _wrapped(row, max(width - before, NARROWEST))]
    if table.title:
        yield table.title
    for i, block in enumerate(_blocks(widths, right, width)):
        if i:
            yield ""
        for row in texts:
            yield GAP.join(row[c].rjust(widths[c]) if right[c] else row[c].ljust(widths[c]) for c in block).rstrip()


def _wrapped(row: tuple[str, ...], room: int) -> Iterator[tuple[str, ...]]:
    """A row with the text of its last column in lines of at most `room` characters."""
    first, *rest = textwrap.wrap(row[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
    yield (*row[:-1], first)
    yield from ((*[""] * (len(row) - 1), line) for line in rest)


def _blocks(widths: list[int], right: list[bool], width: int | None) -> Iterator[list[int]]:
    """The columns of each block; a block has one column of numbers at least."""
    labels = [*itertools.takewhile(lambda c: not right[c], range(len(widths)))]
    if width is None or len(labels) == len(widths):
        yield list(range(len(widths)))
        return
    block = labels
    for c in range(len(labels), len(widths)):
        if len(block) > len(labels) and sum(widths[b] + len(GAP) for b in block) + widths[c] > width:
            yield block
            block = labels
        block = [*block, c]
    yield block


def _separated(table: Table, separator: str) -> Iterator[str]:
    for row in itertools.chain([table.columns] if table.header else [], table.rows):
        buffer = io.StringIO()
        # of its line end the writer knows which characters need quotes
        csv.writer(buffer, delimiter=separator, lineterminator="\r\n").writerow([_exact(value) for value in row])
        yield buffer.getvalue().removesuffix("\r\n")


def _json(table: Table) -> Iterator[str]:
    """An array of objects, one a line; a value that is not finite is null."""
    rows = [json.dumps(dict(zip(table.columns, map(_plain, row), strict=True))) for row in table.rows]
    yield "[" + ",\n ".join(rows) + "]"


def _short(value: object) -> str:
    is_number = isinstance(value, Real) and not isinstance(value, Integral)
    return f"{value:#.4g}".removesuffix(".") if is_number else str(value)


def _exact(value: object) -> str:
    """17 significant digits: a float64 survives being read again."""
    return f"{value:.17g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
