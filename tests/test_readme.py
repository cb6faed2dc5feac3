"""What the README shows is there: commands and options, recipe keys, files, exit codes, pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from scribe_cli import errors
from scribe_cli.cli.main import COMMANDS, scribe
from scribe_cli.core.model import parameterizations
from scribe_cli.core.model.derive import NAMES
from scribe_cli.io.schema import ENTRIES
from scribe_cli.run.options import setting
from scribe_cli.run.recipe import config
from scribe_cli.run.recipe.recipe_file import bundled
from scribe_cli.run.terminal.console import Console

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
SHOWN = re.findall(r"^```\w*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
IN_BLOCKS = re.findall(r'^\s*(?:"(scribe [^"]*)"|(scribe [a-z].*))$', "\n".join(SHOWN), re.MULTILINE)
LINES = [*map("".join, IN_BLOCKS), *re.findall(r"`(scribe [a-z][^`]*)`", TEXT)]


def parsed(line: str) -> click.Context:
    """The context of the command that a line names, its options parsed."""
    alone = re.split(r" [>|#] ", line)[0].replace("{threads}", "4")
    words = shlex.split(alone)[1:]
    context = scribe.make_context("scribe", words[:1], obj=Console())
    rest = words
    while isinstance(context.command, click.Group):
        name, command, rest = context.command.resolve_command(context, rest)
        group = isinstance(command, click.Group)
        context = command.make_context(name, rest[:1] if group else list(rest), parent=context)
    return context


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_command_with_its_options(line):
    given = parsed(line).params
    for text in given.get("settings", ()):
        config.load("nbvcp", dict([setting(text)])).resolve()
    recipe = given.get("recipe")
    assert recipe is None or recipe in bundled() or recipe.endswith((".yaml", "}", "FILE"))


def test_a_line_that_is_none_would_be_found():
    for line in ("scribe fot x", "scribe fit x --recipe nbdm --nonsense", "scribe recipe shw x", "scribe fit x"):
        with pytest.raises(click.UsageError):
            parsed(line)


def test_every_command_is_shown():
    assert {line.split()[1] for line in LINES} == set(COMMANDS)


def test_every_file_of_a_fit_is_named():
    names = [name for name in ENTRIES if name not in ("fit.zarr", "recipe.yaml")]  # of zarr input; as it was given
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", TEXT)] == []


def test_every_exit_code_is_said():
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    said = re.search(r"The exit code says what happened: (.*?)\.\n", TEXT, re.DOTALL).group(1)
    assert codes | {0, 137} == {int(n) for n in re.findall(r"(?:^|,\s)(\d+) ", said)}


def test_every_parameterization_and_bundled_recipe_is_named():
    for name in (*parameterizations.members(), *bundled()):
        assert f"`{name}`" in TEXT
    named = {code: words for code, words in re.findall(r"^\| [^|]*\| `(\w+)` \| (\w+) \|", TEXT, re.MULTILINE)}
    assert all(NAMES[code].descriptive == words for code, words in named.items()) and len(named) >= 8


def test_pictures_and_files_are_there():
    for path in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / path).exists(), path
