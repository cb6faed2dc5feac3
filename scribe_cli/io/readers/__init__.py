"""Readers: one file a format. `open_source` recognises an input by its content and opens it."""

from __future__ import annotations

from pathlib import Path

from ...core import registry
from ...data.source import Source
from ...errors import BadData, InputMissing, IOFailure
from ._foreign import description
from ._names import check_names


def open_source(path: str | Path, layer: str | None = None, transpose: bool = False) -> Source:
    """One matrix of an input: X, or `layer` ("raw" is .raw); `transpose` turns genes x cells round.

    InputMissing if there is nothing at `path`; BadData if it is none of the formats read, or has no such layer.
    """
    path = Path(path)
    try:
        path.stat()
        reader = next((r for r in registry.load(__name__).values() if r.recognises(path)), None)
        if reader is None:
            read = "; ".join(r.reads for r in registry.load(__name__).values())
            raise BadData(f"{path} is {description(path)}; what is read: {read}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputMissing(f"{path}: no such file or directory; give the path of a count matrix") from error
    except OSError as error:
        raise IOFailure(f"{path} cannot be read: {error.strerror or error}") from error
    source = reader.open(path, layer, transpose)
    check_names(source)
    return source
