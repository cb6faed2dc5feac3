"""Several inputs as one Source: their cells one below the other, on the genes that all of them name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from ..errors import BadData, listed
from . import names
from .source import Part, Source

DATASET = "dataset"
EARLIER = "dataset_of_input"


@dataclass(frozen=True)
class JoinedRows:
    """Rows of the parts in turn."""

    parts: tuple[Part, ...]

    @cached_property
    def first_rows(self) -> np.ndarray:
        """(parts + 1,) the first row of each part, and the number of rows."""
        return np.cumsum([0, *(part.source.shape[0] for part in self.parts)])

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.first_rows[-1]), len(self.parts[0].columns)

    @property
    def stored(self) -> int:
        return sum(part.source.rows.stored for part in self.parts)

    @cached_property
    def dtype(self) -> np.dtype:
        """One that holds the values of every part."""
        return np.result_type(*(part.read(0, min(1, part.source.shape[0])).dtype for part in self.parts))

    def read(self, start: int, stop: int) -> csr_array:
        pieces = []
        for part, first in zip(self.parts, self.first_rows[:-1], strict=True):
            a, b = max(start - first, 0), min(stop - first, part.source.shape[0])
            if a < b:
                pieces.append(part.read(int(a), int(b)))
        if not pieces:
            return csr_array((0, self.shape[1]), dtype=self.dtype)
        return vstack(pieces, format="csr", dtype=self.dtype)


def joined(sources: Sequence[Source], labels: Sequence[str]) -> Source:
    """One Source of several, obs["dataset"] the label of each cell's input.

    Genes are matched by name, in the first input's order; a barcode that several inputs have gets -<name of its
    input>. obs and var keep the columns that all inputs have, of var those with equal values. BadData if no gene is
    shared.
    """
    columns = _shared(sources)
    parts = tuple(Part(source, c) for source, c in zip(sources, columns, strict=True))
    var, lost_var = _var(parts)
    obs, lost_obs = _obs(sources, labels)
    elements = [e for e in sources[0].elements if all(e in source.elements for source in sources)]
    return Source(
        path=Path(" + ".join(str(source.path) for source in sources)),
        format="several",
        element=sources[0].element,
        rows=JoinedRows(parts),
        obs=obs,
        var=var,
        elements=tuple(elements),
        reopen=lambda name: joined([source.reopen(name) for source in sources], labels),
        notices=(*(n for source in sources for n in source.notices), *_told(labels), *lost_var, *lost_obs),
        warnings=_unshared(sources, labels, len(var)),
        parts=parts,
    )


def _needs_ids(parts: Sequence[Source]) -> bool:
    """Whether some name stands twice in an input and every input has ids that tell such genes apart."""
    twice = any(not part.var.index.is_unique for part in parts)
    return twice and all("gene_ids" in part.var for part in parts)


def _gene_keys(part: Source, with_ids: bool) -> np.ndarray:
    """Unique keys by which genes are matched: names; where a name repeats its place among its kind, or its id."""
    if not with_ids:
        return names.unique(part.gene_names)
    n = Counter(part.gene_names)
    pairs = zip(part.gene_names, part.var["gene_ids"], strict=True)
    return names.unique([f"{name}\t{id_}" if n[name] > 1 else name for name, id_ in pairs])


def _shared(parts: Sequence[Source]) -> tuple[np.ndarray, ...]:
    """Where each input has each shared gene."""
    with_ids = _needs_ids(parts)
    keys = [_gene_keys(part, with_ids) for part in parts]
    common = set(keys[0]).intersection(*map(set, keys[1:]))
    if not common:
        heads = "; ".join(f"{part.path} has {listed(map(str, part.gene_names), 3)}" for part in parts)
        raise BadData(
            f"the {len(parts)} inputs share no gene name: {heads}; give inputs with the same kind of gene names"
        )
    order = [key for key in keys[0] if key in common]
    return tuple(pd.Index(k).get_indexer(order) for k in keys)


def _unshared(parts: Sequence[Source], labels: Sequence[str], n_shared: int) -> dict[str, str]:
    more = [(label, part.shape[1]) for label, part in zip(labels, parts, strict=True) if part.shape[1] > n_shared]
    if not more:
        return {}
    counts = listed([f"{label} has {n:,}" for label, n in more], 10)
    text = f"{n_shared:,} genes are named in all inputs, and only these are read: {counts}; library sizes are of these too"
    return {"genes_not_shared": text}


def _told(labels: Sequence[str]) -> tuple[str, ...]:
    return (f'obs column "{DATASET}" names the input of each cell: {listed(labels, 10)}',)


def _var(parts: Sequence[Part]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    frames = [part.source.var.iloc[part.columns] for part in parts]
    first = frames[0]
    same = [c for c in first if all(c in f and _equal(first[c], f[c]) for f in frames[1:])]
    every = dict.fromkeys(c for f in frames for c in f)
    return first[same], _lost("var", [c for c in every if c not in same], "do not agree")


def _equal(a: pd.Series, b: pd.Series) -> bool:
    x, y = a.astype(object).to_numpy(), b.astype(object).to_numpy()
    return bool(np.all((x == y) | (pd.isna(x) & pd.isna(y))))


def _obs(parts: Sequence[Source], labels: Sequence[str]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    frames = [part.obs.rename(columns={DATASET: EARLIER}) for part in parts]
    shared = [c for c in frames[0] if all(c in f for f in frames[1:])]
    every = dict.fromkeys(c for f in frames for c in f)
    frame = pd.concat([f[shared] for f in frames])
    for c in frame.columns[frame.dtypes == object]:
        frame[c] = frame[c].astype("category" if frame[c].isna().any() else object)
    frame[DATASET] = np.repeat(np.array(labels, object), [len(f) for f in frames])
    frame.index = pd.Index(_barcodes(parts, frame[DATASET].to_numpy()), dtype=object)
    lost = _lost("obs", [c for c in every if c not in shared], "are not in all inputs")
    renamed = EARLIER in frame
    return frame, (*lost, *((f'the inputs\' obs column "{DATASET}" is kept as "{EARLIER}"',) if renamed else ()))


def _barcodes(parts: Sequence[Source], label: np.ndarray) -> list[str]:
    """Cell names; one that several inputs have gets the name of its input."""
    inputs_with = Counter(name for part in parts for name in set(part.cell_names))
    every = np.concatenate([part.cell_names for part in parts])
    return [f"{name}-{of}" if inputs_with[name] > 1 else name for name, of in zip(every, label, strict=True)]


def _lost(side: str, columns: Sequence[str], why: str) -> tuple[str, ...]:
    return (f"{side} columns that {why} are left out: {listed(map(str, columns), 10)}",) if columns else ()
