"""The curvature of a log joint at its mode, as what a Laplace guide is made of and a sampler's coordinates are.

Sites of one shape meet element by element: that is a block of the Hessian for each element. What is left, once the blocks are
taken out, is the identity but for a few directions that all elements share (ENGINE.md, Sampling geometry). Their eigenpairs come
from Lanczos' iteration, with every vector kept orthogonal to all before it (Parlett 1998, chapter 13).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ...errors import NumericalError
from . import arrow, ascent, curvature, elementwise, settling, standardised
from .guides import laplace
from .problem import Problem, purpose_key
from .standardised import MORE, MOST, READ

STEPS = 40
RANK = 8
NEAR_ONE = (2.0 / 3.0, 1.5)  # eigenvalues that are left as they are: a step that fits the others fits them too
KNOWN = 0.05  # of an eigenvalue: the residual up to which a pair is taken
PAIRS = 8  # of antithetic draws for the middle of a guide, at least
CALLS = 60  # mean slopes of them, before what is left is told
MIDDLE = 1e-2  # nats
LOWEST = 1e-6  # eigenvalue: a direction that bends no more than this has no scale to be known by


@functools.partial(jax.tree_util.register_dataclass, data_fields=("params",), meta_fields=("whitened",))
@dataclass(frozen=True)
class Whitened:
    """A sampler's coordinates y: thetas are a Laplace guide's points at y."""

    params: dict
    whitened: bool = True

    @property
    def size(self) -> int:
        return sum(v.size for v in self.params["loc"].values())

    def thetas(self, y):
        return laplace.points(self.params, ravel_pytree(self.params["loc"])[1](y)), 0.0


def around(problem: Problem, at: dict, seed: int = 0) -> dict:
    """Parameters of the Laplace guide {group: {site: array}} at a mode, where the Hessian is definite.

    Every cell has a row of its own: rows that stand for several know less of a cell's spread. Padding gets a standard Normal.
    """
    padding = {site: w == 0 for site, w in problem.weights(at).items()}
    found = jax.tree.map(np.array, curvature.products(problem, at, problem.facts, problem.stats))
    for i, site in enumerate(found):
        found[site][i] += padding[site]
    params = {"loc": dict(at)} | blocks(found)
    size, unravel = sum(v.size for v in at.values()), ravel_pytree(at)[1]

    @jax.jit
    def product(v, params, facts, stats):
        gradient = jax.grad(lambda y: -problem.log_joint(laplace.points(params, unravel(y)), facts, stats))
        return jax.jvp(gradient, (jnp.zeros_like(v),), (v,))[1]

    start = jnp.where(ravel_pytree(padding)[0], 0.0, jax.random.normal(purpose_key(seed, "lanczos"), (size,)))
    values, vectors = extremes(lambda v: np.asarray(product(v, params, problem.facts, problem.stats)), np.asarray(start))
    directions = (vectors * values**-0.5).T
    return params | {f"{laplace.DIRECTION}{k}": unravel(jnp.asarray(d)) for k, d in enumerate(directions)}


@dataclass(frozen=True)
class Middle:
    """A Laplace guide with its location where the ELBO is highest.

    left, lost: nats that are still to gain there, and that are lost since the draws are finitely many, of which there were
    `draws`; gradients: of the log joint, in all. misfit: {site: E[(slope + y)^2]} of each element in y, the Fisher divergence of
    a posterior from its guide: 0 where it is that Normal, 1 where the error of the slope is as large as the slope of that Normal.
    """

    params: dict
    left: float
    lost: float
    draws: int
    gradients: int
    misfit: dict


def centred(problem: Problem, params: dict, seed: int = 0, on_step: Callable = lambda **_: None) -> Middle:
    """A mode is not the middle of a posterior: where every cell has a capture of its own, its error in what they share is of many

    posterior sds. The ELBO of fixed draws is climbed, and its own Hessian tells what is left. That is not the identity, as the
    log joint's is at the mode: where a law is flat to one side and falls off steeply to the other, as that of k_off, the draws
    that fall make it tens of times as large in some genes. Joint steps short enough for these would leave all others behind, so
    that genes with several parameters come first, each for itself. Where the draws were too few, and more of them cost little,
    the location is moved on with these. NumericalError where the log density is not finite around the mode.
    """
    elbo, steps = _Elbo(problem, params, seed), itertools.count(1)
    told = lambda value, gain: on_step(phase="centre", step=next(steps), loss=-value, gain=gain)  # noqa: E731
    origin, look = np.zeros(elbo.size), ascent.FIRST
    for at in arrow.groups(elbo.shapes, elbo.size):
        if len(at) >= settling.FEWEST:
            evaluate, look = elbo.along(params, laplace.within), 0
            _, slope = _finite(*evaluate(origin))
            x = elementwise.climb(evaluate, origin, slope, at, lambda gain: told(elbo.value, gain))
            params = elbo.moved(params, laplace.within, x)
    while True:
        evaluate, memory, allowed = elbo.along(params, _shared), ascent.Memory(elbo.inverse, look), elbo.calls + CALLS
        reached = ascent.climb(evaluate, origin, memory, MIDDLE, False, told, lambda: elbo.calls < allowed)  # noqa: B023
        left = reached.decrement
        if not reached.converged:
            _, slope = _finite(*evaluate(reached.x))
            left = ascent.newton(evaluate, reached.x, slope, memory)[1]
        lost = standardised.lost(elbo.fresh(lambda: evaluate(reached.x))[1], memory, left)  # noqa: B023
        params = elbo.moved(params, _shared, reached.x)
        if lost < standardised.bearable(elbo.free) or elbo.gradients + MORE * elbo.draws * CALLS > _affordable(problem):
            return Middle(params, left, lost, elbo.draws, elbo.gradients, elbo.misfit)
        elbo.take_more()


def _affordable(problem: Problem) -> float:
    """Gradients of a log joint, as far as its size allows."""
    return min(READ / max(sum(np.size(v) for v in jax.tree.leaves(problem.stats)), 1), MOST)


def _finite(value: float, slope: np.ndarray) -> tuple[float, np.ndarray]:
    if not (np.isfinite(value) and np.isfinite(slope).all()):
        raise NumericalError(f"the log density is {value} on draws around the mode: choose guide: {{family: mean_field}}")
    return value, slope


def _shared(params: dict, y: dict) -> dict:
    """A point less the location, linear in y."""
    return laplace.points(params | {"loc": jax.tree.map(jnp.zeros_like, params["loc"])}, y)


class _Elbo:
    """The mean log joint of fixed draws of a Laplace guide, whose entropy stays, as its location moves.

    value, misfit: of the place that was seen last, which at the end is a nudge from where that is.
    """

    def __init__(self, problem: Problem, params: dict, seed: int):
        self.shapes = {site: params["loc"][site].shape for site in sorted(params["loc"])}  # the order of ravel_pytree
        flat, self._unravel = ravel_pytree(params["loc"])
        self.size, self.value, self.misfit, self._of = flat.size, np.nan, {}, (problem.facts, problem.stats)
        self.free = sum(int((w > 0).sum()) for w in problem.weights(params["loc"]).values())  # parameters, without padding
        self.calls = self.gradients = 0
        self._seed, self._pairs = seed, max(PAIRS, standardised.fewest(self.shapes))
        self._parts = self._drawn(1, seed)

        def mean(params, draws, facts, stats):
            def of(eps):
                at = lambda loc: problem.log_joint(laplace.points(params | {"loc": loc}, eps), facts, stats)  # noqa: E731
                value, slope = jax.value_and_grad(at)(params["loc"])
                (in_y,) = jax.linear_transpose(functools.partial(_shared, params), eps)(slope)
                return value, slope, {site: (in_y[site] + eps[site]) ** 2 for site in eps}

            return jax.tree.map(lambda v: v.mean(0), jax.lax.map(of, draws))

        self._mean = jax.jit(mean)

    @property
    def draws(self) -> int:
        return 2 * self._pairs * len(self._parts)

    def _drawn(self, parts: int, seed: int) -> list[dict]:
        """Draws in parts, so that any number of them is one program."""
        found = standardised.draws(self.shapes, parts * self._pairs, seed)
        both = {site: np.stack([z, -z], 1).reshape(parts, 2 * self._pairs, *z.shape[1:]) for site, z in found.items()}
        return [{site: jnp.asarray(z[i]) for site, z in both.items()} for i in range(parts)]

    def take_more(self) -> None:
        self._parts = self._drawn(MORE * len(self._parts), self._seed)

    def fresh(self, evaluate: Callable):
        """What evaluate() is with MORE times as many other draws."""
        kept, self._parts = self._parts, self._drawn(MORE * len(self._parts), self._seed + 1)
        found = evaluate()
        self._parts = kept
        return found

    def along(self, params: dict, move: Callable) -> Callable:
        """f(x) -> (value, slope (n,)) where the location is moved by move(params, y), linear in y, whose numbers x (n,) are."""
        to_y = jax.jit(lambda params, slope: jax.linear_transpose(lambda x: move(params, self._unravel(x)), np.zeros(self.size))(slope)[0])

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            self.calls += 1
            self.gradients += self.draws
            moved = self.moved(params, move, x)
            parts = [self._mean(moved, part, *self._of) for part in self._parts]
            value, slope, self.misfit = jax.tree.map(lambda *v: np.mean(v, 0), *parts)
            self.value = float(value)
            return self.value, np.asarray(to_y(params, slope))

        return evaluate

    def moved(self, params: dict, move: Callable, x: np.ndarray) -> dict:
        return params | {"loc": jax.tree.map(jnp.add, params["loc"], move(params, self._unravel(jnp.asarray(x))))}

    def inverse(self, evaluate: Callable, x: np.ndarray, slope: np.ndarray) -> Callable | None:
        return arrow.inverse(evaluate, x, slope, self.shapes)


def blocks(products: Mapping) -> dict:
    """{log_sd: {site: array}, on_<site>: {later site of its shape: array}}: the lower factors of the blocks' inverses."""
    place = {site: i for i, site in enumerate(products)}
    shape_of = {site: v.shape[1:] for site, v in products.items()}
    found = {"log_sd": {}}
    for _, group in groupby(sorted(place, key=lambda site: (shape_of[site], place[site])), key=shape_of.get):
        sites = list(group)
        block = np.stack([np.stack([np.asarray(products[a][place[b]]) for b in sites], -1) for a in sites], -2)
        values, vectors = np.linalg.eigh(0.5 * (block + np.swapaxes(block, -1, -2)))
        inverse = (vectors / np.maximum(values, curvature.FLATTEST)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        factor = np.linalg.cholesky(inverse)
        for i, site in enumerate(sites):
            found["log_sd"][site] = jnp.asarray(np.log(factor[..., i, i]))
            later = {b: jnp.asarray(factor[..., j, i]) for j, b in enumerate(sites) if j > i}
            found |= {f"{laplace.SLOPE}{site}": later} if later else {}
    return found


def extremes(product: Callable, start: np.ndarray, steps: int = STEPS, rank: int = RANK) -> tuple[np.ndarray, np.ndarray]:
    """(values (k,), vectors (n, k)): k <= rank eigenpairs outside NEAR_ONE, those that stretch most, of a symmetric matrix.

    product(v) -> matrix @ v, v and start (n,).
    """
    basis, diagonal, off = [start / np.linalg.norm(start)], [], []
    for _ in range(min(steps, len(start))):
        w = product(basis[-1])
        diagonal.append(w @ basis[-1])
        so_far = np.array(basis)
        for _ in range(2):  # once is not enough: what is lost to rounding comes back
            w = w - so_far.T @ (so_far @ w)
        off.append(np.linalg.norm(w))
        if off[-1] < 1e-10 * max(map(abs, diagonal)):
            break
        basis.append(w / off[-1])
    m = len(diagonal)
    values, small = np.linalg.eigh(np.diag(diagonal) + np.diag(off[: m - 1], 1) + np.diag(off[: m - 1], -1))
    residual = off[m - 1] * np.abs(small[-1])
    taken = np.flatnonzero((residual < KNOWN * np.abs(values)) & (values > LOWEST) & ((values < NEAR_ONE[0]) | (values > NEAR_ONE[1])))
    taken = taken[np.argsort(-np.abs(np.log(values[taken])))][:rank]
    return values[taken], np.array(basis[:m]).T @ small[:, taken]
