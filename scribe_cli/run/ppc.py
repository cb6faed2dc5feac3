"""`scribe ppc`: the counts that a fit was made of, or others, against what the fit predicts; nothing is fitted again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..core.axes import GENE
from ..errors import BadData, UsageError, listed
from ..io import predictive_check
from ..io.stored import StoredFit, open_fit
from . import device
from .options import BIOLOGICAL, MAP, PpcOptions
from .predictive import pictures
from .recipe import yaml12
from .terminal.console import Console

if TYPE_CHECKING:  # these import jax, which the device settings must precede
    from ..core.analysis.points import Points
    from ..core.analysis.predictive import GeneTables
    from .fitting.checking import Key
    from .predictive.counted import Counted
    from .redraw import Draws

TABLES = ("ppc_gene.tsv.gz", "ppc_hist.tsv.gz", "cell.tsv.gz")
OF_DATA = "acts on DATA, and none are given; leave it out"


@dataclass(frozen=True)
class Found:
    """parts: {cells: tables of the genes `at` (places among those counted)}; cells: columns of the cells' table."""

    at: np.ndarray
    parts: Mapping[Key, GeneTables]
    cells: Mapping[str, np.ndarray]

    @property
    def whole(self) -> GeneTables:
        """Of all cells, or of the one dataset asked for."""
        return next(iter(self.parts.values()))


def ppc(asked: PpcOptions, console: Console) -> None:
    """Write the directory. Errors: 2 for options that do not fit together, 65 and 66 for what is read, 73, 74, and 78 for
    more draws than chains hold."""
    _check(asked)
    stored = open_fit(asked.fit)
    if asked.genes is not None:
        stored.genes(asked.genes)
    n_histograms = pictures.WORST + pictures.WELL if asked.genes is None else min(len(asked.genes), pictures.MOST)
    predictive_check.refuse(asked.output, stored.out, [*TABLES, *pictures.names(n_histograms)])
    chosen = device.start(asked.machine)
    console.tell(chosen)
    from . import redraw
    from .predictive import counted as counts

    draws = redraw.Draws.of(stored, asked.seed)
    numbers = _numbers(stored, draws, asked)
    with console.phase("read"):
        counted = counts.of_data(stored, asked, console) if asked.data else counts.of_fit(stored)
        counted = counted.of_dataset(asked.dataset, ", ".join(map(str, asked.data or [stored.out])))
    with console.phase("draws"):
        points = _points(stored, draws, numbers, asked)
    seed = stored.seed if asked.seed is None else asked.seed
    with console.phase("ppc"):
        found = _found(stored, counted, counted.points(points), asked.genes, seed, chosen.cores)
    summary = _summary(asked, stored, counted, found) | {"draws": points.n_draws, "seed": seed}
    _tell(asked.kind, found, console)
    with console.phase("write"):
        _write(asked, stored, counted, found, summary, console)


def _check(asked: PpcOptions) -> None:
    """What needs neither fit nor data to be refused."""
    if asked.n is not None and asked.kind == MAP:
        raise UsageError("-n is a number of draws, and --kind map has the one point of the MAP; leave it out")
    if asked.data:
        return
    for flag, given in (
        ("--layer", asked.overrides.get("data.layer")),
        ("--dataset-key", asked.overrides.get("dataset_key")),
        ("--transpose", asked.transpose or None),
    ):
        if given is not None:
            raise UsageError(f"{flag} {OF_DATA}")


def _numbers(stored: StoredFit, draws: Draws, asked: PpcOptions) -> np.ndarray | None:
    """Which draws of the posterior predict; None: the MAP does."""
    if asked.kind == MAP:
        return None
    default = yaml12.parse(stored.resolved, str(stored.out)).value["output"]["ppc_samples"]
    return draws.spaced(asked.n or min(default, draws.held))


def _points(stored: StoredFit, draws: Draws, numbers: np.ndarray | None, asked: PpcOptions) -> Points:
    """The fit's parameters at these draws, on all its genes and cells. Labels guide the fit's own cells alone."""
    from ..core.analysis.points import points_of
    from . import redraw

    facts = draws.facts
    if asked.data:
        facts = replace(facts, arrays={name: v for name, v in facts.arrays.items() if name != "annotation"})
    if numbers is None:
        thetas = {name: v[None] for name, v in redraw.point(stored).items()}
    else:
        thetas, _ = draws.lifted(numbers)
    points = points_of(stored.spec, facts, thetas)
    return points.biological() if asked.kind == BIOLOGICAL else points


