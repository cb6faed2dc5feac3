"""HDF5: files that lead out of themselves, claim what they do not hold, or are cut; and AnnData that is none."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from tests import forms

from .case import Case, fit

TEXT = h5py.string_dtype()


def damaged(damage: Callable[[h5py.File], object], *more: str, x=None) -> Callable[[Path], list[str]]:
    """A fit of an h5ad that `damage` has changed; x: its matrix, by itself a CSR one."""

    def make(folder: Path) -> list[str]:
        path = forms.h5ad(folder, x)
        with h5py.File(path, "r+") as opened:
            damage(opened)
        return fit(path.name, *more)

    return make


def cut(end: Callable[[bytes], bytes]) -> Callable[[Path], list[str]]:
    """A fit of an h5ad of other bytes."""

    def make(folder: Path) -> list[str]:
        path = forms.h5ad(folder)
        path.write_bytes(end(path.read_bytes()))
        return fit(path.name)

    return make


def put(key: str, values, **attributes) -> Callable[[Path], list[str]]:
    """Another array at a key, with the attributes of the old one."""

    def change(root: h5py.File) -> None:
        old = dict(root[key].attrs)
        del root[key]
        root[key] = values
        root[key].attrs.update(old | attributes)

    return damaged(change)


def changed(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], list[str]]:
    """An array with other values."""

    def damage(root: h5py.File) -> None:
        old, attributes = root[key][()], dict(root[key].attrs)
        del root[key]
        root[key] = change(old)
        root[key].attrs.update(attributes)

    return damaged(damage)


def attribute(key: str, name: str, value) -> Callable[[Path], list[str]]:
    """Another attribute; without a value, none."""

    def damage(root: h5py.File) -> None:
        del root[key].attrs[name]
        if value is not None:
            root[key].attrs[name] = value

    return damaged(damage)


def without(key: str) -> Callable[[Path], list[str]]:
    return damaged(lambda root: root.pop(key))


def made(key: str, create: Callable[[h5py.File], object]) -> Callable[[Path], list[str]]:
    """What `create` makes at a key that has been cleared."""

    def damage(root: h5py.File) -> None:
        if key in root:
            del root[key]
        create(root)

    return damaged(damage)


def empty(key: str, shape: tuple, dtype: str, chunks: tuple | None = None) -> Callable[[Path], list[str]]:
    """An array that is declared and was never written."""
    return made(key, lambda root: root.create_dataset(key, shape, dtype, chunks=chunks))


def filtered(number: int, times: int = 1) -> Callable[[Path], list[str]]:
    """X packed by a filter that is not there."""

    def create(root: h5py.File) -> None:
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((31, 23))
        for _ in range(times):
            how.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (4,))
        made = h5py.h5d.create(root.id, b"X", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((31, 23)), how)
        made.write_direct_chunk((0, 0), bytes(4 * 31 * 23))

    return made("X", create)


def bomb(root: h5py.File) -> None:
    """One chunk of 128 MB in 130 kB."""
    side = (8192, 4096)
    array = root.create_dataset("X", side, "f4", chunks=side, compression="gzip")
    array.id.write_direct_chunk((0, 0), zlib.compress(bytes(4 * side[0] * side[1]), 6))


def small_bomb(root: h5py.File) -> None:
    """A chunk of three kilobytes that unpacks to 300 MB."""
    array = root.create_dataset("X", (31, 23), "i4", chunks=(31, 23), compression="gzip")
    array.id.write_direct_chunk((0, 0), zlib.compress(bytes(300 << 20), 1))


def outside(root: h5py.File) -> None:
    Path("bytes").write_bytes(bytes(4 * 31 * 23))
    root.create_dataset("X", (31, 23), "i4", external=[("bytes", 0, 4 * 31 * 23)])


def virtual(root: h5py.File) -> None:
    layout = h5py.VirtualLayout((31, 23), "i4")
    layout[:] = h5py.VirtualSource("/dev/zero", "X", (31, 23))
    root.create_virtual_dataset("X", layout)


def deep(root: h5py.File) -> None:
    root.create_group("uns/" + "/".join("a" * 40))


def circle(root: h5py.File) -> None:
    root["obs/again"] = root["obs"]


def crowded(root: h5py.File) -> None:
    root["uns/one"] = 1
    for i in range(21_000):
        root[f"uns/{i}"] = root["uns/one"]


def no_layers(root: h5py.File) -> None:
    del root["layers"]
    root["layers"] = np.ones(3)


def column(name: str, values, **attributes) -> Callable[[Path], list[str]]:
    """A column of obs; where values are a dict, a group."""

    def damage(root: h5py.File) -> None:
        obs = root["obs"]
        for key, part in values.items() if isinstance(values, dict) else [("", values)]:
            obs[f"{name}/{key}".rstrip("/")] = part
        obs[name].attrs.update(attributes)
        del obs.attrs["column-order"]
        obs.attrs["column-order"] = np.array([name], TEXT)

    return damaged(damage)


def codes(values, categories) -> dict[str, np.ndarray]:
    return {"codes": np.array(values, np.int8), "categories": np.array(categories, TEXT)}


def value(x: float, dtype=np.float64) -> Callable[[Path], list[str]]:
    """One stored value that is x."""

    def change(data: np.ndarray) -> np.ndarray:
        data = data.astype(dtype)
        data[7] = x
        return data

    return changed("X/data", change)


def longer(key: str, gzip: bool) -> Callable[[Path], list[str]]:
    """A list of names, the first of which claims 4 GB."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as root:
            names, attributes = root[key][()], dict(root[key].attrs)
            del root[key]
            packing = {"chunks": names.shape, "compression": "gzip", "shuffle": True} if gzip else {}
            array = root.create_dataset(key, data=names, dtype=TEXT, **packing)
            array.attrs.update(attributes)
            if gzip:  # without its shuffle filter, bit 0 of the mask
                raw = bytes([255] * 4) + bytes(16 * len(names) - 4)
                array.id.write_direct_chunk((0,), zlib.compress(raw), filter_mask=1)
                return
            place = array.id.get_offset()
        with path.open("r+b") as file:
            file.seek(place + 3)
            file.write(b"\xff")

    def make(folder: Path) -> list[str]:
        path = forms.h5ad(folder)
        damage(path)
        return fit(path.name)

    return make


