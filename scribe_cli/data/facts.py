"""From counts to Facts: the sizes, and the arrays that the priors of a spec name."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.axes import CELL, COMPONENT, DATASET, GENE
from ..core.facts import Facts
from ..core.model.spec import ModelSpec, Prior
from .counts import CountData


def facts_of(counts: CountData, spec: ModelSpec) -> Facts:
    """Facts on cells, one row each, weight 1: of all that a model may name, what this one does.

    log_library = log max(1, L_c), L_c over all genes of the input or the obs column data.library_size; log_mu_hat
    (genes,) the log of (sum_c u + 1/2)/(C nu_bar) (MODELS.md 3, 4); dataset_of_cell, annotation: codes.
    """
    design = counts.design
    sizes, arrays, named = {CELL: counts.n_cells, GENE: counts.n_genes}, {}, set(_named(spec))
    library = np.maximum(1.0, counts.library)
    if "log_library" in named:
        arrays["log_library"] = np.log(library)
    if "log_mu_hat" in named:
        arrays["log_mu_hat"] = np.log((_gene_totals(counts) + 0.5) / (counts.n_cells * mean_capture(spec, library)))
    if spec.by_dataset:
        sizes[DATASET] = len(design.datasets)
        arrays["dataset_of_cell"] = np.asarray(design.dataset_of_cell, np.int32)
    if spec.mixed:
        sizes[COMPONENT] = len(design.components)
    if spec.annotation_confidence > 0 and design.annotation is not None:
        arrays["annotation"] = np.asarray(design.annotation, np.int32)
    return Facts(sizes, arrays)


def mean_capture(spec: ModelSpec, library: np.ndarray) -> float:
    """nu_bar: with the biology of capture from the mean library size, else the mean of capture's prior; 1 without."""
    if spec.capture is None:
        return 1.0
    if spec.log_M0 is not None:
        return float(min(1.0, library.mean() / np.exp(spec.log_M0)))
    prior = spec[spec.capture].prior
    return prior.args["a"] / (prior.args["a"] + prior.args["b"])


def _gene_totals(counts: CountData) -> np.ndarray:
    """(genes,) counts of each gene over the fitted cells, exact in float64."""
    return sum(np.bincount(c.indices, c.data, counts.n_genes) for _, c in counts.chunks())


def _named(spec: ModelSpec) -> Iterator[str]:
    """Arrays of Facts that the spec's priors name."""
    for param in spec.params:
        prior: Prior | None = param.prior
        while prior is not None:
            yield from (a for a in prior.args.values() if isinstance(a, str))
            prior = prior.base
