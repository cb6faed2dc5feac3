"""What overrides a recipe: dotted keys, where each value of the merged tree came from.

A shape says which keys there are: {key: None for a value, {} for a mapping of free keys, {...} for a block}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import BadRecipe, did_you_mean
from . import yaml12
from .recipe_file import Source, gene_names

Shape = Mapping[str, "Shape | None"]
KeyPath = tuple[str, ...]


def split(dotted: str, shape: Shape) -> KeyPath:
    """The path of a dotted key; under a mapping of free keys the rest is one key, dots and all."""
    path: KeyPath = ()
    rest, level = dotted, shape
    while True:
        head, _, rest = rest.partition(".")
        if level is None or head not in level:
            raise BadRecipe(f"unknown key {dotted}{nearest(dotted, shape)}; correct or remove it", key=dotted)
        path, level = (*path, head), level[head]
        if not rest:
            return path
        if level == {}:
            return (*path, rest)


def nearest(dotted: str, shape: Shape) -> str:
    """The did-you-mean of an unknown key: a similar key, or the same one inside a block."""
    known = list(dotted_keys(shape))
    last = dotted.rpartition(".")[2]
    inside = [key for key in known if key.endswith(f".{last}")]
    return f' (did you mean "{inside[0]}"?)' if inside else did_you_mean(dotted, known)


def dotted_keys(shape: Shape, before: str = "") -> Iterator[str]:
    for name, below in shape.items():
        yield before + name
        if below:
            yield from dotted_keys(below, f"{before}{name}.")


def leaves(tree: Mapping[str, Any], shape: Shape, before: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """(path, value) of each value of a tree: blocks and mappings of free keys are unfolded."""
    for name, value in tree.items():
        below = shape.get(name)
        if below is not None and isinstance(value, Mapping) and (value or below):
            yield from leaves(value, below, (*before, name))
        else:
            yield (*before, name), value


def apply(source: Source, overrides: Mapping[str, Any], shape: Shape) -> tuple[dict[str, Any], Source]:
    """The recipe's tree with `overrides` in place, and its source with the origin of each value."""
    tree = _without_empty_blocks(_copied(source.document.value), shape)
    overridden = []
    for dotted, value in overrides.items():
        for path, leaf in _unfolded(dotted, value, shape, source.above):
            _put(tree, path, _copied(leaf), source.above)
            overridden.append(path)
    origins = {
        ".".join(path): source.above if any(path[: len(o)] == o for o in overridden) else "recipe"
        for path, _ in leaves(tree, shape)
    }
    source = replace(source, origins=origins)
    _read_gene_file(tree, source)
    return tree, source


def _copied(value: Any) -> Any:
    """A copy as YAML has it: a caller's tuples are lists."""
    if isinstance(value, Mapping):
        return {str(k): _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list | tuple) else value


def _without_empty_blocks(tree: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """A block whose keys are all commented out is null: nothing is set in it."""
    return {k: v for k, v in tree.items() if v is not None or shape.get(k) is None}


def _unfolded(dotted: str, value: Any, shape: Shape, origin: str) -> Iterator[tuple[KeyPath, Any]]:
    """A mapping given for a block sets the keys it names; any other value replaces what stands there."""
    try:
        path = split(dotted, shape)
        if len(path) == 1 and shape[path[0]] and isinstance(value, Mapping):
            for key, inner in value.items():
                yield split(f"{dotted}.{key}", shape), inner
        else:
            yield path, value
    except BadRecipe as error:
        raise BadRecipe(f"{origin}: {error}", key=error.key) from None


def _put(tree: dict[str, Any], path: KeyPath, value: Any, origin: str) -> None:
    node = tree
    for depth, part in enumerate(path[:-1], 1):
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            key, around = ".".join(path), ".".join(path[:depth])
            raise BadRecipe(
                f"{origin}: {key}: {around} is {yaml12.flow(node)} in the recipe, no mapping; set all of {around}",
                key=key,
            )
    node[path[-1]] = value


def _read_gene_file(tree: dict[str, Any], source: Source) -> None:
    """The names in place of the file: the resolved recipe must not change with it.

    A path in a recipe is relative to the recipe's folder, one given above it to the current one.
    """
    data = tree.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("genes"), str):
        return
    path = ("data", "genes")
    from_recipe = source.origin("data.genes") == "recipe" and source.folder is not None
    folder = source.folder if from_recipe else Path()
    data["genes"] = gene_names(folder / data["genes"], source.place_of(path))
