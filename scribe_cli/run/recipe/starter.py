"""The commented starter that `recipe init` prints: every key that works, at its default."""

from __future__ import annotations

from pydantic.fields import FieldInfo

from ...core.model.refusals import NOT_YET
from ...core.model.shorthand import MODELS, TWO_STATE
from . import yaml12
from .config import FIELDS, SHAPE

COMMENT_COLUMN = 44
HEAD = """\
# A recipe of scribe. Remove the # before a key to change it; the values shown are the defaults.
# Scalars are those of YAML 1.2: 1e-3 is a number, no is a word.

"""


def starter() -> str:
    """A recipe that resolves as it stands."""
    available = [m.name for m in MODELS.values() if m.kernel != TWO_STATE]
    lines = [_commented("model: nbvcp", f"{', '.join(available)}; this one must be set")]
    blocks_last = sorted(FIELDS, key=_in_block)
    lines += [_line(key, FIELDS[key]) for key in blocks_last if key != "model" and not _later(key)]
    return HEAD + "".join(lines)


def _in_block(key: str) -> bool:
    return "." in key or bool(SHAPE[key])


def _later(key: str) -> bool:
    return any(key == later or key.startswith(f"{later}.") for later in NOT_YET)


def _line(key: str, field: FieldInfo) -> str:
    name = key.rpartition(".")[2]
    if SHAPE.get(key):
        return f"\n# {field.description}\n{name}:\n"
    indent = "  " if "." in key else ""
    return _commented(f"{indent}# {name}: {yaml12.flow(field.default)}", f"{field.description} [{field.title}]")


def _commented(text: str, comment: str) -> str:
    return f"{text:<{COMMENT_COLUMN}} # {comment}\n"
