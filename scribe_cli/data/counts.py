"""CountData: the checked, selected counts of an input, built from chunks of cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from ..errors import BadData
from . import checks, compact, digest, names, statistics
from .compact import Compact
from .design import Design
from .selection import OTHER, GeneMap, Selection, cell_mask, column_of, gene_map, label
from .source import Source, block_rows, blocks


@dataclass(frozen=True)
class CountData:
    """Counts of C fitted cells x G fitted genes, and where they stand in the input.

    kept: the counts (C, G); library_all: (C,) int64 counts over all genes of the input; library: (C,)
    float64 the prior's library size, before max(1, .); fitted_cells, fitted_genes: masks over the input;
    cell_index (C,), gene_index (G,): rows and columns of the input, -1 for the pooled `_other`;
    cell_names, gene_names: unique; digest: hex, of the whole input; notices; warnings: {name: text}; design: the cells'
    datasets and labels.
    """

    source: Source
    kept: Compact
    fitted_cells: np.ndarray
    fitted_genes: np.ndarray
    gene_index: np.ndarray
    cell_names: np.ndarray
    gene_names: np.ndarray
    library_all: np.ndarray
    library: np.ndarray
    digest: str
    notices: tuple[str, ...] = ()
    warnings: dict[str, str] = field(default_factory=dict)
    design: Design = Design()

    @classmethod
    def build(cls, source: Source, selection: Selection = Selection()) -> CountData:
        """Read, check and select. BadData if the input holds no counts or the selection leaves none."""
        _refuse_without(source)
        fitted_cells = cell_mask(source.obs, selection.where, str(source.path))
        scan = _scan(source, fitted_cells)
        genes = gene_map(selection, source.gene_names, scan.genes.total, scan.genes.cells, str(source.path))
        kept = _stacked(scan.parts, genes)
        if kept.nnz == 0:
            raise BadData(
                f"{source.place}: every count of the selected cells and genes is zero; select more (block data)"
            )
        cell_names, gene_names = names.unique(source.cell_names), names.unique(source.gene_names)
        fitted_names = gene_names[genes.fitted]
        if genes.pooled:
            fitted_names = np.append(fitted_names, names.unique([*gene_names, OTHER])[-1])
        library_all = scan.library[fitted_cells]
        library = library_all.astype(float)
        if selection.library_size is not None:
            library = _library_column(source, selection.library_size)[fitted_cells]
        return cls(
            source,
            kept,
            fitted_cells,
            genes.fitted,
            genes.index,
            cell_names[fitted_cells],
            fitted_names,
            library_all,
            library,
            digest.content(scan.digest, source.shape, source.obs, source.var),
            (*source.notices, *_notices(scan, kept, genes, fitted_cells)),
            {**source.warnings, **_warnings(source)},
        )

    @property
    def csr(self) -> csr_array:
        """All counts at once, (C, G) int32, no stored zeros: twice the memory, or more, of what is kept."""
        return self.kept.csr()

    @property
    def n_cells(self) -> int:
        return self.kept.shape[0]

    @property
    def n_genes(self) -> int:
        return self.kept.n_genes

    @property
    def nnz(self) -> int:
        return self.kept.nnz

    @property
    def cell_index(self) -> np.ndarray:
        return np.flatnonzero(self.fitted_cells)

    @property
    def pooled(self) -> bool:
        """Whether the last gene is `_other`."""
        return bool(self.gene_index[-1] < 0)

    @property
    def empty_genes(self) -> np.ndarray:
        """(G,) whether a gene has no count."""
        return self.kept.empty_genes

    @cached_property
    def total(self) -> np.ndarray:
        """L_c, (C,) int64: counts of each cell over the fitted genes."""
        # by chunks: SciPy's sum makes an int64 copy of the counts
        return np.concatenate([chunk.sum(axis=1, dtype=np.int64) for _, chunk in self.chunks()])

    def chunks(self) -> Iterator[tuple[int, csr_array]]:
        """(first row, counts) of each block of the fitted matrix's plan: what statistics are collected from."""
        for start, stop in blocks(self.n_cells, block_rows(self.n_cells, self.nnz)):
            yield start, self.kept.rows(start, stop)

    def column(self, name: str) -> pd.Series:
        """An obs column on the fitted cells. BadData, with those there are, if it is none."""
        return column_of(self.source.obs, name, str(self.source.path))[self.fitted_cells]

    def labels(self, name: str, complete: bool = False) -> tuple[np.ndarray, list[str]]:
        """Codes (C,) int32 of an obs column and the sorted labels they stand for; -1 where it has no value or an empty text.

        BadData if `complete` and some fitted cell has none.
        """
        raw, levels = pd.factorize(self.column(name), sort=False)
        texts = [label(v) for v in levels]
        ordered = sorted(set(texts) - {""})
        place = {text: i for i, text in enumerate(ordered)}
        codes = np.array([place.get(t, -1) for t in texts] + [-1], np.int32)[raw]
        if complete and (codes < 0).any():
            cell = self.cell_names[np.argmax(codes < 0)]
            raise BadData(
                f'{self.source.path}: obs column "{name}" has no value for {int((codes < 0).sum()):,} of the fitted '
                f'cells, the first "{cell}"; give each cell one, or leave those out (data.where)'
            )
        return codes, ordered


