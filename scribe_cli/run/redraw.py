"""A stored posterior brought back to life: its draws again, as thetas, with all that can be derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from numpyro.distributions import Distribution

from ..core.analysis import sampling
from ..core.axes import CELL, GENE, SLOT
from ..core.facts import Facts
from ..core.inference import marginals, svi
from ..core.inference.posterior import Posterior
from ..core.model import program
from ..errors import BadRecipe, UsageError
from ..io.schema import UNCONSTRAINED
from ..io.stored import StoredFit
from .recipe import yaml12

STREAM = 1  # of the replicates' seeds, beside what else the seed is for


def facts(stored: StoredFit) -> Facts:
    """The facts that the fit had, of all its cells, one row each."""
    sizes = {axis: len(names) for axis, names in stored.coords.items()}
    library = stored.group("constant_data")["library_size"]
    return Facts(sizes, {"log_library": np.log(np.maximum(1.0, library))} if CELL in sizes else {})


@dataclass(frozen=True)
class Draws:
    """The draws of a stored posterior, by number. held: how many its fit made; the first of a guide are those.

    guide: its parameters; chains: {site: (held, ...)}, n_chains of them one after the other. One of them is None.
    """

    facts: Facts
    shapes: Mapping[str, tuple[int, ...]]
    held: int
    seed: int
    guide: Mapping | None
    chains: Mapping[str, np.ndarray] | None
    n_chains: int

    @classmethod
    def of(cls, stored: StoredFit, seed: int | None = None) -> Draws:
        """seed: for other draws from a guide than its fit made."""
        known = facts(stored)
        shapes = {name: site.shape for name, site in program.sites(stored.spec, known).items()}
        guide, chains, n_chains = stored.guide, None, 1
        if guide is None:
            lead = len(stored.sample_dims)
            lifted = stored.group("unconstrained_posterior")
            n_chains = len(next(iter(lifted.values())))
            chains = {name: v.reshape(-1, *v.shape[lead:]) for name, v in lifted.items()}
            held = len(next(iter(chains.values())))
        else:
            guide, held = guide["params"], yaml12.parse(stored.resolved, str(stored.out)).value["svi"]["n_samples"]
        return cls(known, shapes, held, stored.seed if seed is None else seed, guide, chains, n_chains)

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

    def thetas(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """{site: (numbers, rank-3 shape)}."""
        if self.guide is not None:
            found = svi.draw(self.guide, self.seed, numbers)
        else:
            found = {name: values[numbers] for name, values in self.chains.items()}
        return {name: np.asarray(v, float).reshape(len(numbers), *self.shapes[name]) for name, v in found.items()}


def posterior(stored: StoredFit, n: int, seed: int | None = None) -> Posterior:
    """The posterior with n draws.

    Of a variational fit they are made again from the guide and the seed, any number of them: the first are those of the
    store. Of chains they are n of the stored ones, evenly spaced; BadRecipe (78) for more than those.
    """
    draws = Draws.of(stored, seed)
    return Posterior(
        spec=stored.spec,
        facts=draws.facts,
        sample_dims=("sample",),
        draws=draws.thetas(draws.first(n)),
        point=point(stored, draws.shapes),
        map_kind=stored.map_kind,
        guide=stored.guide,
    )


def point(stored: StoredFit, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """{site: rank-3 shape} of the MAP."""
    at_map = {f"{p.name}{UNCONSTRAINED}": stored.lifted(p.name) for p in stored.spec.params}
    return {name: values.reshape(shapes[name]) for name, values in at_map.items()}


def distributions(stored: StoredFit, at: np.ndarray | None) -> dict[str, Distribution]:
    """{sampled parameter: its law}, on the genes `at`; UsageError (2) of chains."""
    guide, known = stored.guide, facts(stored)
    if guide is None:
        raise UsageError(f"{stored.out}: chains are draws and no distribution; use get_posterior_samples")
    genes = {} if at is None else {GENE: at}
    params = {group: {n: _on(v, genes) for n, v in sites.items()} for group, sites in guide["params"].items()}
    return marginals.of_mean_field(stored.spec, params, known.sizes | {axis: len(i) for axis, i in genes.items()})


def counts(stored: StoredFit, n: int, at: np.ndarray | None, seed: int | None = None) -> np.ndarray:
    """(n, cells, genes `at`) int32: replicate counts, each from a draw of the posterior."""
    drawn = posterior(stored, n, seed)
    sizes = drawn.facts.sizes if at is None else {**drawn.facts.sizes, GENE: len(at)}
    seen, genes = Facts(sizes, drawn.facts.arrays), {} if at is None else {GENE: at}
    at_draw = jax.jit(lambda thetas, facts: program.natural(drawn.spec, program.replay(drawn.spec, facts, thetas)))
    replicates = np.empty((n, sizes[CELL], sizes[GENE]), np.int32)
    seeds = np.random.default_rng([stored.seed if seed is None else seed, STREAM]).integers(1 << 32, size=n)
    for i, seed in enumerate(seeds):
        point = at_draw({site: values[i] for site, values in drawn.draws.items()}, drawn.facts)
        point = jax.tree.map(lambda v: _on(v, genes), point)
        for start, block in sampling.chunks(drawn.spec, point, seen, int(seed)):
            replicates[i, start : start + block.shape[0]] = block.toarray()
    return replicates


def _on(value, at: Mapping[str, np.ndarray]):
    """A rank-3 value on some places of the axes it has."""
    value = np.asarray(value)
    for axis, places in at.items():
        value = np.take(value, places, SLOT[axis]) if value.shape[SLOT[axis]] > 1 else value
    return value
