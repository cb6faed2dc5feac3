"""10x HDF5 and loom files whose parts do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests import forms

from .case import Case, fit


def tenx(damage: Callable[[h5py.File], object], *more: str, version: int = 3) -> Callable[[Path], list[str]]:
    return damaged(lambda folder: forms.tenx(folder, version), damage, *more)


def loom(damage: Callable[[h5py.File], object], *more: str) -> Callable[[Path], list[str]]:
    return damaged(
        lambda f: forms.loom(f, ("Gene", forms.GENES), ("CellID", forms.CELLS), forms.COUNTS.T), damage, *more
    )


def damaged(make: Callable[[Path], Path], damage: Callable[[h5py.File], object], *more: str):
    def made(folder: Path) -> list[str]:
        path = make(folder)
        with h5py.File(path, "r+") as root:
            damage(root)
        return fit(path.name, *more)

    return made


def put(key: str, values) -> Callable[[h5py.File], None]:
    """Other values at a key; None: nothing there; a dict: a group."""

    def damage(root: h5py.File) -> None:
        if key in root:
            del root[key]
        if isinstance(values, dict):
            root.create_group(key)
        elif values is not None:
            root[key] = values

    return damage


def changed(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    return lambda root: put(key, change(root[key][()]))(root)


def claimed(key: str, shape: tuple, dtype: str, chunks: tuple) -> Callable[[h5py.File], None]:
    def damage(root: h5py.File) -> None:
        del root[key]
        root.create_dataset(key, shape, dtype, chunks=chunks)

    return damage


def second_genome(root: h5py.File) -> None:
    root["mm10/barcodes"] = np.array([b"A"])


NAMES = np.array([b"a"] * 3)
CASES = {
    "10x: two genomes": Case(tenx(second_genome, version=2), 65, "2 genomes: GRCh38, mm10"),
    "10x: no data": Case(tenx(put("matrix/data", None)), 65, "data"),
    "10x: data is a group": Case(tenx(put("matrix/data", {})), 65, "data"),
    "10x: no shape": Case(tenx(put("matrix/shape", None)), 65, "shape"),
    "10x: a shape of one": Case(tenx(put("matrix/shape", np.array([25]))), 65, "shape"),
    "10x: a shape of text": Case(tenx(put("matrix/shape", "25 x 31")), 65, "shape"),
    "10x: a shape below zero": Case(tenx(put("matrix/shape", np.array([-25, 31]))), 65, "25"),
    "10x: a vast shape": Case(tenx(put("matrix/shape", np.array([2**62, 31]))), 65, "entries for"),
    "10x: fewer barcodes": Case(tenx(put("matrix/barcodes", NAMES)), 65, "3 entries for 31"),
    "10x: fewer features": Case(tenx(put("matrix/features/name", NAMES)), 65, "3 entries for 25"),
    "10x: no names of features": Case(tenx(put("matrix/features/name", None)), 65, "features/name"),
    "10x: features is an array": Case(tenx(put("matrix/features", NAMES)), 65, "features"),
    "10x: barcodes is a group": Case(tenx(put("matrix/barcodes", {})), 65, "barcodes"),
    "10x: indptr that decreases": Case(
        tenx(changed("matrix/indptr", lambda v: np.r_[v[:3], v[5], v[4], v[5:]])), 65, "not upwards"
    ),
    "10x: indices out of range": Case(tenx(changed("matrix/indices", lambda v: v + 9)), 65, "outside 0 .. 24"),
    "10x: text for counts": Case(tenx(changed("matrix/data", lambda v: v.astype("S"))), 65, "not numbers"),
    "10x: NaN": Case(tenx(changed("matrix/data", lambda v: np.r_[np.nan, v[1:]])), 65, "1 missing"),
    "10x: 40 GB": Case(tenx(claimed("matrix/data", (10**10,), "i4", (1000,))), 65, "matrix/data has 0 of its"),
    "10x: a link": Case(tenx(put("matrix/data", h5py.SoftLink("/x"))), 65, "a soft link"),
    "10x: a layer": Case(tenx(len, "--layer", "counts"), 65, "leave out --layer"),
    "loom: no matrix": Case(loom(put("matrix", None)), 65, "it holds attrs, col_attrs"),
    "loom: the matrix is a group": Case(loom(put("matrix", {})), 65, "matrix"),
    "loom: a matrix of one axis": Case(loom(put("matrix", np.ones(31))), 65, "shape (31,)"),
    "loom: a matrix of text": Case(loom(changed("matrix", lambda v: v.astype("S"))), 65, "not numbers"),
    "loom: other cells": Case(loom(changed("matrix", lambda v: v[:, :-1])), 65, "31 entries for 30"),
    "loom: no rows": Case(loom(put("row_attrs", None)), 65, "row_attrs"),
    "loom: rows are an array": Case(loom(put("row_attrs", NAMES)), 65, "row_attrs"),
    "loom: names not in UTF-8": Case(loom(put("col_attrs/CellID", np.full(31, b"\xff"))), 65, "UTF-8"),
    "loom: a fraction": Case(loom(changed("matrix", lambda v: v + 0.5)), 65, "fractional"),
    "loom: 80 GB": Case(loom(claimed("matrix", (200_000, 100_000), "f4", (1000, 1000))), 65, "matrix claims 80.00 GB"),
    "loom: an external link": Case(loom(put("matrix", h5py.ExternalLink("/dev/zero", "x"))), 65, "a link to another"),
    "loom: no such layer": Case(loom(len, "--layer", "../matrix"), 65, "no layer"),
}
