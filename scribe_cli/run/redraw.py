"""A stored posterior brought back to life: its draws again, as thetas, with all that can be derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np
from numpyro.distributions import Distribution

from ..core.analysis import sampling
from ..core.analysis.pointwise import of_cells
from ..core.axes import CELL, COMPONENT, DATASET, GENE, SLOT, Axes
from ..core.facts import ARRAY_AXIS, Facts
from ..core.inference import guides, marginals, svi
from ..core.inference.posterior import Posterior, lifted
from ..core.model import derive, program
from ..core.model.spec import ModelSpec
from ..core.numerics.natural import Natural
from ..errors import BadRecipe, UsageError
from ..io.part import WHOLE, Part
from ..io.schema import UNCONSTRAINED
from ..io.stored import StoredFit
from .recipe import yaml12

STREAM = 1  # of the replicates' seeds, beside what else the seed is for


def facts(stored: StoredFit) -> Facts:
    """The facts that the fit had, of all its cells, one row each."""
    sizes = {axis: len(names) for axis, names in stored.coords.items()}
    constant = stored.group("constant_data")
    arrays = {"log_library": np.log(np.maximum(1.0, constant["library_size"]))} if CELL in sizes else {}
    arrays |= {name: np.asarray(v) for name, v in constant.items() if name in ARRAY_AXIS}
    if not stored.spec.by_dataset:  # datasets are labels of results alone
        sizes.pop(DATASET, None)
        arrays.pop("dataset_of_cell", None)
    return Facts(sizes, arrays)


@dataclass(frozen=True)
class Draws:
    """The draws of a stored posterior, by number. held: how many its fit made; the first of a guide are those.

    guide: {family, params}; chains: {parameter or piece: (held, rank-3 theta)}, n_chains of them one after the other. One of
    them is None.
    """

    spec: ModelSpec
    facts: Facts
    held: int
    seed: int
    guide: Mapping | None
    chains: Mapping[str, np.ndarray] | None
    n_chains: int

    @classmethod
    def of(cls, stored: StoredFit, seed: int | None = None) -> Draws:
        """seed: for other draws from a guide than its fit made."""
        known = facts(stored)
        guide, chains, n_chains = stored.guide, None, 1
        if guide is None:
            lead = len(stored.sample_dims)
            lifted = stored.group("unconstrained_posterior")
            n_chains = len(next(iter(lifted.values())))
            axes = _lifted_axes(stored.spec, known)
            chains = {n: _rank3(np.asarray(lifted[n + UNCONSTRAINED], float), a, lead) for n, a in axes.items()}
            held = len(next(iter(chains.values())))
        else:
            held = yaml12.parse(stored.resolved, str(stored.out)).value["svi"]["n_samples"]
        return cls(stored.spec, known, held, stored.seed if seed is None else seed, guide, chains, n_chains)

    def first(self, n: int) -> np.ndarray:
        """Numbers of n draws: of a guide the first n, of chains n evenly spaced."""
        return self.spaced(n) if self.guide is None else np.arange(self._checked(n))

    def spaced(self, n: int) -> np.ndarray:
        """Numbers of n draws, evenly spaced among those held; of a guide that held fewer the first n."""
        return np.linspace(0, max(self.held, self._checked(n)) - 1, n).round().astype(int)

    def by_chain(self, n: int) -> Sequence[Sequence[int]]:
        """Numbers of n draws, in a row for each chain: of each as many, evenly spaced, if n is a multiple of their number;

        else, and of a guide, in one row.
        """
        self._checked(n)
        if self.guide is not None:
            return [range(n)]
        if n % self.n_chains:
            return [self.spaced(n)]
        of_one = self.held // self.n_chains
        at = np.linspace(0, of_one - 1, n // self.n_chains).round().astype(int)
        return [chain * of_one + at for chain in range(self.n_chains)]

    def _checked(self, n: int) -> int:
        """n; BadRecipe (78) for more than chains hold."""
        if n < 1:
            raise UsageError(f"n = {n}: the number of draws is at least 1")
        if n > self.held and self.guide is None:
            raise BadRecipe(
                f"n = {n:,}: the chains hold {self.held:,} draws, and there are no others; ask for at most as many, or fit "
                "with a larger mcmc.n_samples"
            )
        return n

    def lifted(self, numbers: np.ndarray) -> tuple[dict, dict]:
        """({parameter: (numbers, rank-3 theta)}, the same of the hierarchies' pieces)."""
        if self.guide is not None:
            return lifted(self.spec, self.facts, svi.draw(self.guide, self.seed, numbers), 1, svi.CENTRED)
        found = {name: values[numbers] for name, values in self.chains.items()}
        return {p.name: found.pop(p.name) for p in self.spec.params}, found


def posterior(stored: StoredFit, n: int, seed: int | None = None) -> Posterior:
    """The posterior with n draws.

    Of a variational fit they are made again from the guide and the seed, any number of them: the first are those of the
    store. Of chains they are n of the stored ones, evenly spaced; BadRecipe (78) for more than those.
    """
    draws = Draws.of(stored, seed)
    thetas, pieces = draws.lifted(draws.first(n))
    return Posterior(
        spec=stored.spec,
        facts=draws.facts,
        sample_dims=("sample",),
        draws=thetas,
        point=point(stored),
        map_kind=stored.map_kind,
        pieces=pieces,
        guide=stored.guide,
    )


def point(stored: StoredFit) -> dict[str, np.ndarray]:
    """{parameter: rank-3 theta} of the MAP."""
    return {p.name: _rank3(stored.lifted(p.name), p.axes, 0)[0] for p in stored.spec.params}


def _lifted_axes(spec: ModelSpec, known: Facts) -> dict[str, Axes]:
    """{parameter or piece of a hierarchy: its axes}."""
    pieces = {name: site.axes for name, site in program.sites(spec, known).items() if derive.is_piece(name)}
    return {p.name: p.axes for p in spec.params} | pieces


def _rank3(value: np.ndarray, axes: Axes, lead: int) -> np.ndarray:
    """(draws, rank 3) of values with `lead` sample dims in front of their axes."""
    shape = [1, 1, 1]
    for axis, size in zip(axes, value.shape[lead:], strict=True):
        shape[SLOT[axis]] = size
    return value.reshape(-1, *shape)


def distributions(stored: StoredFit, part: Part = WHOLE) -> dict[str, Distribution]:
    """{name: law} of what the guide has a law of (marginals.of_mean_field), on a part; UsageError (2) of chains.

    One component's weight has no law without the others': it is not there.
    """
    guide, spec = stored.guide, stored.spec
    if guide is None:
        raise UsageError(f"{stored.out}: chains are draws and no distribution; use get_posterior_samples")
    known = facts(stored)
    axes = {name: site.axes for name, site in program.sites(spec, known).items()}
    weights = {f"{p.name}{UNCONSTRAINED}" for p in spec.params if p.support == "simplex"}
    lost = weights if COMPONENT in part.picked else ()
    params = {"loc": guide["params"]["loc"], "log_sd": guides.load(guide["family"]).log_sd(guide["params"])}
    sites = {group: {n: _law_of(v, axes[n], part, n in weights) for n, v in of_group.items() if n not in lost} for group, of_group in params.items()}
    seen = {name: part.axes(a) for name, a in axes.items()}
    return marginals.of_mean_field(spec, sites, seen, part.sizes(known.sizes))


def _law_of(value: np.ndarray, axes: Axes, part: Part, weights: bool) -> np.ndarray:
    """A guide's array on the part; weights have their components behind the three slots."""
    return np.moveaxis(part.rank3(np.moveaxis(value, -1, 0), axes), 0, -1) if weights else part.rank3(value, axes)


def counts(stored: StoredFit, n: int, part: Part = WHOLE, seed: int | None = None) -> np.ndarray:
    """(n, cells, genes) int32: replicate counts of a part, each from a draw of the posterior; of one component its own."""
    drawn = posterior(stored, n, seed)
    at_draw = jax.jit(lambda thetas: program.natural(drawn.spec, program.from_thetas(drawn.spec, thetas)))
    seen, seeds = _seen(drawn.facts, part), _seeds(stored.seed if seed is None else seed, n)
    replicates = np.empty((n, seen.sizes[CELL], seen.sizes[GENE]), np.int32)
    for i, of_draw in enumerate(seeds):
        point = at_draw({name: values[i] for name, values in drawn.draws.items()})
        for start, block in sampling.chunks(drawn.spec, _of_part(point, part), seen, of_draw):
            replicates[i, start : start + block.shape[0]] = block.toarray()
    return replicates


def _seeds(seed: int, n: int) -> list[int]:
    return np.random.default_rng([seed, STREAM]).integers(1 << 32, size=n).tolist()


def _seen(known: Facts, part: Part) -> Facts:
    """The facts on the part's genes and cells."""
    cells = part.places(CELL, known.sizes[CELL])
    sizes = {axis: 1 if axis == COMPONENT and axis in part.picked else n for axis, n in known.sizes.items()}
    return Facts(sizes | {GENE: len(part.places(GENE, sizes[GENE]))}, known.arrays, known.weight).rows(cells, 1.0)


def _of_part(point: Natural, part: Part) -> Natural:
    """A point on the part's genes and cells, and of its component alone. Datasets stay: a cell is of one."""
    places = {axis: np.atleast_1d(part.at[axis]) for axis in (GENE, COMPONENT) if axis in part.at}
    core, log_nu, gate = jax.tree.map(lambda v: _on(v, places), (point.core, point.log_nu, point.logit_gate))
    weights = None if COMPONENT in places else point.log_weights
    found = replace(point, core=core, log_nu=log_nu, logit_gate=gate, log_weights=weights)
    return of_cells(found, part.at[CELL]) if CELL in part.at else found


def _on(value, at: Mapping[str, np.ndarray]):
    """A rank-3 value on some places of the axes it has."""
    value = np.asarray(value)
    for axis, places in at.items():
        value = np.take(value, places, SLOT[axis]) if value.shape[SLOT[axis]] > 1 else value
    return value
