"""Content digests: equal content, equal digest, whatever the format, the dtype or the order of the chunks.

That of the counts is a sum mod 2^64 of mixes of (row, gene, count), so chunks merge by addition
(ENGINE.md, Statistics that merge); names and annotation are hashed on top.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

VERSION = b"scribe-content-1"
_ODD = tuple(np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xAEF17502108EF2D9))


def mixed(counts: csr_array, first_row: int) -> int:
    """Sum over the non-zeros of a mix of (row of the input, gene, count), mod 2^64."""
    rows = _mix(np.arange(first_row, first_row + counts.shape[0], dtype=np.uint64) * _ODD[0] + _ODD[1])
    genes = _mix(np.arange(counts.shape[1], dtype=np.uint64) * _ODD[1] + _ODD[2])
    entry = np.repeat(rows, np.diff(counts.indptr))
    entry += genes[counts.indices]
    entry += counts.data.astype(np.uint64) * _ODD[2]
    return int(_mix(entry).sum(dtype=np.uint64))


def merged(a: int, b: int) -> int:
    return (a + b) % 2**64


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), in place: every bit of x moves half of the bits."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return x


def content(counts: int, shape: tuple[int, int], obs: pd.DataFrame, var: pd.DataFrame) -> str:
    """The hex digest of an input: its counts' `mixed` sum, shape, names and annotation."""
    sha = hashlib.sha256(VERSION)
    sha.update(f"{shape[0]} {shape[1]} {counts}".encode())
    for frame in (obs, var):
        _add_text(sha, frame.index)
        for name in frame.columns:
            sha.update(f"\0{name}\0".encode())
            _add_column(sha, frame[name])
    return sha.hexdigest()


def _add_column(sha, column: pd.Series) -> None:
    if isinstance(column.dtype, pd.CategoricalDtype):
        _add_text(sha, column.cat.categories)
        sha.update(column.cat.codes.to_numpy(np.int32).tobytes())
    elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        sha.update(str(column.dtype).encode() + column.to_numpy().tobytes())
    else:
        _add_text(sha, column)


def _add_text(sha, values) -> None:
    sha.update("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))
