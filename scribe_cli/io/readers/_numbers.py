"""Numbers that were text in the file, of the type they are."""

from __future__ import annotations

import numpy as np


def whole(values: np.ndarray) -> np.ndarray:
    """Floats as int32 if that is what they are: so they are written to a result."""
    with np.errstate(invalid="ignore"):
        integers = values.astype(np.int32)
    return integers if np.array_equal(integers, values) else values
