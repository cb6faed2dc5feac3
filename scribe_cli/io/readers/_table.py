"""A text table of counts: names in the first line and the first column, numbers in all others. Read line by line.

Not by pandas: it cuts a cell at a NUL byte, fills short rows, and does not say where a text stands.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from scipy.sparse import csr_array

from ...errors import BadData
from ._numbers import whole
from ._unpacked import unpacked

SEPARATORS = ("\t", ",", ";")
MISSING = ("", "na", "nan", "n/a", "#n/a", "null", "none")
LONGEST = 2**24  # bytes of a line
ZERO, POINT = b"0."
QUOTED = re.compile(rb'"((?:[^"]|"")*)"')
PLAIN = re.compile(rb"[-+.0-9eE]+(?:,[-+.0-9eE]+)*")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"
TO_UTF8 = "convert it to UTF-8 (iconv -f latin1 -t utf-8, or -f utf-16)"


@dataclass(frozen=True)
class Table:
    """counts: rows x columns as they stand, int32 where all of it is whole."""

    counts: csr_array
    rows: list[str]
    columns: list[str]


@dataclass(frozen=True)
class Line:
    """number: from 1, as editors count."""

    number: int
    content: bytes


@dataclass(frozen=True)
class Form:
    """How the lines of one file are split. columns: names of the numbers; corner: what stands over those of rows."""

    file: Path
    separator: str
    columns: list[str]
    corner: str


def read_table(file: Path) -> Table:
    """A table, NaN where a number is missing. BadData, with line and column, if it is ragged or holds a text."""
    with unpacked(file) as stream, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # of numpy before 2.3, for a text that is no number
        lines = _lines(file, stream)
        header, first = next(lines, None), next(lines, None)
        if header is None or first is None:
            raise BadData(f"{file} has a header line at most; a table has names in the first line, counts below")
        form = _form(file, header, first)
        names, parts = [], []
        for line in chain([first], lines):
            name, places, values = _row(form, line)
            names.append(name)
            parts.append((places.astype(np.int32), whole(values)))
    _refuse_numbers_as_names(form, names)
    indices, data = (np.concatenate([part[i] for part in parts]) for i in range(2))
    indptr = np.append(0, np.cumsum([len(part[0]) for part in parts]))
    counts = csr_array((data, indices, indptr), shape=(len(names), len(form.columns)))
    return Table(counts, names, form.columns)


def _lines(file: Path, stream: BinaryIO) -> Iterator[Line]:
    """Lines that are not blank, without their ends and the byte order mark."""
    number = 0
    while content := stream.readline(LONGEST):
        number += 1
        if len(content) == LONGEST:
            raise BadData(f"{file}: line {number} is longer than {LONGEST:,} bytes; is it a table with line ends?")
        if number == 1 and content.startswith(UTF16):
            raise BadData(f"{file} is text in UTF-16; {TO_UTF8}")
        content = content.removeprefix(UTF8_MARK if number == 1 else b"").rstrip(b"\r\n")
        for byte, name in ((b"\0", "a NUL byte"), (b"\r", "a carriage return, and no line end after it")):
            if byte in content:
                raise BadData(f"{file}: line {number} holds {name}; write the file again, as plain text in UTF-8")
        if content:
            yield Line(number, content)


def _form(file: Path, header: Line, first: Line) -> Form:
    """The separator that gives both lines the most fields, one more in the second if the corner is left out."""
    seen = {s: tuple(_parted(file, line, s) for line in (header, first)) for s in SEPARATORS}
    fit = [s for s, (a, b) in seen.items() if len(b) > 1 and len(b) - len(a) in (0, 1)]
    separator = max(fit or SEPARATORS, key=lambda s: len(seen[s][0]) + len(seen[s][1]))
    names, row = seen[separator]
    if separator not in fit:
        raise BadData(
            f"{file} is no table: line {header.number} has {len(names):,} fields and line {first.number} {len(row):,}; "
            "names in the first line and the first column are needed, counts in all others, quotes closed, no name "
            "over 131,072 characters"
        )
    if len(names) < len(row):
        return Form(file, separator, names, "")
    if all(map(_is_number, names)):
        raise BadData(f"{file}: the first line is numbers, not names; a header line is needed, and names in column 1")
    return Form(file, separator, names[1:], names[0])


def _parted(file: Path, line: Line, separator: str) -> list[str]:
    """Fields; none, if the quotes in the line do not fit the separator."""
    text = _text(file, line.number, line.content)
    try:
        return _fields(text, separator)
    except csv.Error:
        return []


def _fields(text: str, separator: str) -> list[str]:
    return next(csv.reader([text], delimiter=separator, strict=True))


def _text(file: Path, number: int, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{file}: line {number} is not text in UTF-8 (byte {error.start + 1}); {TO_UTF8}") from error


def _row(form: Form, line: Line) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of a line, and places and values of what is not zero in it."""
    separator = form.separator.encode()
    name, rest = _split(line.content, separator)
    content = np.frombuffer(rest + separator, np.uint8)
    ends = np.flatnonzero(content == separator[0])
    starts = np.append(0, ends[:-1] + 1)
    places = np.flatnonzero(~_are_zeros(content, starts, ends))
    values = _numbers([rest[a:b] for a, b in zip(starts[places], ends[places], strict=True)])
    exact = len(ends) == len(form.columns) and len(values) == len(places)
    if not exact or (separator != b"," and b"," in rest):
        return _row_by_field(form, line)
    return _text(form.file, line.number, name), places[values != 0], values[values != 0]


