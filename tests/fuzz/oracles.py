"""The same files read by the plainest means, to see that what is read is what stands there. Slow, and of good files."""

from __future__ import annotations

import contextlib
import csv
import gzip

import numpy as np


def unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def mtx(content: bytes) -> list[np.ndarray]:
    """Genes x cells as float, the one there is; ValueError where a line is not what it should be."""
    lines = unpacked(content).split(b"\n")[1:]
    while lines[0].startswith(b"%") or not lines[0].strip():
        lines.pop(0)
    body = b"\n".join(lines[1:]).replace(b"\r", b"\n").split(b"\n")
    n_rows, n_columns, stored = lines[0].split()
    entries = [row for row in (line.split(b"%")[0].split() for line in body) if row]
    made = np.zeros((int(n_rows), int(n_columns)))
    if len(entries) != int(stored):
        raise ValueError(f"{len(entries)} entries, {int(stored)} said")
    for row, column, value in entries:
        made[int(row) - 1, int(column) - 1] += float(value)
    return [made]


def tables(content: bytes) -> list[np.ndarray]:
    """Rows x columns as float, by each separator that makes a table of it."""
    text = unpacked(content).decode("utf-8").removeprefix("\ufeff")
    lines = [line.rstrip("\r\n") for line in text.split("\n")]
    found = []
    for separator in "\t,;":
        rows = [next(csv.reader([line], delimiter=separator)) for line in lines if line]
        widths = {len(row) for row in rows[1:]}
        if len(widths) == 1 and widths.pop() > 1 and len(rows[0]) in (len(rows[1]), len(rows[1]) - 1):
            with contextlib.suppress(ValueError):
                found.append(np.array([[float(cell) for cell in row[1:]] for row in rows[1:]]))
    return found
