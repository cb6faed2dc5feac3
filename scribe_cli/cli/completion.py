"""What a shell is offered for a recipe and for a fit; commands, options and choices click completes by itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..run.recipe.recipe_file import bundled

RESULTS = ("fit.h5ad", "fit.zarr")


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Bundled names and the recipes of this folder; else files."""
    here = [str(path) for ending in ("yaml", "yml") for path in Path().glob(f"*.{ending}")]
    return _offered((*bundled(), *sorted(here)), incomplete)


def bundled_recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _offered(bundled(), incomplete)


def fits(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories that hold a fit; else files."""
    before = incomplete[: incomplete.rfind("/") + 1]
    found = {path.parent.name for name in RESULTS for path in Path(before).glob(f"*/{name}")}
    return _offered(sorted(before + name for name in found), incomplete)


def _offered(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]
