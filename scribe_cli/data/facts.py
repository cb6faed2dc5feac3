"""From counts to Facts: the sizes, and the arrays that the priors of a spec name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from ..core.facts import Facts
from ..core.model.spec import ModelSpec, Prior
from .counts import CountData


def facts_of(
    counts: CountData,
    spec: ModelSpec,
    dataset_codes: np.ndarray | None = None,
    n_datasets: int | None = None,
    n_components: int | None = None,
) -> Facts:
    """Facts on cells, one row each, weight 1.

    log_library = log max(1, L_c), L_c over all genes of the input or the obs column data.library_size (MODELS.md 4);
    dataset_of_cell: (C,) codes 0 .. n_datasets - 1. Both only where the spec asks for them.
    """
    sizes = {CELL: counts.n_cells, GENE: counts.n_genes}
    arrays = {}
    if "log_library" in set(_named(spec)):
        arrays["log_library"] = np.log(np.maximum(1.0, counts.library))
    if dataset_codes is not None:
        sizes[DATASET] = n_datasets
        arrays["dataset_of_cell"] = np.asarray(dataset_codes, np.int32)
    if n_components is not None:
        sizes[COMPONENT] = n_components
    return Facts(sizes, arrays)


def _named(spec: ModelSpec) -> Iterator[str]:
    """Arrays of Facts that the spec's priors name."""
    for param in spec.params:
        prior: Prior | None = param.prior
        while prior is not None:
            yield from (a for a in prior.args.values() if isinstance(a, str))
            prior = prior.base
