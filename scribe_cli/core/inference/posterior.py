"""Posterior: the only result type, whatever the engine; and Variable, one reported parameter of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ..axes import SLOT, Axes, shape3
from ..facts import Facts
from ..model import derive, program
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS
from ..padding import cut, filled_cells_and_genes

ENTRIES = 2**24  # values of sites that are lifted at a time


@dataclass(frozen=True)
class Variable:
    """One reported parameter, sampled or derived.

    point: MAP, float64, shape = sizes of `axes`; lifted: theta of the MAP (sampled parameters only, else None);
    draws: float64, shape = sample dims + sizes of `axes`; stored: whether its draws go into the posterior store
    (of the three capture coordinates only one is, CONTRACT 3). lifted_axes: those of theta; of bnb_concentration, whose
    theta is log omega, they may be fewer.
    """

    name: str
    axes: Axes
    support: str
    sampled: bool
    point: np.ndarray
    lifted: np.ndarray | None
    draws: np.ndarray
    stored: bool = True
    lifted_axes: Axes = ()


@dataclass(frozen=True)
class Posterior:
    """Draws of thetas and a point, with everything needed to derive the rest and to draw more.

    draws: {parameter: sample dims + rank-3 shape} thetas, float64; sample_dims: ("sample",) or ("chain", "draw").
    point: {parameter: rank-3 shape} thetas of the MAP; map_kind: joint_mode | guide_location | lifted_mean.
    pieces: {site: sample dims + rank-3 shape} of the hierarchies' locations and scales.
    guide: {"family": name, "params": {group: {site: array}}} or None.
    history: {name: (steps,)}; sample_stats: {name: sample dims}; diagnostics: flat numbers for metrics.json.
    """

    spec: ModelSpec
    facts: Facts
    sample_dims: tuple[str, ...]
    draws: Mapping[str, np.ndarray]
    point: Mapping[str, np.ndarray]
    map_kind: str
    pieces: Mapping[str, np.ndarray] = field(default_factory=dict)
    guide: Mapping[str, Any] | None = None
    history: Mapping[str, np.ndarray] = field(default_factory=dict)
    sample_stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    diagnostics: Mapping[str, Any] = field(default_factory=dict)

    def point_log_scale(self) -> dict:
        """{sampled parameter: log-scale value of the MAP, rank 3}."""
        return program.from_thetas(self.spec, dict(self.point))

    def some(self, n: int) -> dict:
        """{parameter: (n, rank-3 shape)} n of the draws, evenly spaced, chains one after the other; all where there are fewer."""
        flat = self._flat()
        there = len(next(iter(flat.values())))
        at = np.linspace(0, there - 1, min(n, there)).round().astype(int)
        return {name: v[at] for name, v in flat.items()}

    def variables(self) -> Iterator[Variable]:
        """Every reported parameter, one at a time: no more than one variable's draws are made at once."""
        x_of, sizes = jax.jit(lambda thetas: program.from_thetas(self.spec, thetas)), self.facts.filled().sizes
        fill = lambda v, p, lead: filled_cells_and_genes(v, p.axes, sizes, lead)  # noqa: E731
        flat = self._flat()
        x_point = x_of({p.name: fill(self.point[p.name], p, 0) for p in self.spec.params})
        x_draws = jax.vmap(x_of)({p.name: fill(flat[p.name], p, 1) for p in self.spec.params})
        for row in derive.reported(self.spec):
            value = jax.jit(lambda x, name=row.name: derive.values(self.spec, x)[name])
            lifted = np.asarray(self.point[row.name]) if row.sampled else None
            shape = shape3(row.axes, self.facts.sizes)[1:]
            yield Variable(
                name=row.name,
                axes=row.axes,
                support=row.support,
                sampled=row.sampled,
                point=squeeze(cut(value(x_point), shape), row.axes),
                lifted=None if lifted is None else squeeze(lifted, self.spec[row.name].axes),
                draws=self._unflat(squeeze(cut(jax.vmap(value)(x_draws), shape), row.axes)),
                stored=row.stored,
                lifted_axes=self.spec[row.name].axes if row.sampled else (),
            )
        yield from self._scales()

    def _scales(self) -> Iterator[Variable]:
        """The locations and scales of the hierarchies, their points the means of the lifted values."""
        for name, values in self.pieces.items():
            axes, support = program.sites(self.spec, self.facts)[name].axes, derive.support_of_piece(name)
            lifted = values.mean(tuple(range(len(self.sample_dims))))
            value = SUPPORTS[support].value
            points, draws = (np.asarray(value(SUPPORTS[support].to_log(v))) for v in (lifted, values))
            arrays = (squeeze(v, axes) for v in (points, lifted, draws))
            yield Variable(name, axes, support, True, *arrays, lifted_axes=axes)

    def _flat(self) -> dict:
        """The draws, chains one after the other."""
        lead = len(self.sample_dims)
        return {name: v.reshape(-1, *v.shape[lead:]) for name, v in self.draws.items()}

    def _unflat(self, values: np.ndarray) -> np.ndarray:
        lead = next(iter(self.draws.values())).shape[: len(self.sample_dims)]
        return values.reshape(*lead, *values.shape[1:])


def lifted(spec: ModelSpec, facts: Facts, sites: Mapping, lead: int, centred: bool) -> tuple[dict, dict]:
    """(thetas, pieces) of a Posterior from draws of its sites, {site: `lead` sample dims + the site's shape}."""
    sizes = next(iter(sites.values())).shape[:lead]
    flat = {name: np.asarray(v).reshape(-1, *v.shape[lead:]) for name, v in sites.items()}
    at = jax.jit(jax.vmap(lambda sites, facts: program.thetas(spec, facts, sites, centred), (0, None)))
    n, block, axes, filled = len(next(iter(flat.values()))), _block(flat), program.sites(spec, facts), facts.filled()
    parts = {p.name: [] for p in spec.params}
    for a in range(0, n, block):
        some = {k: filled_cells_and_genes(v[a : a + block], axes[k].axes, filled.sizes, 1) for k, v in flat.items()}
        found = at(some, filled)
        for p in spec.params:
            parts[p.name].append(cut(found[p.name], shape3(p.axes, facts.sizes)[1:]))
    thetas = {name: np.concatenate(of_name) for name, of_name in parts.items()}
    pieces = {name: np.asarray(v) for name, v in sites.items() if derive.is_piece(name)}
    return {name: v.reshape(*sizes, *v.shape[1:]) for name, v in thetas.items()}, pieces


def _block(flat: Mapping[str, np.ndarray]) -> int:
    """Draws at a time."""
    return max(1, ENTRIES // sum(v[0].size for v in flat.values()))


def squeeze(value: np.ndarray, axes: Axes) -> np.ndarray:
    """Drop the slots of a rank-3 value that its axes do not use; leading dimensions stay."""
    used = {SLOT[a] for a in axes}
    return value.squeeze(tuple(slot for slot in (-3, -2, -1) if slot not in used))
