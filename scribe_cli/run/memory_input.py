"""What the Python API takes for data: a path, or an AnnData in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ScribeError, UsageError

if TYPE_CHECKING:
    import anndata


@contextmanager
def as_path(data: anndata.AnnData | str | os.PathLike, tell: Callable[[str], None]) -> Iterator[Path]:
    """The data as a file for as long as the context is open; `tell` is told what of an AnnData has no place in one.

    Errors about that file say "AnnData" instead of its name.
    """
    if isinstance(data, str | os.PathLike):
        yield Path(data)
        return
    import anndata

    if not isinstance(data, anndata.AnnData):
        raise UsageError(f"data: a {type(data).__name__} is neither an AnnData nor the path of a count matrix")
    from ..io.memory import laid_down

    with laid_down(data) as (path, notices):
        for notice in notices:
            tell(notice)
        try:
            yield path
        except ScribeError as error:
            raise type(error)(str(error).replace(str(path), "AnnData"), key=error.key) from None
