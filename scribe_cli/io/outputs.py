"""FitOutputs: all that the run layer hands over to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.model.spec import ModelSpec

if TYPE_CHECKING:
    from ..core.inference.posterior import Variable
    from ..data.source import Source
    from .stored import StoredFit


@dataclass(frozen=True)
class RunRecord:
    """What made the fit. Equal runs have equal records: no paths, hosts, devices or times.

    recipe: the recipe as given, bytes; resolved: the complete one, text; fingerprint: {field: value} of CONTRACT 1;
    format: h5ad | zarr; results_only: `output.data: results`; key: {key} of the slots.
    """

    run_id: str
    key: str
    format: str
    method: str
    seed: int
    fingerprint: Mapping[str, str]
    versions: Mapping[str, str]
    recipe: bytes
    resolved: str
    results_only: bool = False


@dataclass(frozen=True)
class Told:
    """What a run said and was told, for its report. Kept in the manifest: unlike results it may hold paths.

    command: as it was typed; data: the inputs; warnings: {name of metrics.json without "warning_": text}.
    """

    command: str = ""
    data: tuple[str, ...] = ()
    warnings: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Array:
    """Values with named dimensions, for groups that hold more than parameters."""

    dims: tuple[str, ...]
    values: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A cells x genes matrix on the fitted cells and genes, made a block of cells at a time.

    blocks() yields blocks that follow each other in the fitted order: CSR if `sparse`, else dense.
    What was not fitted is NaN in a dense layer and empty in a sparse one.
    """

    blocks: Callable[[], Iterator[Any]]
    sparse: bool
    dtype: Any


@dataclass(frozen=True)
class Selected:
    """The fitted part of a source: positions of fitted cells and genes in the input, ascending.

    genes: (G,), -1 for the pooled gene `_other`; cells: (C,).
    """

    source: Source
    cells: np.ndarray
    genes: np.ndarray


@dataclass(frozen=True)
class FitOutputs:
    """Everything that is written after a fit.

    variables: consumed once, in order; those with `stored` False keep their summaries alone.
    coords: {axis: unique names} for component, dataset, gene, cell (those that there are).
    lifted: {name: Array} of theta draws for `unconstrained_posterior`, dims (io.store.lifted_dims) without the sample
    dims; or empty.
    history, sample_stats, guide, map_kind, sample_dims: as in Posterior.
    constant: {name: Array} for `constant_data`.
    gene_columns: {name: (G,)} for var and gene.tsv.gz (ppc_mean, ppc_var, ppc_zero, ppc_p);
    cell_columns: {name: (C,)} for obs and cell.tsv.gz; cell_totals: {name: (C,)} for cell.tsv.gz and `ppc` alone.
    component_prob: (C, components) the probability of each cell to be of each component, None without components.
    reasons: (G,) texts joined by ";", empty where a gene is in order; "saturated" is added by the writer.
    tables: {stem: {column: values}} for ppc_gene, ppc_hist, convergence. write_tables: `output.tables`.
    layers: {name: Layer}. metrics: called with the number of saturated values when all else is staged;
    returns metrics.json without its run id. texts: {file name: content} of further files (versions.yml).
    explained: the model written out, as plain data: {equations: texts, sites: {column: value} each}.
    report: called last of all with the fit as it is staged; the text of report.html, None for none.
    """

    record: RunRecord
    spec: ModelSpec
    selected: Selected
    variables: Iterable[Variable]
    coords: Mapping[str, Sequence[str]]
    sample_dims: tuple[str, ...]
    map_kind: str
    metrics: Callable[[int], Mapping[str, Any]]
    lifted: Mapping[str, Array] = field(default_factory=dict)
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    guide: Mapping[str, Any] | None = None
    constant: Mapping[str, Array] = field(default_factory=dict)
    gene_columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    cell_columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    cell_totals: Mapping[str, np.ndarray] = field(default_factory=dict)
    component_prob: np.ndarray | None = None
    reasons: Sequence[str] | None = None
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    write_tables: bool = True
    layers: Mapping[str, Layer] = field(default_factory=dict)
    texts: Mapping[str, str | bytes] = field(default_factory=dict)
    explained: Mapping[str, Any] = field(default_factory=dict)
    told: Told = Told()
    report: Callable[[StoredFit, Told], str] | None = None
