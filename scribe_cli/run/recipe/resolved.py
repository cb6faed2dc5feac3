"""recipe.resolved.yaml: a recipe made complete, each value with its origin; itself a recipe that gives the same fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.model.resolve import resolve
from ...core.model.spec import ModelSpec, ParamSpec
from ...errors import BadRecipe
from . import yaml12
from .config import SHAPE, Config
from .overrides import leaves

COMMENT_COLUMN = 44
HEAD = "# Every key with its value, and where that is from.\n"


def resolved(config: Config) -> dict[str, Any]:
    """The complete recipe as a mapping, first spellings, with each prior that a recipe may name. Raises BadRecipe."""
    spec = config.resolve()
    priors = config.priors | {p.name: own for p in spec.params if (own := _own_prior(config, spec, p)) is not None}
    return config.model_dump() | {"parameterization": spec.parameterization, "priors": priors}


def _own_prior(config: Config, spec: ModelSpec, param: ParamSpec) -> list[float] | None:
    """Its numbers, if with them under `priors` the recipe describes the same model: data and hierarchies bring others."""
    numbers = [value for value in param.prior.innermost.args.values() if not isinstance(value, str)]
    given = config.given()
    try:
        same = resolve(given | {"priors": given.get("priors", {}) | {param.name: numbers}}) == spec
    except BadRecipe:
        return None
    return numbers if same else None


def resolved_text(config: Config, run_id: str | None = None) -> str:
    """recipe.resolved.yaml."""
    head = f"# run_id: {run_id}\n{HEAD}" if run_id else HEAD
    notes = {"priors.organism": _note(config.resolve())} if "organism" in config.priors else {}
    lines = (
        f"{text}\n" if key is None else f"{text:<{COMMENT_COLUMN}} # {config.source.origin(key)}{notes.get(key, '')}\n"
        for key, text in _lines(resolved(config))
    )
    return head + "".join(lines)


def _note(spec: ModelSpec) -> str:
    """What an organism stands for."""
    prior = next(p.prior for p in spec.params if p.prior.family == "library_size")
    return f"; log_M0 {spec.log_M0:.6g}, sigma_M {prior.args['sigma_M']:g}"


def _lines(tree: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """(dotted key, or None for the head of a block, text of the line)."""
    around: tuple[str, ...] = ()
    for path, value in leaves(tree, SHAPE):
        for depth in range(len(path) - 1):
            if path[: depth + 1] != around[: depth + 1]:
                yield None, f"{'  ' * depth}{yaml12.word(path[depth])}:"
        around = path[:-1]
        yield ".".join(path), f"{'  ' * len(around)}{yaml12.word(path[-1])}: {yaml12.flow(value)}"