def broken_heap(content: bytes) -> bytes:
    """The first heap of texts with an object of size 0 that ends it."""
    at = content.index(b"GCOL") + 16
    return content[:at] + bytes(16) + content[at + 16 :]


CATEGORICAL = {"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False}
REFERENCES = np.full((31, 23), h5py.Reference(), h5py.ref_dtype)
LINKED = {
    "an external link": Case(
        made("X", lambda r: r.__setitem__("X", h5py.ExternalLink("/etc/passwd", "X"))),
        65,
        "X is a link to another file",
    ),
    "an external link to a device": Case(
        made("obs", lambda r: r.__setitem__("obs", h5py.ExternalLink("/dev/zero", "obs"))), 65, "obs is a link"
    ),
    "a soft link": Case(
        damaged(lambda r: r.__setitem__("layers/counts", h5py.SoftLink("/X"))), 65, "layers/counts is a soft link"
    ),
    "a dangling soft link": Case(
        damaged(lambda r: r.__setitem__("uns/a", h5py.SoftLink("/no"))), 65, "uns/a is a soft"
    ),
    "values in another file": Case(made("X", outside), 65, "values of X lie in another file"),
    "a virtual dataset": Case(made("X", virtual), 65, "X is a virtual dataset"),
    "a filter that needs a plugin": Case(filtered(32015), 65, "filter 32015, which needs a plugin"),
    "a filter of a user's own": Case(filtered(300), 65, "filter 300"),
    "packed twice": Case(filtered(1, 2), 65, "packed more than once"),
    "a group in itself": Case(damaged(circle), 65, "lies in itself"),
    "groups without end": Case(damaged(deep), 65, "more than 32 deep"),
    "a layer called ..": Case(damaged(lambda r: r.__setitem__("layers/..", forms.COUNTS)), 65, "layers/.. has a name"),
    "a key called zarr.json": Case(
        damaged(lambda r: r.__setitem__("uns/zarr.json", 1)), 65, "uns/zarr.json has a name"
    ),
    "names without end": Case(damaged(crowded), 65, "more than 20,000 names"),
}
CLAIMED = {
    "80 GB in 6 kB": Case(empty("X", (100_000, 200_000), "f4", (1000, 1000)), 65, "X claims 80.00 GB, and 0 bytes"),
    "80 GB in one piece": Case(empty("X", (100_000, 200_000), "f4"), 65, "X claims 80.00 GB"),
    "sparse values never written": Case(empty("X/data", (10**10,), "f4", (1000,)), 65, "X/data has 0 of its"),
    "pointers never written": Case(empty("X/indptr", (2**40,), "i8", (1000,)), 65, "X/indptr has 0 of its"),
    "names of vast length": Case(empty("obs/_index", (31,), "S100000000", (1,)), 65, "obs/_index has 0 of its"),
    "more names than fit": Case(empty("var/_index", (2**33,), TEXT, (1000,)), 65, "var/_index has 0 of its"),
    "a name of 4 GB": Case(longer("obs/_index", gzip=False), 65, "the texts of obs/_index claim 4,278,1"),
    "a name of 4 GB, packed": Case(longer("var/_index", gzip=True), 65, "the texts of var/_index claim 4,294,9"),
    "uns never written": Case(empty("uns/big", (10**11,), "f8", (1000,)), 65, "uns/big has 0 of its"),
    "a chunk that is a bomb": Case(made("X", bomb), 65, "a chunk of X claims 0.13 GB"),
    "a chunk that unpacks to more": Case(made("X", small_bomb), 65, "X is to hold 2,852 bytes"),
    "a million chunks of a value": Case(empty("X", (1000, 1000), "i1", (1, 1)), 65, "0 of the 1,000,000 chunks"),
}
CUT = {
    "h5ad: a tenth of it": Case(cut(lambda b: b[: len(b) // 10]), 65, "truncated"),
    "h5ad: half of it": Case(cut(lambda b: b[: len(b) // 2]), 65, "truncated"),
    "h5ad: all but a byte": Case(cut(lambda b: b[:-1]), 65, "truncated"),
    "h5ad: its first bytes": Case(cut(lambda b: b[:8]), 65, "HDF5"),
    "h5ad: a block": Case(cut(lambda b: b[:512]), 65, "HDF5"),
    "h5ad: noise after the start": Case(
        cut(lambda b: b[:8] + np.random.default_rng(0).bytes(len(b) - 8)), 65, "damaged HDF5 file"
    ),
    "h5ad: noise in the middle": Case(
        cut(lambda b: b[:800] + np.random.default_rng(1).bytes(4000) + b[4800:]), 65, "damaged HDF5 file"
    ),
    "h5ad: a heap that ends in nothing": Case(cut(broken_heap), 65, "a heap of texts"),
    "h5ad: zeros in the middle": Case(cut(lambda b: b[:96] + bytes(3000) + b[3096:]), 65, "damaged HDF5 file"),
}
MATRIX = {
    "X is a group of nothing": Case(made("X", lambda r: r.create_group("X")), 65, 'group of encoding ""'),
    "X of an old kind": Case(attribute("X", "encoding-type", "coo_matrix"), 65, 'encoding "coo_matrix"'),
    "X of no kind": Case(attribute("X", "encoding-type", 3), 65, 'encoding ""'),
    "X without data": Case(without("X/data"), 65, "a dense, csr or csc matrix"),
    "data is a group": Case(made("X/data", lambda r: r.create_group("X/data")), 65, "no list of numbers called data"),
    "indptr that decreases": Case(
        changed("X/indptr", lambda v: np.r_[v[:5], v[6], v[5], v[7:]]), 65, "not upwards from 0"
    ),
    "indptr that overflows": Case(
        changed("X/indptr", lambda v: np.r_[v[:5].astype("i8"), 2**62, v[6:]]), 65, "not upwards"
    ),
    "indptr past its data": Case(changed("X/indptr", lambda v: np.r_[v[:-1], 10**6]), 65, "1,000,000"),
    "indptr too short": Case(changed("X/indptr", lambda v: v[:-1]), 65, "not 32 integers"),
    "indptr of floats": Case(changed("X/indptr", lambda v: v.astype("f4")), 65, "type float32"),
    "indptr of two axes": Case(changed("X/indptr", lambda v: v[None]), 65, "no list of numbers called indptr"),
    "a row longer than the genes": Case(changed("X/indptr", lambda v: np.r_[0 * v[:-1], v[-1]]), 65, "of 23 possible"),
    "indices out of range": Case(changed("X/indices", lambda v: v + 20), 65, "outside 0 .. 22"),
    "indices below zero": Case(changed("X/indices", lambda v: v - 20), 65, "outside 0 .. 22"),
    "indices of text": Case(changed("X/indices", lambda v: v.astype("S")), 65, "not integers"),
    "fewer indices than data": Case(changed("X/indices", lambda v: v[:-3]), 65, "the matrix is damaged"),
    "an entry given twice": Case(changed("X/indices", lambda v: np.r_[v[1], v[1:]]), 65, "given twice"),
    "no shape": Case(attribute("X", "shape", None), 65, "shape is given as None"),
    "a shape below zero": Case(attribute("X", "shape", [-31, 23]), 65, "shape is given as"),
    "a shape of fractions": Case(attribute("X", "shape", [30.5, 23.0]), 65, "shape is given as"),
    "a shape of words": Case(attribute("X", "shape", "31 x 23"), 65, "shape is given as"),
    "a shape of three": Case(attribute("X", "shape", [31, 23, 1]), 65, "shape is given as"),
    "a vast shape": Case(attribute("X", "shape", [2**40, 2**40]), 65, "obs has 31 rows"),
    "NaN": Case(value(np.nan), 65, "1 missing"),
    "infinity": Case(value(np.inf), 65, "1 infinite"),
    "below zero": Case(value(-3), 65, "1 negative"),
    "a fraction": Case(value(0.5), 65, "1 fractional"),
    "over int32": Case(value(2.0**40), 65, "1 over 2^31"),
    "over int64": Case(value(2**63 + 1, np.uint64), 65, "1 over 2^31"),
    "complex counts": Case(changed("X/data", lambda v: v.astype(complex)), 65, "complex128, not numbers"),
    "strings as counts": Case(changed("X/data", lambda v: v.astype("S")), 65, "not numbers"),
    "texts as counts": Case(put("X", np.full((31, 23), "3", TEXT)), 65, "not numbers"),
    "records as counts": Case(put("X", np.zeros((31, 23), [("a", "i4")])), 65, "not numbers"),
    "references as counts": Case(put("X", REFERENCES), 65, "not numbers"),
    "opaque counts": Case(put("X", np.zeros((31, 23), "V8")), 65, "not numbers"),
    "X of three axes": Case(put("X", np.zeros((31, 23, 1))), 65, "shape (31, 23, 1)"),
    "X is a number": Case(put("X", 3), 65, "shape ()"),
    "X is nothing": Case(put("X", h5py.Empty("f4")), 65, "shape ()"),
    "X of other cells": Case(put("X", np.ones((30, 23))), 65, "30 x 23, but obs has 31 rows"),
    "a layer that leads out": Case(damaged(len, "--layer", "../x"), 65, 'no layer "../x"'),
    "layers are an array": Case(damaged(no_layers, "--layer", "a"), 65, 'no layer "a"'),
}
FRAMES = {
    "no obs": Case(without("obs"), 65, "has no obs"),
    "no var": Case(without("var"), 65, "has no var"),
    "obs is a list": Case(
        made("obs", lambda r: r.__setitem__("obs", np.ones(31))), 65, "obs cannot be read as a table"
    ),
    "obs is nothing": Case(made("obs", lambda r: r.__setitem__("obs", h5py.Empty("f4"))), 65, "obs cannot be read"),
    "obs of no known kind": Case(attribute("obs", "encoding-type", "evil"), 65, "obs cannot be read"),
    "obs of a number for a kind": Case(attribute("obs", "encoding-type", 7), 65, "obs cannot be read"),
    "obs of no known version": Case(attribute("obs", "encoding-version", "9.9.9"), 65, "obs cannot be read"),
    "no index": Case(without("obs/_index"), 65, "obs cannot be read"),
    "an index of another name": Case(attribute("obs", "_index", "nowhere"), 65, "no index 'nowhere'"),
    "an index that is a number": Case(attribute("obs", "_index", 3), 65, "obs cannot be read"),
    "an index that leads out": Case(attribute("obs", "_index", "/X/data"), 65, "no index '/X/data'"),
    "an index of two axes": Case(put("obs/_index", np.full((31, 2), "a", TEXT)), 65, "obs cannot be read"),
    "too few names": Case(put("obs/_index", np.full(30, "a", TEXT)), 65, "obs has 30 rows"),
    "names not in UTF-8": Case(put("obs/_index", np.array([b"\xff\xfe"] * 31, TEXT)), 65, "obs cannot be read"),
    "a name of 10 MB": Case(
        put("obs/_index", np.array(["a" * 10_000_000] + ["b"] * 30, TEXT)), 65, "10,000,000 characters"
    ),
    "a gene name with a NUL": Case(put("var/_index", np.array([b"a\0b"] * 23)), 65, "holds a NUL byte"),
    "a label with a NUL": Case(column("a", np.array([b"a\0b"] * 31)), 65, "a text with a NUL byte"),
    "a column name of 5,000 characters": Case(column("a" * 5000, np.ones(31)), 65, "5,000 characters"),
    "columns of another kind": Case(attribute("obs", "column-order", 5), 65, "obs cannot be read"),
    "columns that are not there": Case(attribute("obs", "column-order", ["ghost"]), 65, "no column 'ghost'"),
    "columns that lead out": Case(attribute("obs", "column-order", ["../../X/data"]), 65, "no column '../../X/data'"),
    "a column too short": Case(column("a", np.ones(3)), 65, "obs cannot be read"),
    "a column of two axes": Case(column("a", np.ones((31, 2))), 65, "obs cannot be read"),
    "codes out of range": Case(column("a", codes([9] * 31, ["x"]), **CATEGORICAL), 65, "obs cannot be read"),
    "codes without categories": Case(
        column("a", {"codes": np.zeros(31, "i1")}, **CATEGORICAL), 65, "obs cannot be read"
    ),
    "a category twice": Case(column("a", codes([0] * 31, ["x", "x"]), **CATEGORICAL), 65, "obs cannot be read"),
}
CASES = {**LINKED, **CLAIMED, **CUT, **MATRIX, **FRAMES}
