"""A stored posterior brought back to life: its draws again, as thetas, with all that can be derived from them."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from numpyro.distributions import Distribution

from ..core.analysis import sampling
from ..core.axes import CELL, GENE, SLOT
from ..core.facts import Facts
from ..core.inference import marginals, svi
from ..core.inference.posterior import Posterior
from ..core.model import program
from ..errors import UsageError
from ..io.schema import UNCONSTRAINED
from ..io.stored import StoredFit

STREAM = 1  # of the replicates' seeds, beside what else the seed is for


def facts(stored: StoredFit) -> Facts:
    """The facts that the fit had, of all its cells, one row each."""
    sizes = {axis: len(names) for axis, names in stored.coords.items()}
    library = stored.group("constant_data")["library_size"]
    return Facts(sizes, {"log_library": np.log(np.maximum(1.0, library))} if CELL in sizes else {})


def posterior(stored: StoredFit, n: int) -> Posterior:
    """The posterior with n draws.

    Of a variational fit they are made again from the guide and the seed, any number of them: those of the store, if n
    is their number there. Of chains they are n of the stored ones, evenly spaced; UsageError (2) for more than those.
    """
    if n < 1:
        raise UsageError(f"n = {n}: the number of draws is at least 1")
    known = facts(stored)
    shapes = {name: site.shape for name, site in program.sites(stored.spec, known).items()}
    guide = stored.guide
    draws = svi.draw(guide["params"], stored.seed, n) if guide else _of_chains(stored, n)
    point = {f"{p.name}{UNCONSTRAINED}": stored.lifted(p.name) for p in stored.spec.params}
    return Posterior(
        spec=stored.spec,
        facts=known,
        sample_dims=("sample",),
        draws={name: np.asarray(values, float).reshape(n, *shapes[name]) for name, values in draws.items()},
        point={name: values.reshape(shapes[name]) for name, values in point.items()},
        map_kind=stored.map_kind,
        guide=guide,
    )


def _of_chains(stored: StoredFit, n: int) -> dict[str, np.ndarray]:
    lifted = stored.group("unconstrained_posterior")
    lead = len(stored.sample_dims)
    flat = {name: values.reshape(-1, *values.shape[lead:]) for name, values in lifted.items()}
    there = len(next(iter(flat.values())))
    if n > there:
        raise UsageError(f"n = {n}: the chains of {stored.out} hold {there} draws; ask for at most as many")
    at = np.linspace(0, there - 1, n).round().astype(int)
    return {name: values[at] for name, values in flat.items()}


def distributions(stored: StoredFit, at: np.ndarray | None) -> dict[str, Distribution]:
    """{sampled parameter: its law}, on the genes `at`; UsageError (2) of chains."""
    guide, known = stored.guide, facts(stored)
    if guide is None:
        raise UsageError(f"{stored.out}: chains are draws and no distribution; use get_posterior_samples")
    genes = {} if at is None else {GENE: at}
    params = {group: {n: _on(v, genes) for n, v in sites.items()} for group, sites in guide["params"].items()}
    return marginals.of_mean_field(stored.spec, params, known.sizes | {axis: len(i) for axis, i in genes.items()})


def counts(stored: StoredFit, n: int, at: np.ndarray | None) -> np.ndarray:
    """(n, cells, genes `at`) int32: replicate counts, each from a draw of the posterior."""
    drawn = posterior(stored, n)
    sizes = drawn.facts.sizes if at is None else {**drawn.facts.sizes, GENE: len(at)}
    seen, genes = Facts(sizes, drawn.facts.arrays), {} if at is None else {GENE: at}
    at_draw = jax.jit(lambda thetas, facts: program.natural(drawn.spec, program.replay(drawn.spec, facts, thetas)))
    replicates = np.empty((n, sizes[CELL], sizes[GENE]), np.int32)
    seeds = np.random.default_rng([stored.seed, STREAM]).integers(1 << 32, size=n)
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
