"""Text: Matrix Market files and their names, and tables."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

from tests import forms

from .case import Case, file, fit

HEADER = "%%MatrixMarket matrix coordinate integer general\n"

MB = 1 << 20


def mtx(body: str | bytes, header: str = HEADER, pack: bool = False) -> Callable[[Path], list[str]]:
    """A fit of a bare Matrix Market file."""
    content = header.encode() + (body if isinstance(body, bytes) else body.encode())
    return file("m.mtx.gz" if pack else "m.mtx", gzip.compress(content) if pack else content)


def folder(damage: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    """A fit of an MTX directory that `damage` has changed."""

    def make(here: Path) -> list[str]:
        path = forms.mtx(here / "mtx")
        damage(path)
        return fit(path.name)

    return make


def replaced(name: str, content: bytes) -> Callable[[Path], list[str]]:
    return folder(lambda path: (path / name).write_bytes(content))


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    """What `make` makes in the place of a file."""

    def damage(path: Path) -> None:
        (path / name).unlink()
        make(path / name)

    return folder(damage)


def bomb(name: str, head: bytes, part: bytes) -> Callable[[Path], list[str]]:
    """A gzip file of `head` and then the same part many times, member by member: 3 MB that unpack to 3 GB."""

    def make(here: Path) -> list[str]:
        member = gzip.compress(part * (16 * MB // len(part)), 9)
        (here / name).write_bytes(gzip.compress(head) + member * 200)
        return fit(name)

    return make


def long(name: str, *parts: str | int) -> Callable[[Path], list[str]]:
    """A text of parts; a number stands for so many times the part before it, one more."""

    def make(here: Path) -> list[str]:
        text = ""
        for before, part in zip(("", *parts), parts, strict=False):
            text += part if isinstance(part, str) else before * part
        return file(name, text)(here)

    return make


def csv(text: str | bytes, *more: str) -> Callable[[Path], list[str]]:
    return file("t.csv", text, *more)


def long_barcode(path: Path) -> None:
    (path / "barcodes.tsv").write_bytes(b"a" * 10 * MB + b"\nb" * 30)


def many_barcodes(path: Path) -> None:
    (path / "barcodes.tsv").write_bytes(gzip.compress(b"a" * 64 * MB))


MTX = {
    "MTX: sizes beyond all": Case(mtx(f"{10**12} {10**12} 1\n1 1 1\n"), 65, "there is no such matrix"),
    "MTX: names without end": Case(mtx("100000000 100000000 1\n1 1 1\n"), 65, "add the names files"),
    "MTX: more entries than bytes": Case(mtx(f"100000 100000 {10**9}\n1 1 1\n"), 65, "cannot hold"),
    "MTX: sizes below zero": Case(mtx("-2 2 1\n1 1 1\n"), 65, "none can be negative"),
    "MTX: sizes of words": Case(mtx("two two one\n1 1 1\n"), 65, 'line of sizes is "two two one"'),
    "MTX: sizes of thousands of digits": Case(mtx("9" * 5000 + " 2 1\n1 1 1\n"), 65, "line of sizes"),
    "MTX: no sizes": Case(mtx("% nothing\n"), 65, "line of sizes"),
    "MTX: a header cut": Case(file("m.mtx", "%%MatrixMarket mat"), 65, "m.mtx"),
    "MTX: an array": Case(mtx("2 2\n1\n1\n1\n1\n", HEADER.replace("coordinate", "array")), 65, "header"),
    "MTX: a pattern": Case(mtx("2 2 1\n1 1\n", HEADER.replace("integer", "pattern")), 65, "header"),
    "MTX: symmetric": Case(mtx("2 2 1\n1 1 1\n", HEADER.replace("general", "symmetric")), 65, "header"),
    "MTX: entry outside": Case(mtx("2 2 1\n3 1 1\n"), 65, "outside 1 .. 2"),
    "MTX: entry at zero": Case(mtx("2 2 1\n0 1 1\n"), 65, "outside 1 .. 2"),
    "MTX: entry of vast place": Case(mtx(f"2 2 1\n{10**30} 1 1\n"), 65, "row, column and value"),
    "MTX: too few entries": Case(mtx("2 2 2\n1 1 1\n"), 65, "copy it again"),
    "MTX: too many entries": Case(mtx("2 2 1\n1 1 1\n2 2 1\n"), 65, "2 are there"),
    "MTX: four fields": Case(mtx("2 2 1\n1 1 1 1\n"), 65, "row, column and value"),
    "MTX: two fields": Case(mtx("2 2 1\n1 1\n"), 65, "m.mtx"),
    "MTX: words": Case(mtx("2 2 1\n1 1 one\n"), 65, "row, column and value"),
    "MTX: a NUL": Case(mtx(b"2 2 1\n1 1 1\0\n"), 65, "NUL byte"),
    "MTX: noise": Case(mtx(b"2 2 1\n" + bytes(range(128, 256)) + b"\n"), 65, "row, column and value"),
    "MTX: an endless line": Case(long("m.mtx", HEADER + "2 2 1\n1 1 ", "1", 8 * MB), 65, "m.mtx"),
    "MTX: NaN": Case(mtx("2 2 2\n1 1 nan\n2 2 1\n"), 65, "1 missing"),
    "MTX: infinite": Case(mtx("2 2 2\n1 1 1e999\n2 2 1\n"), 65, "m.mtx"),
    "MTX: below zero": Case(mtx("2 2 2\n1 1 -1\n2 2 1\n"), 65, "1 negative"),
    "MTX: all zero": Case(mtx("2 2 0\n"), 65, "counts are zero"),
    "MTX: no cells": Case(mtx("2 0 0\n"), 65, "zero cells"),
    "MTX: an entry twice": Case(mtx("2 2 2\n1 1 1\n1 1 1\n"), 65, "given twice"),
    "MTX: gzip cut": Case(
        file("m.mtx.gz", gzip.compress(HEADER.encode() + b"2 2 1\n1 1 1\n")[:-9]), 65, "damaged gzip"
    ),
    "MTX: gzip with noise": Case(
        file("m.mtx.gz", gzip.compress(HEADER.encode() + b"2 2 1\n1 1 1\n") + b"noise"), 65, "gzip"
    ),
    "MTX: a bomb of blank lines": Case(bomb("m.mtx.gz", HEADER.encode() + b"2 2 1\n1 1 1\n", b"\n"), 65, "a gzip bomb"),
    "MTX: a bomb of one line": Case(bomb("m.mtx.gz", HEADER.encode() + b"2 2 1\n1 1 ", b"1"), 65, "a gzip bomb"),
    "MTX: a bomb before the sizes": Case(bomb("m.mtx.gz", HEADER.encode() + b"%", b"%"), 65, "bomb"),
    "MTX: no barcodes": Case(folder(lambda path: (path / "barcodes.tsv").unlink()), 65, "no barcodes.tsv"),
    "MTX: no features": Case(folder(lambda path: (path / "features.tsv").unlink()), 65, "no features.tsv"),
    "MTX: too few barcodes": Case(replaced("barcodes.tsv", b"a\nb\n"), 65, "gives 2 names"),
    "MTX: no line of barcodes": Case(replaced("barcodes.tsv", b""), 65, "gives 0 names"),
    "MTX: barcodes not in UTF-8": Case(replaced("barcodes.tsv", b"\xff\n" * 31), 65, "UTF-8"),
    "MTX: barcodes with a NUL": Case(replaced("barcodes.tsv", b"a\0\n" * 31), 65, "NUL byte"),
    "MTX: barcodes of 10 MB": Case(folder(long_barcode), 65, "characters"),
    "MTX: barcodes are a bomb": Case(folder(many_barcodes), 65, "a gzip bomb"),
    "MTX: barcodes are a folder": Case(instead("barcodes.tsv", Path.mkdir), 65, "no barcodes.tsv"),
    "MTX: barcodes are a pipe": Case(instead("barcodes.tsv", os.mkfifo), 65, "no barcodes.tsv"),
    "MTX: barcodes are a dangling link": Case(
        instead("barcodes.tsv", lambda p: p.symlink_to("nowhere")), 65, "no barcodes.tsv"
    ),
    "MTX: the matrix is a pipe": Case(instead("matrix.mtx", os.mkfifo), 65, "mtx"),
}
CSV = {
    "csv: a missing value": Case(csv("c,g,h\na,1,\nb,2,3\n"), 65, "1 missing"),
    "csv: NA": Case(csv("c,g,h\na,1,NA\nb,2,3\n"), 65, "1 missing"),
    "csv: a short row": Case(csv("c,g,h\na,1,2\nb,2\n"), 65, "line 3"),
    "csv: a long row": Case(csv("c,g,h\na,1,2\nb,2,3,4\n"), 65, "line 3"),
    "csv: a NUL": Case(csv(b"c,g,h\na,1,2\nb,\x00,3\n"), 65, "NUL byte"),
    "csv: a NUL at the start": Case(csv(b"\0c,g,h\na,1,2\n"), 65, "NUL byte"),
    "csv: a carriage return": Case(csv("c,g,h\na,1,2\n\rb,2,3\n"), 65, "line 3 holds a carriage return"),
    "csv: line ends of old Macs": Case(csv("c,g,h\ra,1,2\rb,2,3\r"), 65, "line 1 holds a carriage return"),
    "csv: words": Case(csv("c,g,h\na,1,2\nb,many,3\n"), 65, "'many' is no number"),
    "csv: digits of other scripts": Case(csv("c,g,h\na,1,2\nb,٣,3\n"), 65, "is no number"),
    "csv: underscores": Case(csv("c,g,h\na,1,2\nb,1_000,3\n"), 65, "is no number"),
    "csv: hexadecimal": Case(csv("c,g,h\na,1,2\nb,0x10,3\n"), 65, "is no number"),
    "csv: no header": Case(csv("1,2,3\n4,5,6\n"), 65, "not names"),
    "csv: a header alone": Case(csv("c,g,h\n"), 65, "t.csv"),
    "csv: names alone": Case(csv("c,\na,\n"), 65, "t.csv"),
    "csv: an open quote": Case(csv('c,g,h\na,1,2\n"b,2,3\n'), 65, "line 3"),
    "csv: an open quote in the header": Case(csv('c,"g,h\na,1,2\n'), 65, "t.csv"),
    "csv: an open quote over one column": Case(csv('c,g,"\na,1\n'), 65, "quotes closed"),
    "csv: below zero": Case(csv("c,g,h\na,1,2\nb,-2,3\n"), 65, "1 negative"),
    "csv: a fraction": Case(csv("c,g,h\na,1,2\nb,2.5,3\n"), 65, "1 fractional"),
    "csv: beyond all numbers": Case(csv("c,g,h\na,1,2\nb,1e400,3\n"), 65, "1 infinite"),
    "csv: a decimal comma": Case(csv("c;g;h\na;1;2\nb;2,5;3\n"), 65, "is no number"),
    "csv: not in UTF-8": Case(csv(b"c,g,h\n\xff,1,2\n"), 65, "UTF-8"),
    "csv: in UTF-16": Case(csv("c,g,h\na,1,2\n".encode("utf-16")), 65, "t.csv"),
    "csv: a name of 10 MB": Case(long("t.csv", "c,g,h\n", "a", 10 * MB, ",1,2\n"), 65, "characters"),
    "csv: a line of 70 MB": Case(long("t.csv", "c,g,h\na,1,", "2", 70 * MB, "\n"), 65, "longer than"),
    "csv: all zero": Case(csv("c,g,h\na,0,0\nb,0,0\n"), 65, "counts are zero"),
    "csv: a layer": Case(csv("c,g\na,1\n", "--layer", "counts"), 65, "leave out --layer"),
    "csv: gzip cut": Case(file("t.csv.gz", gzip.compress(b"c,g,h\n" + b"a,1,2\n" * 5000)[:-20]), 65, "gzip"),
    "csv: a bomb of zeros": Case(bomb("t.csv.gz", b"c,g\n", b"a,0\n"), 65, "a gzip bomb"),
    "csv: a bomb of one line": Case(bomb("t.csv.gz", b"c,g\na,1\nb,", b"0"), 65, "t.csv.gz"),
    "csv: a bomb of blank lines": Case(bomb("t.csv.gz", b"c,g\na,1\n", b"\n"), 65, "a gzip bomb"),
}
OTHERS = {
    "an empty file": Case(file("e.h5ad", ""), 65, "an empty file"),
    "wrong magic": Case(file("w.h5ad", b"\x89HDG\r\n\x1a\n" + bytes(500)), 65, "not known"),
    "zeros": Case(file("z.h5ad", bytes(5000)), 65, "not known"),
    "a pickle": Case(file("p.h5ad", b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."), 65, "p.h5ad"),
    "a zip": Case(file("z.h5ad", b"PK\3\4" + bytes(100)), 65, "unzip it"),
    "half a gzip header": Case(file("g.csv.gz", b"\x1f\x8b"), 65, "gzip"),
    "gzip of nothing": Case(file("g.csv.gz", gzip.compress(b"")), 65, "g.csv.gz"),
    "gzip of gzip": Case(file("g.csv.gz", gzip.compress(gzip.compress(b"c,g\na,1\n"))), 65, "g.csv.gz"),
    "gzip of HDF5": Case(file("g.h5ad.gz", gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(99))), 65, "gunzip it"),
}
CASES = {**MTX, **CSV, **OTHERS}
