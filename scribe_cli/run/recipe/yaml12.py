"""YAML with the scalars of YAML 1.2 and the place of every node: `1e-3` is a number, `no` a string.

PyYAML's events are read directly: tags, aliases, keys that stand twice and several documents are refused here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from ...errors import BadRecipe

LARGEST_DOCUMENT = 1 << 20  # bytes
DEEPEST_NESTING = 20

Path = tuple[str | int, ...]
Place = tuple[int, int]  # line and column, both from 1

NULL = re.compile(r"~|null|Null|NULL|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
# Python refuses to read integers of thousands of digits: those become floats
INT = re.compile(r"[-+]?[0-9]{1,300}")
OCT = re.compile(r"0o[0-7]{1,300}")
HEX = re.compile(r"0x[0-9a-fA-F]{1,300}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INF = re.compile(r"([-+]?)\.(inf|Inf|INF)")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS_OF_YAML_1_1 = ("y", "n", "yes", "no", "on", "off")
NAN = re.compile(r"\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Document:
    """A document as Python values, and where each key and each value of it stands, by path."""

    value: Any
    keys: Mapping[Path, Place] = field(default_factory=dict)
    values: Mapping[Path, Place] = field(default_factory=dict)


def scalar(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2."""
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text) or FALSE.fullmatch(text):
        return text.lower() == "true"
    for form, base in ((INT, 10), (OCT, 8), (HEX, 16)):
        if form.fullmatch(text):
            return int(text, base)
    if FLOAT.fullmatch(text):
        return float(text)
    if sign := INF.fullmatch(text):
        return -math.inf if sign[1] == "-" else math.inf
    return math.nan if NAN.fullmatch(text) else text


def parse(text: str, name: str) -> Document:
    """The one document in `text`; `name` stands before line and column in errors (BadRecipe)."""
    if len(text) > LARGEST_DOCUMENT:
        raise BadRecipe(
            f"{name}: {len(text):,} characters are more than a recipe may have ({LARGEST_DOCUMENT:,}); shorten it"
        )
    builder = _Builder(name, {}, {})
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        value = builder.document(events)
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark)
        raise BadRecipe(f"{_at(name, place)}: not valid YAML, {error.problem}; correct the line") from None
    except yaml.YAMLError as error:
        raise BadRecipe(f"{name}: not valid YAML, {' '.join(str(error).split())}; write plain text") from None
    return Document(value, builder.keys, builder.values)


def flow(value: Any) -> str:
    """A value on one line, such that `parse` gives it back."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[str(value)]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{word(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return word(str(value))


def block(mapping: Mapping[str, Any]) -> str:
    """A recipe's mapping, one key a line, blocks indented."""
    lines = []
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{word(key)}:", *(f"  {word(k)}: {flow(v)}" for k, v in value.items())]
        else:
            lines.append(f"{word(key)}: {flow(value)}")
    return "".join(f"{line}\n" for line in lines)


def word(text: str) -> str:
    """Text as it is where every reader of YAML takes it for text, else in quotes."""
    if WORD.fullmatch(text) and scalar(text) == text and text.lower() not in WORDS_OF_YAML_1_1:
        return text
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).rstrip("\n")


def _place(mark: yaml.Mark) -> Place:
    return mark.line + 1, mark.column + 1


def _at(name: str, place: Place) -> str:
    return f"{name}:{place[0]}:{place[1]}"


@dataclass(frozen=True)
class _Builder:
    """Values from events, noting the places on the way."""

    name: str
    keys: dict[Path, Place]
    values: dict[Path, Place]

    def document(self, events: Iterator[yaml.Event]) -> Any:
        next(events)  # the start of the stream
        event = next(events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._node(next(events), events, ())
        next(events)  # the end of the document
        event = next(events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise self._refusal(event, "a second document begins", "keep one")
        return value

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent):
            raise self._refusal(event, f"the alias *{event.anchor} is not allowed", "write the value out")
        self._check_tag(event)
        if len(path) > DEEPEST_NESTING:
            raise self._refusal(event, f"nested more than {DEEPEST_NESTING} deep", "no key of a recipe needs that")
        self.values[path] = _place(event.start_mark)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        plain = event.style is None and event.tag is None
        return scalar(event.value) if plain else event.value

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refusal(event, "a key must be plain text", "write the key as a word")
            self._check_tag(event)
            key = event.value
            if key in found:
                line = self.keys[*path, key][0]
                raise self._refusal(event, f"the key {key} stands twice, first in line {line}", "keep one")
            self.keys[*path, key] = _place(event.start_mark)
            found[key] = self._node(next(events), events, (*path, key))
        return found

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            found.append(self._node(event, events, (*path, len(found))))
        return found

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        if event.tag not in (None, "!"):
            raise self._refusal(event, f"the tag {event.tag} is not allowed", "remove it; values are read as YAML 1.2")

    def _refusal(self, event: yaml.Event, reason: str, fix: str) -> BadRecipe:
        return BadRecipe(f"{_at(self.name, _place(event.start_mark))}: {reason}; {fix}")
