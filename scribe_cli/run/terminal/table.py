"""A result as a table, its forms (aligned text, separated values, JSON), and where it goes."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

from ...errors import CannotCreate
from .console import Console


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


def lines(table: Table, form: str) -> Iterator[str]:
    """The table's text, line by line."""
    if form == "table":
        return _aligned(table)
    if form == "json":
        return _json(table)
    return _separated(table, "," if form == "csv" else "\t")


def deliver(tables: Iterable[Table], form: str, path: Path | None, console: Console) -> None:
    """The tables to stdout, or to a file that appears whole. Errors: 73 where it cannot be written."""
    texts = itertools.chain.from_iterable(_apart(tables, form))
    if path is None:
        for line in texts:
            console.result(line)
        return
    regular = path.is_file() or not path.exists()  # not a pipe, not /dev/stdout
    fresh = path.with_name(f".{path.name}.{os.getpid()}") if regular else path
    try:
        with open(fresh, "w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in texts)
        if regular:
            os.replace(fresh, path)
    except OSError as e:
        raise CannotCreate(f"-o {path}: cannot be written ({e.strerror}); name a file in a folder that is writable") from e


def _apart(tables: Iterable[Table], form: str) -> Iterator[Iterable[str]]:
    """Each table's lines, with an empty line between aligned ones."""
    for i, table in enumerate(tables):
        if i and form == "table":
            yield [""]
        yield lines(table, form)


def _aligned(table: Table) -> Iterator[str]:
    """For reading: columns padded, numbers to 4 significant digits and on the right."""
    rows = list(table.rows)
    right = [all(isinstance(value, Real) for value in column) for column in zip(*rows, strict=True)]
    right = right or [False] * len(table.columns)
    texts = [table.columns, *(tuple(map(_short, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    if table.title:
        yield table.title
    for row in texts:
        padded = (t.rjust(w) if r else t.ljust(w) for t, w, r in zip(row, widths, right, strict=True))
        yield "  ".join(padded).rstrip()


def _separated(table: Table, separator: str) -> Iterator[str]:
    for row in itertools.chain([table.columns] if table.header else [], table.rows):
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=separator, lineterminator="").writerow([_exact(value) for value in row])
        yield buffer.getvalue()


def _json(table: Table) -> Iterator[str]:
    """An array of objects, one a line; a value that is not finite is null."""
    rows = [json.dumps(dict(zip(table.columns, map(_plain, row), strict=True))) for row in table.rows]
    yield "[" + ",\n ".join(rows) + "]"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _exact(value: object) -> str:
    """17 significant digits: a float64 survives being read again."""
    return f"{value:.17g}" if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
