"""Summaries of a parameter over its draws, in chunks of genes or cells, and the limits of float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.axes import Axes
from .part import Part
from .schema import CHUNK, QUANTILES

if TYPE_CHECKING:
    from ..core.inference.posterior import Variable


@dataclass(frozen=True)
class Summary:
    """One parameter without its draws.

    statistics: {map, mean, sd, q05, q50, q95: array of the sizes of `axes`}, map float64, the rest float32;
    saturated: how many values of each element lay beyond float32 and were stored at its limits.
    """

    name: str
    axes: Axes
    support: str
    sampled: bool
    statistics: dict[str, np.ndarray]
    saturated: np.ndarray

    def on(self, part: Part) -> Summary:
        """Of a part of the fit."""
        statistics = {name: part.of(values, self.axes) for name, values in self.statistics.items()}
        return replace(self, axes=part.axes(self.axes), statistics=statistics, saturated=part.of(self.saturated, self.axes))


def at_limits(values: np.ndarray, support: str, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Values as `dtype`, those beyond it at its limits, and where that was.

    A parameter on (0, inf) or (0, 1) is never zero: a zero has left float32 at the lower end. NaN stays NaN.
    """
    with np.errstate(over="ignore", under="ignore"):
        stored = np.array(values, dtype)
    beyond = np.isinf(stored)
    stored[beyond] = np.copysign(np.finfo(dtype).max, stored[beyond])
    if support != "real":
        vanished = stored == 0
        stored[vanished] = np.finfo(dtype).smallest_subnormal
        beyond |= vanished
    return stored, beyond


def summarise(variable: Variable, n_sample_dims: int) -> tuple[Summary, np.ndarray]:
    """The summary of a parameter and its draws as they are stored: float32, at the limits where beyond them."""
    shape = variable.draws.shape[n_sample_dims:]
    flat = variable.draws.reshape(-1, int(np.prod(shape)))
    point, point_beyond = at_limits(variable.point, variable.support, np.float64)
    draws, saturated = np.empty(flat.shape, np.float32), np.empty(flat.shape[1], np.int64)
    found = {name: np.empty(flat.shape[1], np.float32) for name in ("mean", "sd", *QUANTILES)}
    for span in spans(flat.shape[1]):
        draws[:, span], beyond = at_limits(flat[:, span], variable.support)
        saturated[span] = beyond.sum(0)
        for name, values in _statistics(draws[:, span]).items():
            found[name][span] = values
    statistics = {"map": point} | {name: values.reshape(shape) for name, values in found.items()}
    saturated = saturated.reshape(shape) + point_beyond
    summary = Summary(variable.name, variable.axes, variable.support, variable.sampled, statistics, saturated)
    return summary, draws.reshape(variable.draws.shape)


def spans(size: int, chunk: int = CHUNK) -> Iterator[slice]:
    """Consecutive slices that cover 0..size."""
    return (slice(start, min(start + chunk, size)) for start in range(0, size, chunk))


def _statistics(flat: np.ndarray) -> dict[str, np.ndarray]:
    """{statistic: (elements,)} of draws x elements; quantiles interpolate linearly between draws."""
    block = np.array(flat.T, order="C")
    wide = block.astype(np.float64)
    out = {"mean": wide.mean(1), "sd": wide.std(1, ddof=min(1, len(flat) - 1))}
    block.sort(axis=1)
    return out | {name: _quantile(block, q) for name, q in QUANTILES.items()}


def _quantile(ordered: np.ndarray, q: float) -> np.ndarray:
    """The q quantile of each sorted row."""
    at = q * (ordered.shape[1] - 1)
    low = int(at)
    high = min(low + 1, ordered.shape[1] - 1)
    share = at - low
    return ordered[:, low].astype(np.float64) * (1 - share) + ordered[:, high].astype(np.float64) * share
