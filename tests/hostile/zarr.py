"""Zarr directories that lead out of themselves, run code, claim what they do not hold, or are damaged."""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests import forms

from .case import Case, fit


def damaged(damage: Callable[[Path], object], version: int = 2, make=None) -> Callable[[Path], list[str]]:
    """A fit of an AnnData Zarr that `damage` has changed."""

    def made(folder: Path) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = forms.zarr(folder, version, *([make] if make else []))
        damage(path)
        return fit(path.name)

    return made


def metadata(key: str, version: int = 2, **changes) -> Callable[[Path], list[str]]:
    """Other metadata of an array."""

    def damage(path: Path) -> None:
        file = path / key / (".zarray" if version == 2 else "zarr.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return damaged(damage, version)


def attributes(key: str, **changes) -> Callable[[Path], list[str]]:
    def damage(path: Path) -> None:
        file = path / key / ".zattrs"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return damaged(damage)


def linked(key: str) -> Callable[[Path], list[str]]:
    """What lies at a key moved out of the directory, a symlink in its place."""

    def damage(path: Path) -> None:
        os.rename(path / key, path.parent / "elsewhere")
        (path / key).symlink_to(path.parent / "elsewhere")

    return damaged(damage)


def written(key: str, content: bytes) -> Callable[[Path], list[str]]:
    return damaged(lambda path: (path / key).write_bytes(content))


def pipe(path: Path) -> None:
    (path / "X/data/0").unlink()
    os.mkfifo(path / "X/data/0")


def bomb(path: Path) -> None:
    """A chunk of 237 numbers that unpacks to 300 MB."""
    file = path / "X/data/.zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"compressor": {"id": "zlib", "level": 9}}))
    (path / "X/data/0").write_bytes(zlib.compress(bytes(300 << 20), 1))


def folder_for_chunk(path: Path) -> None:
    (path / "X/data/0").unlink()
    (path / "X/data/0").mkdir()


def without(key: str) -> Callable[[Path], list[str]]:
    def damage(path: Path) -> None:
        (shutil.rmtree if (path / key).is_dir() else os.unlink)(path / key)

    return damaged(damage)


def a_zip(path: Path) -> None:
    shutil.make_archive(str(path.parent / "packed"), "zip", path)
    shutil.rmtree(path)
    (path.parent / "packed.zip").rename(path)


def dangling(folder: Path) -> list[str]:
    (folder / "x.zarr").symlink_to("nowhere")
    return fit("x.zarr")


def codec(name: str, **configuration) -> list[dict]:
    return [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": name, "configuration": configuration}]


PICKLED = [{"id": "pickle", "protocol": 5}]
DEEP = b'{"a":' * 100_000
CASES = {
    "a chunk is a link": Case(linked("X/data/0"), 65, "X/data/0 is a link"),
    "a group is a link": Case(linked("obs"), 65, "obs is a link"),
    "metadata are a link": Case(linked(".zgroup"), 65, ".zgroup is a link"),
    "a chunk is a pipe": Case(damaged(pipe), 65, "X/data/0 is a pipe"),
    "a chunk is a folder": Case(damaged(folder_for_chunk), 65, "0 of its 1 chunks"),
    "a link to nothing": Case(dangling, 66, "no such file"),
    "a filter that unpickles": Case(metadata("X/data", filters=PICKLED), 65, "the codec pickle"),
    "names that unpickle": Case(metadata("obs/_index", filters=PICKLED), 65, "the codec pickle"),
    "a compressor that unpickles": Case(metadata("X/indptr", compressor=PICKLED[0]), 65, "the codec pickle"),
    "a codec that unpickles": Case(
        metadata("X/data", 3, codecs=codec("numcodecs.pickle", protocol=5)), 65, "the codec numcodecs.pickle"
    ),
    "a codec in a shard that unpickles": Case(
        metadata("X/data", 3, codecs=codec("sharding_indexed", chunk_shape=[9], codecs=codec("pickle"))),
        65,
        "the codec pickle",
    ),
    "a codec of no name": Case(metadata("X/data", 3, codecs=[3]), 65, "the codec 3"),
    "a compressor of no kind": Case(metadata("X/data", compressor="zlib"), 65, "damaged Zarr directory"),
    "zarr: 40 GB": Case(metadata("X/data", shape=[10**10]), 65, "X/data claims 40.00 GB"),
    "zarr: 40 GB, format 3": Case(metadata("X/data", 3, shape=[10**10]), 65, "X/data claims 40.00 GB"),
    "zarr: names without end": Case(metadata("obs/_index", shape=[10**12], chunks=[10**12]), 65, "obs/_index claims"),
    "zarr: a vast chunk": Case(metadata("X/data", chunks=[10**10]), 65, "a chunk of X/data claims 40.00 GB"),
    "zarr: a vast value": Case(metadata("obs/_index", dtype="|S1000000000", filters=None), 65, "obs/_index claims"),
    "zarr: a million chunks": Case(metadata("X/data", shape=[10**6], chunks=[1]), 65, "of the 1,000,000 chunks"),
    "zarr: a chunk that is a bomb": Case(damaged(bomb), 65, "is to hold 948 bytes"),
    "zarr: a shape below zero": Case(metadata("X/data", shape=[-3]), 65, "metadata make no sense"),
    "zarr: a shape of a fraction": Case(metadata("X/data", shape=[3.5]), 65, "metadata make no sense"),
    "zarr: a shape of words": Case(metadata("X/data", shape="many"), 65, "metadata make no sense"),
    "zarr: chunks of nothing": Case(metadata("X/data", chunks=[0]), 65, "metadata make no sense"),
    "zarr: chunks of two axes": Case(metadata("X/data", chunks=[5, 5]), 65, "metadata make no sense"),
    "zarr: a type of no kind": Case(metadata("X/data", dtype="evil"), 65, "metadata make no sense"),
    "zarr: objects": Case(metadata("X/data", dtype="|O", filters=None), 65, "damaged Zarr directory"),
    "zarr: no JSON": Case(written("X/data/.zarray", b"{"), 65, ".zarray is damaged"),
    "zarr: JSON without end": Case(written("X/data/.zarray", DEEP), 65, ".zarray is damaged"),
    "zarr: JSON of another kind": Case(written("X/data/.zarray", b"[]"), 65, ".zarray is damaged"),
    "zarr: attributes that are no JSON": Case(written("obs/.zattrs", b"\xff"), 65, "damaged Zarr directory"),
    "zarr: attributes without end": Case(written("obs/.zattrs", DEEP), 65, "damaged Zarr directory"),
    "zarr: a lost chunk": Case(without("X/data/0"), 65, "0 of its 1 chunks"),
    "zarr: lost pointers": Case(without("X/indptr/0"), 65, "not upwards from 0"),
    "zarr: lost names": Case(without("obs/_index"), 65, "no index '_index'"),
    "zarr: no X": Case(without("X"), 65, "has no X"),
    "zarr: a cut chunk": Case(damaged(lambda p: os.truncate(p / "X/data/0", 30)), 65, "damaged Zarr directory"),
    "zarr: an empty chunk": Case(written("X/indices/0", b""), 65, "damaged Zarr directory"),
    "zarr: noise for a chunk": Case(
        written("X/indices/0", np.random.default_rng(0).bytes(300)), 65, "damaged Zarr directory"
    ),
    "zarr: noise for names": Case(
        written("obs/_index/0", np.random.default_rng(0).bytes(300)), 65, "damaged Zarr directory"
    ),
    "zarr: columns that lead out": Case(attributes("obs", **{"column-order": ["../../../x"]}), 65, "no column '../../"),
    "zarr: an index that leads out": Case(attributes("obs", _index="../var/_index"), 65, "no index '../var/_index'"),
    "zarr: an index of another kind": Case(attributes("obs", _index={"a": 1}), 65, "no index"),
    "zarr: a shape of X of words": Case(attributes("X", shape=["a", [2]]), 65, "shape is given as"),
    "zarr: an encoding of another kind": Case(attributes("X", **{"encoding-type": [1]}), 65, 'encoding ""'),
    "zarr: in a zip": Case(damaged(a_zip), 65, "unzip it"),
    "zarr: nothing but a mark": Case(
        damaged(lambda p: [shutil.rmtree(p / k) for k in ("obs", "var")]), 65, "has no obs"
    ),
}
