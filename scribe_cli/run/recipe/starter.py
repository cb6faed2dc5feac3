"""The commented starter that `recipe init` prints: every key that works, at its default."""

from __future__ import annotations

import textwrap

from pydantic.fields import FieldInfo

from ...core.model.refusals import NOT_YET
from ...core.model.shorthand import MODELS
from ...errors import listed
from . import yaml12
from .config import FIELDS, SHAPE

WIDTH = 80
HEAD = """\
# A recipe of scribe. Above each key stands what it is for, and what it may be.
# To set a key, remove the # before it; the values shown are the defaults.
# Scalars are those of YAML 1.2: 1e-3 is a number, no is a word.
"""


def starter() -> str:
    """A recipe that resolves as it stands."""
    model = _comment(f"{FIELDS['model'].description}; this one must be set") + _comment(f"  {listed(MODELS)}")
    blocks_last = sorted(FIELDS, key=_in_block)
    lines = [_lines(key, FIELDS[key]) for key in blocks_last if key != "model" and not _later(key)]
    return "".join([HEAD, "\n", model, "model: nbvcp\n", *lines])


def _in_block(key: str) -> bool:
    return "." in key or bool(SHAPE[key])


def _later(key: str) -> bool:
    return any(key == later or key.startswith(f"{later}.") for later in NOT_YET)


def _lines(key: str, field: FieldInfo) -> str:
    name = key.rpartition(".")[2]
    if SHAPE.get(key):
        return f"\n{_comment(field.description)}{name}:\n"
    indent = "  " if "." in key else ""
    about = _comment(field.description, indent) + _comment(f"  {field.title}", indent)
    return f"\n{about}{indent}#{name}: {yaml12.flow(field.default)}\n"


def _comment(text: str, indent: str = "") -> str:
    before = f"{indent}# "
    margin = " " * (len(text) - len(text.lstrip()))
    return textwrap.fill(text, WIDTH, initial_indent=before, subsequent_indent=before + margin) + "\n"
