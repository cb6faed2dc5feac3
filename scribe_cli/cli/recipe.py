"""`scribe recipe`: what can be written in a recipe, and what one means."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import click

from ..run.options import Machine, RecipeOptions
from ..run.terminal.console import Console
from ..run.terminal.table import deliver
from . import options

of_a_recipe = options.together(
    options.recipe_argument, options.data_for, options.settings, options.reading, options.machine, options.speech
)


def verb() -> ModuleType:
    """Loaded when a command runs: help and completion do without."""
    from ..run import recipes

    return recipes


@click.group("recipe")
def command() -> None:
    """List, check, explain and start recipes."""


@command.command("list")
@options.speech
@click.pass_obj
def listing(console: Console) -> None:
    """The bundled recipes."""
    deliver([verb().listing()], "table", None, console)


@command.command()
@options.bundled_argument
@options.speech
@click.pass_obj
def show(console: Console, name: str) -> None:
    """A bundled recipe, as it is written."""
    console.result(verb().show(name).rstrip("\n"))


@command.command()
@of_a_recipe
@click.pass_obj
def check(console: Console, recipe: str, **given) -> None:
    """What is wrong in a recipe, with its line.

    With --data: whether those data can be fitted with it.
    """
    console.result(verb().check(_asked(recipe, **given), console))


@command.command()
@of_a_recipe
@click.pass_obj
def explain(console: Console, recipe: str, **given) -> None:
    """The model of a recipe, written out.

    Its equations, a table of what is sampled, and how the likelihood is summed; with --data the sizes too.
    """
    equations, sites, likelihood = verb().explain(_asked(recipe, **given), console)
    console.result(f"{equations}\n")
    deliver([sites], "table", None, console)
    console.result(f"\n{likelihood}")


@command.command()
@options.speech
@click.pass_obj
def init(console: Console) -> None:
    """A commented recipe to start from."""
    console.result(verb().starter().rstrip("\n"))


@command.command()
@options.speech
@click.pass_obj
def schema(console: Console) -> None:
    """The JSON Schema of recipes, for editors."""
    console.result(verb().schema())


def _asked(recipe: str, data: Path | None, settings: tuple[str, ...], transpose: bool, **given) -> RecipeOptions:
    overrides = options.overrides(settings, data_layer=given["layer"], dataset_key=given["dataset_key"])
    return RecipeOptions(recipe, overrides, data, Machine(given["device"], given["threads"]), transpose)
