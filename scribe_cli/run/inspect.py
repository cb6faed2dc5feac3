"""`scribe inspect`: what is in a file, what is wrong with it, and a recipe that suits it. Loads no jax."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..data import inspection
from ..data.source import Source
from ..errors import BadData
from . import device
from .inspecting import found, genes, matrices, problems, suggest
from .inspecting.found import Counts
from .inspecting.matrices import Matrix
from .inspecting.report import Report
from .options import InspectOptions, Machine, stem
from .terminal.console import Console


def inspect(asked: InspectOptions, console: Console) -> Report:
    """Errors: 65 where no matrix can be read, or the data lack a layer or column that was asked for; 66; 69."""
    _settle(asked.machine)
    with console.phase("read"):
        source = matrices.opened(asked.data, asked.layer, asked.transpose)
        there = list(matrices.described(source))
        if not any(m.seen for m in there):
            raise BadData(there[0].reason)
        there, counts = _counted(source, there, asked)
    for notice in source.notices:
        console.notice(notice)
    said = [*problems.of_matrices(there, counts), *(problems.of_counts(counts) if counts else ())]
    recipe = suggest.recipe(counts) if counts else ""
    return Report(source, there, counts, said, recipe, _command(asked) if counts else "")


def _settle(machine: Machine) -> None:
    """Nothing is computed, but a machine that is not there is an error here as everywhere."""
    device.asked_threads(machine)
    if device.asked_device(machine) == "gpu":
        device.start(machine)


def _counted(source: Source, there: Sequence[Matrix], asked: InspectOptions) -> tuple[list[Matrix], Counts | None]:
    """All matrices, those that are read whole told anew; and the first of the likely ones that is counts throughout."""
    told = {m.element: m for m in there}
    for matrix in matrices.in_order(there, None if asked.layer is None else source.element):
        at = source if matrix.element == source.element else source.reopen(matrix.element)
        marked = genes.masks(at.var)
        tour = inspection.tour(at, marked)
        told[matrix.element] = matrices.told(matrix, tour.values)
        if tour.values.counts:
            seen = found.columns_of(at, tour, asked.dataset_key)
            return list(told.values()), Counts(at, told[matrix.element], tour, marked, seen, asked.dataset_key)
    return list(told.values()), None


def _command(asked: InspectOptions) -> str:
    """What fits the recipe, once it is in a file."""
    name = f"{stem(asked.data)}.yaml"
    turned = " --transpose" if asked.transpose else ""
    return f"scribe fit {shlex.quote(str(asked.data))} --recipe {shlex.quote(name)}{turned}"
