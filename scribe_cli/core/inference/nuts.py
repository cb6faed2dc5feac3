"""The No-U-Turn sampler: numpyro's, on the log density of a model, in coordinates of its own.

The sampler sees y; `Coordinates` map it to thetas. Data and coordinates are arguments of the compiled programs, so
that other data, other chains and other coordinates of the same shapes take the same programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpyro.infer.hmc import hmc

from ...errors import NumericalError
from ..model import derive
from . import curvature, diagnostics, mode, relabel
from .posterior import Posterior, lifted
from .problem import Problem, purpose_key
from .whitening import Whitened, around

CHUNK = 25  # draws between two looks at the host
MAX_TREE_DEPTH = 10
STEP_SIZE = 0.1  # the first, in posterior standard deviations
SPREAD = 1.0  # of the starts around the centre, likewise
WARMUP, WARMUP_WHITENED = 1000, 300


@dataclass(frozen=True)
class Options:
    """n_warmup None: 300 in whitened coordinates, else 1000; n_samples: of each chain; svi_init: start at the mode."""

    n_warmup: int | None = None
    n_samples: int = 1000
    n_chains: int = 4
    svi_init: bool = True
    target_accept: float = 0.8
    seed: int = 42


class Coordinates(Protocol):
    """A pytree. Under the posterior y should be about standard normal: starts are drawn so, and steps sized so.

    whitened: correlations are taken out too, then the mass stays one and only the step size is tuned.
    size: length of y. thetas(y) -> ({site: theta}, log |d thetas / d y|); a constant may be left out of it.
    """

    whitened: bool

    @property
    def size(self) -> int: ...

    def thetas(self, y) -> tuple[dict, Any]: ...


@functools.partial(jax.tree_util.register_dataclass, data_fields=("centre", "scale"), meta_fields=("whitened",))
@dataclass(frozen=True)
class Affine:
    """theta = centre + scale y, element by element; centre, scale: {site: array}."""

    centre: dict
    scale: dict
    whitened: bool = False

    @property
    def size(self) -> int:
        return sum(v.size for v in self.centre.values())

    def thetas(self, y):
        centre, unravel = ravel_pytree(self.centre)
        return unravel(centre + ravel_pytree(self.scale)[0] * y), 0.0


@dataclass(frozen=True)
class Chains:
    """draws: {site: (chain, draw, *shape)} thetas, float64; sample_stats: {ArviZ's name: (chain, draw)}.

    lp is the model's log joint of thetas; energy and n_steps are the sampler's, in its own coordinates.
    """

    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]


def fit(problem: Problem, start: dict, options: Options, on_step: Callable = lambda **_: None) -> Chains:
    """Chains of a model from around `start` ({site: theta}), or from around the mode that is found from there.

    on_step(phase, step, ...) is called as the work goes on. Raises NumericalError as `sample` and `mode.find` do.
    """
    if problem.row_of_cell is not None or problem.minibatch is not None:
        raise ValueError("NUTS needs every cell in a row of its own, all of them at once (DESIGN.md 1.3)")
    at_mode = False
    if options.svi_init:
        found = mode.find(problem, start, on_step, held=[site for site in start if derive.is_scale(site)])
        start, at_mode = found.thetas, found.converged
    return sample(problem.log_joint, coordinates(problem, start, at_mode), (problem.facts, problem.stats), options, on_step)


def coordinates(problem: Problem, centre: dict, at_mode: bool) -> Coordinates:
    """Whitened where the curvature at the mode is that of the posterior: not of a hierarchy, nor of components that labels may

    exchange.
    """
    if at_mode and not problem.spec.hierarchical and not problem.spec.mixed:
        return Whitened(around(problem, centre))
    products = curvature.products(problem, centre, problem.facts, problem.stats)
    return Affine(centre, curvature.scale(curvature.diagonal(products)))


def posterior(problem: Problem, chains: Chains) -> tuple[Posterior, dict[str, diagnostics.Convergence]]:
    """The posterior, its point the mean of the thetas (MODELS.md 6), and how each stored parameter has converged."""
    draws, pieces = lifted(problem.spec, problem.cells, chains.draws, 2, problem.centred)
    switched = 0
    if problem.spec.mixed:
        axes = {name: site.axes for name, site in problem.sites.items()}
        held = np.unique(problem.cells.arrays.get("annotation", -1))
        draws, pieces, switched = relabel.relabelled(problem.spec, draws, pieces, axes, held[held >= 0])
    found = Posterior(
        spec=problem.spec,
        facts=problem.cells,
        sample_dims=("chain", "draw"),
        draws=draws,
        point={name: values.mean((0, 1)) for name, values in draws.items()},
        map_kind="lifted_mean",
        pieces=pieces,
        sample_stats=chains.sample_stats,
    )
    by_parameter = diagnostics.of_posterior(found)
    return replace(found, diagnostics=diagnostics.metrics(by_parameter, chains.sample_stats) | {"label_switches": switched}), by_parameter


def sample(
    log_joint: Callable, coordinates: Coordinates, data: tuple, options: Options, on_step: Callable = lambda **_: None
) -> Chains:
    """Draws from exp(log_joint(thetas, *data)), chain after chain, each from a start of its own.

    After each chunk on_step gets phase (warm-up, sample), step (of the draws of all chains) and total, chain, draw,
    accept (mean of the chunk), divergences (of the chain's kept draws). Raises NumericalError naming chain, draw and
    site where the log density or its gradient is not finite.
    """
    default = WARMUP_WHITENED if coordinates.whitened else WARMUP
    n_warmup = default if options.n_warmup is None else options.n_warmup
    length, kept = n_warmup + options.n_samples, None
    sampler = _sampler(log_joint, coordinates, data, n_warmup, options.target_accept)
    key = purpose_key(options.seed, "nuts")
    for chain in range(options.n_chains):
        for first, drawn in _chunks(sampler, jax.random.fold_in(key, chain), length, chain):
            kept = kept or _room(drawn, options)
            _put(kept, drawn, chain, first - n_warmup)
            draw, stats = min(first + CHUNK, length), kept["stats"]
            on_step(
                phase="warm-up" if draw <= n_warmup else "sample",
                step=chain * length + draw,
                total=options.n_chains * length,
                chain=chain,
                draw=draw,
                accept=float(drawn["stats"]["acceptance_rate"].mean()),
                divergences=int(stats["diverging"][chain, : max(draw - n_warmup, 0)].sum()),
            )
    return Chains(kept["draws"], kept["stats"] | _trees(kept["stats"]["n_steps"]))


@dataclass(frozen=True)
class _Sampler:
    """start(key) -> state; chunk(state) -> (state, {draws: thetas, stats, sound}), each with CHUNK draws in front;

    thetas(state); slopes(thetas) -> (log joint, its gradient), to tell what went wrong where.
    """

    start: Callable
    chunk: Callable
    thetas: Callable
    slopes: Callable


def _sampler(log_joint, coordinates: Coordinates, data: tuple, n_warmup: int, target_accept: float) -> _Sampler:
    """The compiled programs, with the arguments that stay the same."""

    def potential(coordinates, data):
        def of(y):
            thetas, log_jacobian = coordinates.thetas(y)
            return -(log_joint(thetas, *data) + log_jacobian)

        return of

    init, step = hmc(potential_fn_gen=potential, algo="NUTS")
    tuning = {"adapt_mass_matrix": not coordinates.whitened, "target_accept_prob": target_accept}

    @jax.jit
    def start(key, coordinates, data):
        key, noise = jax.random.split(key)
        y = SPREAD * jax.random.normal(noise, (coordinates.size,))
        here = {"model_args": (coordinates, data), "rng_key": key}
        return init(y, n_warmup, STEP_SIZE, max_tree_depth=MAX_TREE_DEPTH, **tuning, **here)

    @jax.jit
    def chunk(state, coordinates, data):
        def one(state, _):
            state = step(state, (coordinates, data))
            return state, _drawn(state, coordinates)

        return jax.lax.scan(one, state, None, length=CHUNK)

    slopes = jax.jit(lambda thetas, data: jax.value_and_grad(log_joint)(thetas, *data))
    return _Sampler(
        start=lambda key: start(key, coordinates, data),
        chunk=lambda state: chunk(state, coordinates, data),
        thetas=lambda state: coordinates.thetas(state.z)[0],
        slopes=lambda thetas: slopes(thetas, data),
    )


def _drawn(state, coordinates: Coordinates) -> dict:
    """What is kept of a state of the chain, under ArviZ's names; sound: whether the chain can go on from there."""
    thetas, log_jacobian = coordinates.thetas(state.z)
    stats = {
        "lp": -state.potential_energy - log_jacobian,
        "energy": state.energy,
        "acceptance_rate": state.accept_prob,
        "n_steps": state.num_steps,
        "diverging": state.diverging,
        "step_size": state.adapt_state.step_size,
    }
    return {"draws": thetas, "stats": stats, "sound": _sound(state)}


def _sound(state):
    return jnp.isfinite(state.potential_energy) & jnp.isfinite(state.z_grad).all()


def _chunks(sampler: _Sampler, key, length: int, chain: int) -> Iterator[tuple[int, dict]]:
    """(number of its first draw, what was drawn) for each chunk of a chain, checked."""
    state = sampler.start(key)
    if not _sound(state):
        raise _autopsy(sampler, sampler.thetas(state), f"the start of chain {chain}")
    for first in range(0, length, CHUNK):
        state, drawn = sampler.chunk(state)
        drawn = jax.tree.map(np.asarray, drawn)
        sound = drawn.pop("sound")
        if not sound.all():
            bad = int(np.argmin(sound))
            thetas = {site: values[bad] for site, values in drawn["draws"].items()}
            raise _autopsy(sampler, thetas, f"draw {first + bad + 1} of chain {chain}, warm-up counted")
        yield first, drawn


def _autopsy(sampler: _Sampler, thetas: dict, place: str) -> NumericalError:
    value, slopes = sampler.slopes(thetas)
    counted = {
        f"the {what} of {site}": (int((~np.isfinite(v)).sum()), v.size)
        for what, values in (("value", thetas), ("gradient", slopes))
        for site, v in values.items()
    }
    bad = [f"{what} is not finite in {n} of {size} elements" for what, (n, size) in counted.items() if n]
    ranges = [f"{site} from {float(v.min()):.4g} to {float(v.max()):.4g}" for site, v in thetas.items()]
    found = "; ".join(bad) or "every gradient is finite, with " + ", ".join(ranges)
    return NumericalError(f"the log density is {float(value)} at {place}: {found}; look at the priors of these sites")


def _room(drawn: dict, options: Options) -> dict:
    """Arrays for all draws of all chains, like these of one chunk."""
    shape = (options.n_chains, options.n_samples)
    return jax.tree.map(lambda values: np.empty((*shape, *values.shape[1:]), values.dtype), drawn)


def _put(kept: dict, drawn: dict, chain: int, first: int) -> None:
    """Rows of a chunk into their places; `first` is the place of its first row, negative in the warm-up."""

    def put(whole, part):
        part = part[max(-first, 0) : max(whole.shape[1] - first, 0)]
        whole[chain, max(first, 0) :][: len(part)] = part

    jax.tree.map(put, kept, drawn)


def _trees(n_steps: np.ndarray) -> dict[str, np.ndarray]:
    """Depths of the trajectories' trees: a full tree of depth d takes 2^d - 1 steps."""
    depth = np.floor(np.log2(n_steps)).astype(int) + 1
    return {"tree_depth": depth, "reached_max_treedepth": n_steps >= 2**MAX_TREE_DEPTH - 1}
