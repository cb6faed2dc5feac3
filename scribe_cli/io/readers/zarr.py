"""AnnData in a Zarr directory, format 2 or 3."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import zarr

from ...data.source import Source
from ...errors import BadData
from .. import plain_zarr
from ._anndata import Store, is_anndata, open_anndata
from ._reader import Reader

MARKS = (".zgroup", "zarr.json")


def recognises(path: Path) -> bool:
    """A Zarr directory with obs and var. BadData for one that is damaged or not what it looks like."""
    if not any((path / mark).exists() for mark in MARKS):
        return False
    plain_zarr.check(path)
    with opened(path) as root:
        return is_anndata(root)


def open_zarr(path: Path, layer: str | None, transpose: bool) -> Source:
    source = open_anndata(Store(path, "zarr", opened), layer, transpose)
    _refuse_gaps(path, source.element)
    return replace(source, reopen=lambda name: open_zarr(path, name, transpose))


@contextmanager
def opened(path: Path) -> Iterator[zarr.Group]:
    """The root group, read from the metadata beside the arrays, never from a consolidated copy that may be old."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes on codecs outside the format's specification
            yield zarr.open_group(str(path), mode="r", use_consolidated=False)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zlib.error) as error:
        text = " ".join(str(error).split())
        raise BadData(f"{path} is a damaged Zarr directory ({type(error).__name__}: {text}); copy it again") from error


def _refuse_gaps(path: Path, element: str) -> None:
    """A chunk that is missing reads as zeros. Values stored of a sparse matrix are none, so there it is a loss."""
    with opened(path) as root:
        if isinstance(root[element], zarr.Array):
            return
    claim = plain_zarr.claim(path, f"{element}/data")
    if claim.written < claim.chunks:
        raise BadData(
            f"{path} ({element}/data) has {claim.written:,} of its {claim.chunks:,} chunks, the others are lost; copy "
            "it again"
        )


MEMBER = Reader("zarr", "AnnData .zarr directories", recognises, open_zarr)
