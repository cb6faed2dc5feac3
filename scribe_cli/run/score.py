"""`scribe score`: the log-likelihood of data at given parameters, or at the MAP of a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.model.spec import ModelSpec
from ..data.counts import CountData
from ..errors import BadData, listed
from . import device, fitted_data, params, reading
from .options import ScoreOptions
from .recipe import config
from .terminal.console import Console
from .terminal.table import Table


def score(asked: ScoreOptions, console: Console) -> Table:
    """Rows of cell or gene with their log-likelihood, or the one total."""
    return as_table(*scored(asked, console), asked.by)


def scored(asked: ScoreOptions, console: Console):
    """(Scores, the CountData they are of)."""
    console.tell(device.start(asked.machine))
    from ..core.analysis import pointwise

    counts, spec, natural, facts = (_at_fit if asked.fit else _at_params)(asked, console)
    with console.phase("score"):
        return pointwise.score(spec, natural, facts, counts.chunks()), counts


def as_table(scores, counts: CountData, by: str) -> Table:
    if by == "total":
        return Table(("log_likelihood",), [(scores.total,)], header=False)
    names, values = (counts.cell_names, scores.cell) if by == "cell" else (counts.gene_names, scores.gene)
    return Table((by, "log_likelihood"), zip(map(str, names), map(float, values), strict=True))


def _at_params(asked: ScoreOptions, console: Console):
    from ..core.analysis import parameters
    from ..data.facts import facts_of

    recipe = config.load(asked.recipe, asked.overrides, several=len(asked.data) > 1)
    spec = recipe.resolve()
    given = params.read(asked.params)
    with console.phase("read"):
        counts = reading.read(asked.data, recipe, asked.transpose, console)
    facts = facts_of(counts, spec)
    with params.of_file(asked.params):
        return counts, spec, parameters.natural_of(spec, given, facts), facts


def _at_fit(asked: ScoreOptions, console: Console):
    from ..io.stored import open_fit

    stored = open_fit(asked.fit)
    own = fitted_data.recipe_of(stored, asked.overrides, several=len(asked.data) > 1)
    with console.phase("read"):
        counts, _ = fitted_data.read(stored, own, asked.data, asked.transpose, console)
    return at_map(stored, counts if asked.genes is None else _of_genes(counts, asked.genes))


def _of_genes(counts: CountData, names: Sequence[str]) -> CountData:
    place = {name: i for i, name in enumerate(counts.gene_names)}
    missing = [name for name in names if name not in place]
    if missing:
        text = f"{counts.source.path}: {len(missing)} of the genes are not there: {listed(missing, 5)}; leave them out"
        raise BadData(text)
    return fitted_data.on_genes(counts, np.array([place[name] for name in names]))


def at_map(stored, counts: CountData):
    """(counts, spec, natural, facts) of data at a stored fit's MAP, cells and genes matched by name."""
    from ..core.analysis.pointwise import of_cells
    from ..core.axes import CELL, GENE
    from ..core.model import program
    from ..data.facts import facts_of
    from . import redraw

    spec: ModelSpec = stored.spec
    genes = fitted_data.places(stored.coords[GENE], counts.gene_names, "genes", counts)
    x = program.from_thetas(spec, redraw.point(stored))
    x = {name: v[..., genes] if v.shape[-1] > 1 else v for name, v in x.items()}
    natural = program.natural(spec, x)
    if spec.per_cell:
        natural = of_cells(natural, fitted_data.places(stored.coords[CELL], counts.cell_names, "cells", counts))
    return counts, spec, natural, facts_of(counts, spec)
