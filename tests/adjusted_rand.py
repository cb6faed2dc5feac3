"""How well two partitions agree, whatever their labels are called (Hubert and Arabie 1985)."""

from __future__ import annotations

import numpy as np


def adjusted_rand(a, b) -> float:
    """1 for the same partition, about 0 for independent ones; of labels (n,) each. Two partitions into one part agree."""
    _, a = np.unique(np.asarray(a), return_inverse=True)
    _, b = np.unique(np.asarray(b), return_inverse=True)
    table = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1)).reshape(a.max() + 1, -1)
    together, of_a, of_b = (_pairs(n).sum() for n in (table, table.sum(1), table.sum(0)))
    by_chance = of_a * of_b / _pairs(np.array(len(a)))
    if of_a == of_b == by_chance:
        return 1.0
    return float((together - by_chance) / ((of_a + of_b) / 2 - by_chance))


def _pairs(n):
    return n * (n - 1) / 2