def _found(stored: StoredFit, counted: Counted, points: Points, genes, seed: int, threads: int) -> Found:
    """The tables of the genes asked for, of the cells together and in parts, and the totals of the cells."""
    from ..core.analysis import totals
    from .fitting import checking

    at = _places(stored, counted, genes)
    groups = [replace(g, observed=g.observed.genes(at)) for g in counted.groups]
    parts = checking.gene_tables(stored.spec, points.genes(at), groups, seed, threads)
    whole = counted.whole
    cells = totals.cell_table(stored.spec, whole.points(points), whole.observed.cell_total, seed, threads)
    return Found(at, parts, {"cell": counted.cell_names[whole.cells], **cells})


def _places(stored: StoredFit, counted: Counted, genes: tuple[str, ...] | None) -> np.ndarray:
    """Of genes among those that were counted. BadData (65) for one that the data lack."""
    if genes is None:
        return np.arange(len(counted.genes))
    place = {fitted: i for i, fitted in enumerate(counted.genes.tolist())}
    wanted = dict.fromkeys(stored.genes(genes).tolist())
    lacking = [stored.coords[GENE][i] for i in wanted if i not in place]
    if lacking:
        raise BadData(f"--genes: the fit has {listed(lacking)}, and the data have not; leave them out")
    return np.array([place[i] for i in wanted], np.int64)


def _summary(asked: PpcOptions, stored: StoredFit, counted: Counted, found: Found) -> dict[str, Any]:
    """What ppc.json says: what was checked, and what failed. Of biological counts nothing can fail: none were seen."""
    from .fitting import misfit

    whole = found.whole
    failed = misfit.of_genes(whole.genes, whole.genes["max_obs"] == 0)
    said = {
        "genes_with_counts": failed.genes,
        "failed_genes": failed.failed,
        "failed_above": dict(failed.above),
        "failed_below": dict(failed.below),
        "failed_cells": misfit.of_cells(found.cells["total_p"]),
    }
    return {
        "version": __version__,
        "fit_run_id": stored.run_id,
        "data": [str(path) for path in asked.data],
        "data_digest": counted.digest,
        "dataset": asked.dataset,
        "kind": asked.kind,
        "n_cells": len(found.cells["cell"]),
        "n_genes": len(found.at),
        **(dict.fromkeys(said) if asked.kind == BIOLOGICAL else said),
    }


def _tell(kind: str, found: Found, console: Console) -> None:
    from .fitting import misfit

    if kind == BIOLOGICAL:
        console.notice("biological counts are those before capture and without the gate: the observed ones test nothing here")
        return
    failed = misfit.of_genes(found.whole.genes, found.whole.genes["max_obs"] == 0)
    where = f" ({misfit.in_words(failed)})" if failed.failed else ""
    console.notice(
        f"{failed.failed:,} of {failed.genes:,} genes with counts fail a check{where}; "
        f"{misfit.of_cells(found.cells['total_p']):.1%} of the cells have a total outside the predictions"
    )


def _write(
    asked: PpcOptions, stored: StoredFit, counted: Counted, found: Found, summary: dict[str, Any], console: Console
) -> None:
    import pandas as pd

    from ..io.tables import write_table
    from .fitting import checking
    from .fitting.misfit import FAILS

    whole, gene_names = found.whole, np.asarray(counted.gene_names, object)[found.at]
    axes = checking.labelled(stored.spec, counted.labelled)
    tables = checking.tables(found.parts, gene_names, axes) | {"cell": found.cells}
    shown = _chosen(whole) if asked.genes is None else np.arange(len(found.at))
    if len(shown) > pictures.MOST:
        console.notice(f"histograms of the first {pictures.MOST} of {len(shown):,} genes are drawn; the tables hold all")
    drawn = {int(i): gene_names[i] for i in shown[: pictures.MOST]}
    files = {f"{stem}.tsv.gz": lambda path, t=t: write_table(path, pd.DataFrame(dict(t))) for stem, t in tables.items()}
    files |= pictures.made(whole.genes, whole.p < FAILS, whole.histogram, drawn, found.cells)
    names = dict(zip(pictures.histogram_names(len(drawn)), drawn.values(), strict=True))
    predictive_check.write(asked.output, {**summary, "histograms": names}, files)


def _chosen(tables: GeneTables) -> np.ndarray:
    """Genes to look at where none are named: the worst, and some that fit well."""
    from .fitting import choice

    empty = tables.genes["max_obs"] == 0
    kinds = ((choice.worst, pictures.WORST), (choice.well, pictures.WELL))
    found = [i for of_kind, n in kinds for i in of_kind(tables.genes, tables.p, empty, n).tolist()]
    return np.array(list(dict.fromkeys(found)), np.int64)
