"""The Python API: `scribe_cli.fit` and `scribe_cli.load`, over the functions of the commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.stored import open_fit
from . import memory_input
from .fit import fit as fit_verb
from .options import FitOptions, Machine, output_folder
from .result import Result
from .terminal.console import Console

if TYPE_CHECKING:
    from .memory_input import Data

OF_THE_RUN = ("transpose", "key_added", "format", "overwrite")
OF_THE_MACHINE = ("device", "threads")


def fit(
    adata_or_path: Data,
    recipe_or_dict: str | os.PathLike | Mapping[str, Any],
    output: str | os.PathLike | None = None,
    **overrides: Any,
) -> Result:
    """Fit a model, as `scribe fit` does.

    adata_or_path: counts; an AnnData is not changed, a list of paths is a dataset each. recipe_or_dict: a recipe's path, a bundled name or a mapping.
    output: the directory OUT. None keeps the result "in memory": in a temporary directory (TMPDIR) that belongs to
    the Result and is removed with it, or when Python ends.
    overrides go before the recipe: `seed=1`, `svi={"n_steps": 100}` or `svi__n_steps=100` for svi.n_steps; the recipe's
    block `output` as `output__samples="none"`. transpose, key_added, format, overwrite, device and threads are those of
    the command.
    Warnings go to stderr. Jax is set to double precision. Errors are ScribeErrors, with the command's exit code.
    """
    from ..io.memory import Folder

    folder = Folder() if output is None else None
    out = folder.path / "fit" if folder else output_folder(Path(output), (), "")
    of_run = {name: overrides.pop(name) for name in OF_THE_RUN if name in overrides}
    of_machine = {name: overrides.pop(name) for name in OF_THE_MACHINE if name in overrides}
    keys = {name.replace("__", "."): value for name, value in overrides.items()}
    console = Console(quiet=True)
    with memory_input.as_paths(adata_or_path, console.warning) as paths:
        fit_verb(FitOptions(paths, recipe_or_dict, out, keys, Machine(**of_machine), overrides_from="argument", **of_run), console)
    return Result(open_fit(out), folder=folder)


def load(fit: str | os.PathLike) -> Result:
    """A finished fit: the directory OUT, or the fit.h5ad or fit.zarr in it."""
    return Result(open_fit(Path(fit)))
