"""Selection: which cells and genes are fitted (recipe block `data`, CONTRACT 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import BadData, InputMissing, did_you_mean, listed

LEFT_OUT = -1
OTHER = "_other"


@dataclass(frozen=True)
class Selection:
    """genes: names, or a file of one per line; library_size: an obs column of the prior's library sizes."""

    where: Mapping[str, Sequence] = field(default_factory=dict)
    min_cells: int = 0
    min_counts: int = 0
    gene_coverage: float = 1.0
    genes: Sequence[str] | str | None = None
    library_size: str | None = None


@dataclass(frozen=True)
class GeneMap:
    """column: of the fitted matrix for each gene of the input, LEFT_OUT for none; pooled: the last one is `_other`."""

    column: np.ndarray
    n_columns: int
    pooled: bool

    @property
    def index(self) -> np.ndarray:
        """The input's gene of each fitted column, LEFT_OUT for `_other`."""
        index = np.full(self.n_columns, LEFT_OUT, np.int64)
        own = np.flatnonzero(self.fitted)
        index[self.column[own]] = own
        return index

    @property
    def fitted(self) -> np.ndarray:
        last = self.n_columns - self.pooled
        return (self.column >= 0) & (self.column < last)


def column_of(obs: pd.DataFrame, name: str, place: str) -> pd.Series:
    """An obs column, or BadData with those there are."""
    if name not in obs.columns:
        there = list(map(str, obs.columns))
        raise BadData(f'{place}: no obs column "{name}"{did_you_mean(name, there)}; there are {listed(there)}')
    return obs[name]


def label(value: object) -> str:
    """A value of an obs column as a name: integral floats without their point, as YAML would give them."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def cell_mask(obs: pd.DataFrame, where: Mapping[str, Sequence], place: str) -> np.ndarray:
    """Cells with one of the values in every named column. Values are compared as labels; a missing one matches none."""
    mask = np.ones(len(obs), bool)
    for name, values in where.items():
        column = column_of(obs, name, place)
        codes, levels = pd.factorize(column, sort=False)
        there = np.array([label(v) for v in levels], object)
        wanted = [label(v) for v in values]
        for value in wanted:
            if value not in set(there):
                raise BadData(
                    f'{place}: no cell has "{value}" in obs column "{name}" (data.where)'
                    f"{did_you_mean(value, there)}; there are {listed(sorted(there))}"
                )
        mask &= np.append(np.isin(there, wanted), False)[codes]
    if not mask.any():
        raise BadData(f"{place}: data.where leaves no cell; give values that some cell has in all its columns")
    return mask


def gene_map(selection: Selection, names: np.ndarray, totals: np.ndarray, seen: np.ndarray, place: str) -> GeneMap:
    """Genes in the input's order. totals, seen: counts and cells with a count of each gene, over the fitted cells."""
    keep = _named(selection.genes, names, place) & (seen >= selection.min_cells) & (totals >= selection.min_counts)
    if not keep.any():
        raise BadData(
            f"{place}: no gene is left of {len(names):,} (data.genes, min_cells {selection.min_cells}, "
            f"min_counts {selection.min_counts}); lower the bounds"
        )
    own = keep & _covering(np.where(keep, totals, 0), selection.gene_coverage)
    column = np.full(len(names), LEFT_OUT, np.int64)
    column[own] = np.arange(own.sum())
    column[keep & ~own] = own.sum()
    pooled = bool((keep & ~own).any())
    return GeneMap(column, int(own.sum()) + pooled, pooled)


def _covering(totals: np.ndarray, share: float) -> np.ndarray:
    """The smallest set of genes with this share of the counts; of equal genes the first. All of them for 1."""
    if share >= 1:
        return np.ones(len(totals), bool)
    order = np.argsort(-totals, kind="stable")
    enough = np.searchsorted(np.cumsum(totals[order]), share * totals.sum()) + 1
    mask = np.zeros(len(totals), bool)
    mask[order[:enough]] = True
    return mask


def _named(genes: Sequence[str] | str | None, names: np.ndarray, place: str) -> np.ndarray:
    if genes is None:
        return np.ones(len(names), bool)
    wanted = _listed_in(Path(genes)) if isinstance(genes, str) else [str(g) for g in genes]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise BadData(
            f"{place}: {len(unknown)} of the genes of data.genes are not there: {listed(unknown)}"
            f"{did_you_mean(unknown[0], names)}; names are compared exactly"
        )
    return np.isin(names.astype(str), wanted)


def _listed_in(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputMissing(f"{path}: no such file (data.genes: a list of names, or a file of one per line)") from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not text in UTF-8 (data.genes: a file of one gene name per line)") from error
    return [line.strip() for line in lines if line.strip()]
