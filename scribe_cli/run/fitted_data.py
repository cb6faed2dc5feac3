"""Data read as those of a fit were: with its own recipe's layer and selection; cells and genes are found by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.axes import DATASET, GENE
from ..data.compact import Compact, stacked
from ..data.counts import CountData
from ..errors import BadData, listed
from ..io.stored import StoredFit
from . import reading
from .recipe import config, yaml12
from .recipe.config import Config
from .terminal.console import Console


def recipe_of(stored: StoredFit, overrides: Mapping[str, Any], several: bool = False) -> Config:
    """The fit's own recipe for other data, `several` inputs or one.

    Genes that the fit chose by their counts are taken by name: in other data others would pass. Library sizes are of the
    prior alone, which is not asked again.
    """
    resolved = yaml12.parse(stored.resolved, str(stored.out)).value
    data, keys = resolved["data"], {"data.library_size": None}
    if (data["min_cells"] > 0 or data["min_counts"] > 0) and data["gene_coverage"] >= 1:
        keys |= {"data.min_cells": 0, "data.min_counts": 0, "data.genes": stored.coords[GENE]}
    return config.load(resolved, {**overrides, **keys}, several=several)


def read(
    stored: StoredFit, own: Config, paths: Sequence[Path], transpose: bool, console: Console
) -> tuple[CountData, str | None]:
    """The counts, and the obs column of their datasets: the fit's dataset_key, None where they have no such column.

    own: of `recipe_of`. BadData where genes are pooled otherwise than in the fit.
    """
    source = reading.open_data(paths, own.data.layer, transpose)
    if own.dataset_key is not None and own.source.origin("dataset_key") == "recipe" and own.dataset_key not in source.obs:
        console.notice(f'{source.path}: has no obs column "{own.dataset_key}", the dataset_key of the fit: one dataset')
        own = own.model_copy(update={"dataset_key": None})
    counts = reading.checked(source, own, console, stored.coords.get(DATASET, ()) if stored.spec.by_dataset else ())
    if counts.pooled and list(counts.gene_names) != stored.coords[GENE]:
        raise BadData(
            f"{counts.source.path}: data.gene_coverage of the fit's recipe pools other genes here than in the fit; "
            "give the data that were fitted, or fit without gene_coverage"
        )
    return counts, own.dataset_key


def on_genes(counts: CountData, at: np.ndarray) -> CountData:
    """The counts of some of the genes, in this order."""
    kept = stacked([Compact.of(chunk[:, at].sorted_indices()) for _, chunk in counts.chunks()])
    return replace(counts, kept=kept, gene_names=counts.gene_names[at], gene_index=counts.gene_index[at])


def places(fitted: Sequence[str], names: Sequence[str], what: str, counts: CountData) -> np.ndarray:
    """Where each name stands in the fit. BadData for one that the fit has not seen."""
    place = {name: i for i, name in enumerate(fitted)}
    new = [name for name in names if name not in place]
    if new:
        raise BadData(
            f"{counts.source.path}: {len(new):,} of its {len(names):,} {what} are not in the fit, which has parameters "
            f"of each: {listed(new, 5)}; give data of the fit's own {what}, or fit these"
        )
    return np.array([place[name] for name in names], np.int64)