def _are_zeros(content: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which fields are "0" or "0.0", as most are; the others have to be parsed."""
    length = ends - starts
    after, second = (content[np.minimum(starts + i, len(content) - 1)] for i in (1, 2))
    decimal = (length == 3) & (after == POINT) & (second == ZERO)
    return (content[starts] == ZERO) & ((length == 1) | decimal)


def _numbers(fields: list[bytes]) -> np.ndarray:
    """Their values, float64; none if one is no finite number (NumPy alone would take a last blank for -1)."""
    joined = b",".join(fields)
    if not PLAIN.fullmatch(joined):
        return np.zeros(0)
    try:
        return np.fromstring(joined, sep=",")
    except (ValueError, DeprecationWarning):
        return np.zeros(0)


def _split(content: bytes, separator: bytes) -> tuple[bytes, bytes]:
    """The first field, without its quotes, and the rest: none of it if the quotes are not closed."""
    if not content.startswith(b'"'):
        name, _, rest = content.partition(separator)
        return name, rest
    quoted = QUOTED.match(content)
    if quoted is None or content[quoted.end() : quoted.end() + 1] != separator:
        return content, b""
    return quoted[1].replace(b'""', b'"'), content[quoted.end() + 1 :]


def _row_by_field(form: Form, line: Line) -> tuple[str, np.ndarray, np.ndarray]:
    """As `_row`, slowly: quoted numbers and missing ones are values, all else is told."""
    try:
        name, *cells = _fields(_text(form.file, line.number, line.content), form.separator)
    except csv.Error as error:
        raise BadData(f"{form.file}: line {line.number} cannot be split ({error}); close its quotes") from error
    if len(cells) != len(form.columns):
        raise BadData(
            f'{form.file}: line {line.number} (row "{name[:80]}") has {len(cells) + 1:,} fields, the header asks for '
            f"{len(form.columns) + 1:,}; write all rows with all columns"
        )
    values = np.full(len(cells), np.nan)
    for i, cell in enumerate(cells):
        if _is_number(cell):
            values[i] = float(cell)
        elif cell.strip().lower() not in MISSING:
            raise BadData(
                f'{form.file}: line {line.number}, column "{form.columns[i][:80]}": {cell[:40]!r} is no number; '
                "only names in the first line and column and counts in all others are read, so leave text columns out"
            )
    places = np.flatnonzero(values)
    return name, places, values[places]


def _is_number(text: str) -> bool:
    """A decimal number in ASCII: Python's own float takes 1_000 and digits of other scripts too."""
    if not text.isascii() or "_" in text:
        return False
    try:
        return not np.isnan(float(text))
    except ValueError:
        return False


def _refuse_numbers_as_names(form: Form, names: list[str]) -> None:
    """A first column of counts, taken for names, is lost: names that are numbers do not repeat."""
    if form.corner and len(set(names)) < len(names) and all(map(_is_number, names)):
        raise BadData(
            f'{form.file}: the first column ("{form.corner[:80]}") is numbers that repeat, no names; '
            "a first column of names is needed"
        )
