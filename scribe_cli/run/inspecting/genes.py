"""What the names of genes say: ids or symbols, spike-ins, mitochondrial genes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

# ERCC-00002, gERCC-00002, ERCC_row1: never the genes ERCC1, Ercc5, ERCC6L2
SPIKE_IN = re.compile(r"g?ERCC[-_.]")
MITOCHONDRIAL = re.compile(r"(MT|mt|Mt)[-.]")
ID = re.compile(r"(ENS[A-Z]*G|FBgn|WBGene)\d+(\.\d+)?|AT[0-9CM]G\d{5}")
SYMBOLS = ("symbol", "gene_symbol", "gene_symbols", "gene_name", "gene_names", "feature_name", "hgnc_symbol", "name")
MOST = 0.5  # of the names


def masks(var: pd.DataFrame) -> dict[str, np.ndarray]:
    """{"spike-in" | "mitochondrial": (G,)}, by the names or by a column of symbols."""
    found = {}
    for kind, pattern in (("spike-in", SPIKE_IN), ("mitochondrial", MITOCHONDRIAL)):
        columns = [var.index.to_numpy(), *(var[name].to_numpy(object) for name in symbol_columns(var))]
        hits = [np.array([bool(pattern.match(str(name))) for name in names], bool) for names in columns]
        found[kind] = np.any(hits, axis=0)
    return found


def are_ids(names: np.ndarray) -> bool:
    """Whether the names are ids of a database rather than symbols."""
    return len(names) > 0 and sum(bool(ID.fullmatch(str(name))) for name in names) > MOST * len(names)


def symbol_columns(var: pd.DataFrame) -> list[str]:
    return [name for name in var.columns if str(name).lower() in SYMBOLS]


def earlier_keys(frame: pd.DataFrame) -> Iterator[str]:
    """The keys under which a fit has left results in var (or obs)."""
    for name in map(str, frame.columns):
        key = name.removesuffix("_fitted")
        if key != name and f"{key}_ok" in frame.columns:
            yield key
