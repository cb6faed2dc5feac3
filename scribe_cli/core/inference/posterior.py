"""Posterior: the only result type, whatever the engine; and Variable, one reported parameter of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ..axes import CELL, GENE, SLOT, Axes, shape3
from ..facts import Facts
from ..model import derive, program
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS
from ..numerics.natural import Natural
from ..padding import cut, filled_cells_and_genes, ladder

ENTRIES = 2**22  # values of sites that are lifted at a time: larger arrays would be new memory each time, which is slow to get


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
        if n >= there:
            return flat
        at = np.linspace(0, there - 1, n).round().astype(int)
        return {name: v[at] for name, v in flat.items()}

    def variables(self) -> Iterator[Variable]:
        """Every reported parameter, made as it is asked for: whoever lets go of one has no more than one's draws in memory."""
        return itertools.chain(map(self._variable, derive.reported(self.spec)), self._scales())

    def _variable(self, row: derive.Reported) -> Variable:
        value = lambda thetas: derive.values(self.spec, program.from_thetas(self.spec, thetas))[row.name]  # noqa: E731
        lifted = np.asarray(self.point[row.name]) if row.sampled else None
        point = {name: v[None] for name, v in self.point.items()}
        at_point, at_draws = (by_blocks(value, self.spec, self.facts, thetas, row.axes) for thetas in (point, self._flat()))
        return Variable(
            name=row.name,
            axes=row.axes,
            support=row.support,
            sampled=row.sampled,
            point=squeeze(at_point[0], row.axes),
            lifted=None if lifted is None else squeeze(lifted, self.spec[row.name].axes),
            draws=self._unflat(squeeze(at_draws, row.axes)),
            stored=row.stored,
            lifted_axes=self.spec[row.name].axes if row.sampled else (),
        )

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


def by_blocks(function: Callable, spec: ModelSpec, facts: Facts, thetas: Mapping, axes: Axes) -> np.ndarray:
    """(draws, rank-3 shape of `axes`): `function` of the thetas of one draw, {parameter: (draws, rank-3 shape)}, some at a time.

    A value has the axes of all that it is made of: parameters with others are there, but not draw by draw.
    """
    sizes, shape = facts.filled().sizes, shape3(axes, facts.sizes)[1:]
    own = {p.name: p.axes for p in spec.params}
    moving = {name: v for name, v in thetas.items() if set(own[name]) <= set(axes)}
    still = {name: filled_cells_and_genes(v[0], own[name], sizes) for name, v in thetas.items() if name not in moving}
    at, out = jax.jit(jax.vmap(lambda moving, still: function(moving | still), (0, None))), None
    for part in blocks(moving):
        some = {name: filled_cells_and_genes(v[part], own[name], sizes, 1) for name, v in moving.items()}
        found = cut(at(some, still), shape)
        out = np.empty((len(next(iter(thetas.values()))), *found.shape[1:])) if out is None else out
        out[part] = found
    return out


def natural(spec: ModelSpec, facts: Facts, thetas: Mapping[str, np.ndarray]) -> Natural:
    """Natural coordinates (NumPy) at one point, {parameter: rank-3 theta}; genes and cells are filled up meanwhile."""
    filled = {p.name: filled_cells_and_genes(thetas[p.name], p.axes, facts.filled().sizes) for p in spec.params}
    found = program.natural(spec, program.from_thetas(spec, filled))
    return jax.tree.map(lambda v: cut(v, (facts.sizes[CELL], facts.sizes[GENE])), found)


def lifted(spec: ModelSpec, facts: Facts, sites: Mapping, lead: int, centred: bool) -> tuple[dict, dict]:
    """(thetas, pieces) of a Posterior from draws of its sites, {site: `lead` sample dims + the site's shape}.

    The site of a parameter that has one is its theta; those under hierarchies are made of several.
    """
    thetas = {p.name: np.asarray(sites[site]) for p in spec.params if _is_theta(site := f"{p.name}_unconstrained", sites, lead)}
    if made := [p for p in spec.params if p.name not in thetas]:
        thetas |= _made(made, spec, facts, sites, lead, centred)
    pieces = {name: np.asarray(v) for name, v in sites.items() if derive.is_piece(name)}
    return {p.name: thetas[p.name] for p in spec.params}, pieces


def _is_theta(site: str, sites: Mapping, lead: int) -> bool:
    """Whether a site is a parameter's lifted value; one with an axis of events (mixing weights) has it elsewhere."""
    return site in sites and np.ndim(sites[site]) == lead + 3


def _made(params: Sequence, spec: ModelSpec, facts: Facts, sites: Mapping, lead: int, centred: bool) -> dict:
    """{parameter: thetas} of these parameters, by the model itself."""
    sizes = next(iter(sites.values())).shape[:lead]
    flat = {name: np.asarray(v).reshape(-1, *v.shape[lead:]) for name, v in sites.items()}
    names, axes, filled = [p.name for p in params], program.sites(spec, facts), facts.filled()

    def one(sites, facts):
        found = program.thetas(spec, facts, sites, centred)
        return {name: found[name] for name in names}

    at, parts = jax.jit(jax.vmap(one, (0, None))), {name: [] for name in names}
    for part in blocks(flat):
        some = {k: filled_cells_and_genes(v[part], axes[k].axes, filled.sizes, 1) for k, v in flat.items()}
        found = at(some, filled)
        for p in params:
            parts[p.name].append(cut(found[p.name], shape3(p.axes, facts.sizes)[1:]))
    thetas = {name: np.concatenate(of_name) for name, of_name in parts.items()}
    return {name: v.reshape(*sizes, *v.shape[1:]) for name, v in thetas.items()}


def blocks(flat: Mapping[str, np.ndarray]) -> Iterator[slice]:
    """Of the draws (draws, ...), as many as are worked on at a time: as many each time if that goes, which is one program."""
    n, most = len(next(iter(flat.values()))), max(1, ENTRIES // ladder(sum(v[0].size for v in flat.values())))
    size = next((k for k in range(min(n, most), most // 2, -1) if n % k == 0), most)
    return (slice(a, min(a + size, n)) for a in range(0, n, size))


def squeeze(value: np.ndarray, axes: Axes) -> np.ndarray:
    """Drop the slots of a rank-3 value that its axes do not use; leading dimensions stay."""
    used = {SLOT[a] for a in axes}
    return value.squeeze(tuple(slot for slot in (-3, -2, -1) if slot not in used))