@dataclass(frozen=True)
class _Scan:
    """One pass over an input: findings, digest sum, library (all cells,); of the fitted cells the totals of all genes
    and the counts, in parts."""

    findings: checks.Findings
    digest: int
    library: np.ndarray
    genes: statistics.GeneTotals
    parts: list[Compact]


def _refuse_without(source: Source) -> None:
    for n, kind in zip(source.shape, ("cells", "genes"), strict=True):
        if n == 0:
            raise BadData(
                f"{source.place} has zero {kind} ({source.shape[0]:,} cells x {source.shape[1]:,} genes); "
                "give a matrix with both"
            )


def _scan(source: Source, fitted_cells: np.ndarray) -> _Scan:
    findings, total, library, parts = checks.Findings(), 0, [], []
    totals = statistics.gene_totals(source.shape[1])
    genes = totals.empty()
    for start, raw in source.chunks():
        found, counts = checks.checked(raw, start, source.place)
        findings = findings.merge(found)
        if not findings.ok:
            continue  # the rest is read to say how many values offend
        total = digest.merged(total, digest.mixed(counts, start))
        library.append(np.asarray(counts.sum(axis=1, dtype=np.int64)).ravel())
        mask = fitted_cells[start : start + counts.shape[0]]
        fitted = counts if mask.all() else counts[mask]
        parts.append(Compact.of(fitted))
        genes = totals.add(genes, fitted, start)
    if not findings.ok:
        checks.refuse(source, findings)
    library = np.concatenate(library)
    if not library.any():
        n_cells, n_genes = source.shape
        remedy = checks.where_counts_are(source)
        raise BadData(f"{source.place}: all {n_cells:,} x {n_genes:,} counts are zero, nothing to fit; {remedy}")
    if library.max() >= checks.LIMIT:
        cell = source.cell_names[library.argmax()]
        raise BadData(f'{source.place}: cell "{cell}" has {library.max():,} in all, over 2^31; are these counts?')
    return _Scan(findings, total, library, genes, parts)


def _stacked(parts: list[Compact], genes: GeneMap) -> Compact:
    """The counts of the genes to fit, the pooled ones summed in the last column. `parts` is emptied."""
    if not genes.fitted.all():
        for i, part in enumerate(parts):
            parts[i] = Compact.of(_picked(part.csr(), genes))
    return compact.stacked(parts)


def _picked(counts: csr_array, genes: GeneMap) -> csr_array:
    column = genes.column[counts.indices]
    keep = column >= 0
    indptr = np.append(0, np.cumsum(keep))[counts.indptr]
    indices, indptr = (x.astype(counts.indices.dtype) for x in (column[keep], indptr))
    csr = csr_array((counts.data[keep], indices, indptr), shape=(counts.shape[0], genes.n_columns))
    csr.sum_duplicates()
    return csr


def _library_column(source: Source, name: str) -> np.ndarray:
    column = column_of(source.obs, name, str(source.path))
    values = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(float)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise BadData(
            f'{source.path}: obs column "{name}" (data.library_size) has {int(bad.sum()):,} values that are no '
            f'library sizes, the first {column.iloc[at]!r} of cell "{source.cell_names[at]}"; give finite numbers >= 0'
        )
    return values


def _notices(scan: _Scan, kept: Compact, genes: GeneMap, fitted_cells: np.ndarray) -> list[str]:
    cells_left, genes_left = int((~fitted_cells).sum()), int((genes.column < 0).sum())
    pooled = len(genes.column) - int(genes.fitted.sum()) - genes_left
    empty_cells = int((np.diff(kept.pointers) == 0).sum())
    said = (
        ("values within 1e-3 of an integer, rounded to it", scan.findings.rounded),
        ("cells not fitted (data.where)", cells_left),
        ("genes not fitted (data.genes, min_cells, min_counts)", genes_left),
        (f"genes pooled into {OTHER} (data.gene_coverage)", pooled),
        ("fitted cells without a count in the fitted genes, kept", empty_cells),
        ("fitted genes without a count, kept", int(kept.empty_genes.sum())),
    )
    return [f"{text}: {n:,}" for text, n in said if n]


def _warnings(source: Source) -> dict[str, str]:
    found = {
        "duplicate_cell_names": names.repeated(source.cell_names, "cell"),
        "duplicate_gene_names": names.repeated(source.gene_names, "gene"),
    }
    return {name: f"{source.path}: {text}" for name, text in found.items() if text}
