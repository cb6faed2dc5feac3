"""Posterior: the only result type, whatever the engine; and Variable, one reported parameter of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ..axes import SLOT, Axes
from ..facts import Facts
from ..model import derive, program
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS


@dataclass(frozen=True)
class Variable:
    """One reported parameter, sampled or derived.

    point: MAP, float64, shape = sizes of `axes`; lifted: theta of the MAP (sampled parameters only, else None);
    draws: float64, shape = sample dims + sizes of `axes`; stored: whether its draws go into the posterior store
    (of the three capture coordinates only one is, CONTRACT 3).
    """

    name: str
    axes: Axes
    support: str
    sampled: bool
    point: np.ndarray
    lifted: np.ndarray | None
    draws: np.ndarray
    stored: bool = True


@dataclass(frozen=True)
class Posterior:
    """Draws of thetas and a point, with everything needed to derive the rest and to draw more.

    draws: {site: sample dims + rank-3 shape} thetas, float64; sample_dims: ("sample",) or ("chain", "draw").
    point: {site: rank-3 shape} thetas of the MAP; map_kind: joint_mode | guide_location | lifted_mean.
    guide: {"family": name, "params": {group: {site: array}}} or None.
    history: {name: (steps,)}; sample_stats: {name: sample dims}; diagnostics: flat numbers for metrics.json.
    """

    spec: ModelSpec
    facts: Facts
    sample_dims: tuple[str, ...]
    draws: Mapping[str, np.ndarray]
    point: Mapping[str, np.ndarray]
    map_kind: str
    guide: Mapping[str, Any] | None = None
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def point_log_scale(self) -> dict:
        """{sampled parameter: log-scale value of the MAP, rank 3}."""
        return program.replay(self.spec, self.facts, dict(self.point))

    def some(self, n: int) -> dict:
        """{site: (n, rank-3 shape)} n of the draws, evenly spaced, chains one after the other; all where there are fewer."""
        lead = len(self.sample_dims)
        flat = {name: v.reshape(-1, *v.shape[lead:]) for name, v in self.draws.items()}
        there = len(next(iter(flat.values())))
        at = np.linspace(0, there - 1, min(n, there)).round().astype(int)
        return {name: v[at] for name, v in flat.items()}

    def variables(self) -> Iterator[Variable]:
        """Every reported parameter, one at a time: no more than one variable's draws are made at once."""
        replay = jax.jit(lambda thetas, facts: program.replay(self.spec, facts, thetas))
        x_point = replay(dict(self.point), self.facts)
        many = jax.jit(jax.vmap(lambda thetas, facts: program.replay(self.spec, facts, thetas), in_axes=(0, None)))
        n = len(self.sample_dims)
        flat = {k: v.reshape(-1, *v.shape[n:]) for k, v in self.draws.items()}
        x_draws = many(flat, self.facts)
        lead = next(iter(self.draws.values())).shape[:n]
        for row in derive.reported(self.spec):
            value = jax.jit(lambda x, name=row.name: derive.values(self.spec, x)[name])
            lifted = SUPPORTS[row.support].from_log(x_point[row.name]) if row.sampled else None
            draws = squeeze(np.asarray(value(x_draws)), row.axes)
            yield Variable(
                name=row.name,
                axes=row.axes,
                support=row.support,
                sampled=row.sampled,
                point=squeeze(np.asarray(value(x_point)), row.axes),
                lifted=None if lifted is None else squeeze(np.asarray(lifted), row.axes),
                draws=draws.reshape(*lead, *draws.shape[1:]),
                stored=row.stored,
            )


def squeeze(value: np.ndarray, axes: Axes) -> np.ndarray:
    """Drop the slots of a rank-3 value that its axes do not use; leading dimensions stay."""
    used = {SLOT[a] for a in axes}
    return value.squeeze(tuple(slot for slot in (-3, -2, -1) if slot not in used))
