"""What the Python API takes for data: a path, several paths, or an AnnData in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ScribeError, UsageError

if TYPE_CHECKING:
    import anndata

    Data = anndata.AnnData | str | os.PathLike | Sequence[str | os.PathLike]


@contextmanager
def as_paths(data: Data, tell: Callable[[str], None]) -> Iterator[tuple[Path, ...]]:
    """The data as files for as long as the context is open; `tell` is told what of an AnnData has no place in one.

    Errors about that file say "AnnData" instead of its name.
    """
    if isinstance(data, str | os.PathLike):
        yield (Path(data),)
        return
    if isinstance(data, list | tuple) and data and all(isinstance(path, str | os.PathLike) for path in data):
        yield tuple(map(Path, data))
        return
    import anndata

    if not isinstance(data, anndata.AnnData):
        raise UsageError(f"data: a {type(data).__name__} is neither an AnnData nor the path of a count matrix, nor a list of paths")
    from ..io.memory import laid_down

    with laid_down(data) as (path, notices):
        for notice in notices:
            tell(notice)
        try:
            yield (path,)
        except ScribeError as error:
            raise type(error)(str(error).replace(str(path), "AnnData"), key=error.key) from None
