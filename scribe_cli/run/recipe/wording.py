"""What the schema refuses, in one line: place, key, what was expected, what was found, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import BadRecipe, did_you_mean
from . import yaml12
from .overrides import Shape, nearest
from .recipe_file import Source

LONGEST_VALUE = 60  # characters of a wrong value that are shown
TWICE = "stands_twice"  # the type of the error of a list that names one thing more than once

# {dotted key: (what it may be, its default as text or None where there is none)}
Expectations = Mapping[str, tuple[str, str | None]]


def refusal(
    errors: Sequence[Mapping[str, Any]], source: Source, tree: dict, shape: Shape, expected: Expectations
) -> BadRecipe:
    """The first of a schema's errors; a key that is unknown comes before one that is missing."""
    order = {"extra_forbidden": 0, "missing": 2}
    first = min(errors, key=lambda e: order.get(e["type"], 1))
    fields = [_field(_path(e["loc"], tree), expected) for e in errors]
    wrong = set(fields)
    # where a value may be one of several kinds there is an error for each: the deepest is of the kind that was meant
    meant = [e for e, field in zip(errors, fields, strict=True) if field == fields[errors.index(first)]]
    error = max(meant, key=lambda e: (len(_path(e["loc"], tree)), e["type"] == TWICE, "expected" in e.get("ctx", {})))
    path = _path(error["loc"], tree)
    more = f" ({len(wrong) - 1} more after this one)" if len(wrong) > 1 else ""
    if error["type"] == "missing":
        key = ".".join(map(str, error["loc"]))
        return BadRecipe(f"{source.name}: {key} is not set; write {key}: with {expected[key][0]}{more}", key=key)
    key = ".".join(map(str, path))
    if error["type"] == "extra_forbidden":
        place = source.place_of(path)
        return BadRecipe(f"{place}: unknown key {key}{nearest(key, shape)}; correct or remove it{more}", key=key)
    return BadRecipe(f"{source.place_of(path, of_value=True)}: {_wrong(error, path, expected)}{more}", key=key)


def _wrong(error: Mapping[str, Any], path: tuple, expected: Expectations) -> str:
    """KEY: expected ..., found ...; what to do."""
    key = _field(path, expected)
    if error["type"] == TWICE:
        return f"{key}: {_cut(error['ctx']['name'])} stands twice; leave one out"
    what, default = expected[key]
    inside = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    where = f" in {inside}" if inside != key else ""
    choices = re.findall(r"'([^']*)'", error.get("ctx", {}).get("expected", ""))
    close = did_you_mean(error["input"], choices) if isinstance(error["input"], str) else ""
    fix = "correct it" if default is None else f"correct it, or remove the key (default {default})"
    return f"{key}: expected {what}, found {_found(error['input'])}{close}{where}; {fix}"


def _field(path: tuple, expected: Expectations) -> str:
    """The key of the schema that a path is of, or lies in; of an unknown key, itself."""
    keys = [".".join(map(str, path[:end])) for end in range(len(path), 0, -1)]
    return next((key for key in keys if key in expected), keys[0] if keys else "")


def _path(loc: Sequence[str | int], tree: Any) -> tuple[str | int, ...]:
    """The part of an error's location that is in the tree: pydantic puts names of types between."""
    path: list[str | int] = []
    for part in loc:
        inside = (isinstance(tree, dict) and part in tree) or (isinstance(tree, list) and isinstance(part, int))
        if inside:
            path.append(part)
            tree = tree[part]
    return tuple(path)


def _found(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f'the text "{_cut(value)}"'
    return {dict: "the mapping ", list: "the list "}.get(type(value), "") + _cut(yaml12.flow(value))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
