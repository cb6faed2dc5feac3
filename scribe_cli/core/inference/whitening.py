"""The curvature of a log joint at its mode, as what a Laplace guide is made of and a sampler's coordinates are.

Sites of one shape meet element by element: that is a block of the Hessian for each element. What is left, once the blocks are
taken out, is the identity but for a few directions that all elements share (ENGINE.md, Sampling geometry). Their eigenpairs come
from Lanczos' iteration, with every vector kept orthogonal to all before it (Parlett 1998, chapter 13).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ...errors import NumericalError
from . import curvature
from .guides import laplace
from .problem import Problem, normals, purpose_key

STEPS = 40
RANK = 8
NEAR_ONE = (2.0 / 3.0, 1.5)  # eigenvalues that are left as they are: a step that fits the others fits them too
KNOWN = 0.05  # of an eigenvalue: the residual up to which a pair is taken
PAIRS, ROUNDS = 8, 12  # of antithetic draws, and of steps, for the middle of a guide
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

    Every cell has a row of its own: rows that stand for several know less of a cell's spread.
    """
    params = {"loc": dict(at)} | blocks(jax.jit(curvature.products(problem))(at, problem.facts, problem.stats))
    size, unravel = sum(v.size for v in at.values()), ravel_pytree(at)[1]

    @jax.jit
    def product(v, params, facts, stats):
        gradient = jax.grad(lambda y: -problem.log_joint(laplace.points(params, unravel(y)), facts, stats))
        return jax.jvp(gradient, (jnp.zeros_like(v),), (v,))[1]

    start = jax.random.normal(purpose_key(seed, "lanczos"), (size,))
    values, vectors = extremes(lambda v: np.asarray(product(v, params, problem.facts, problem.stats)), np.asarray(start))
    directions = (vectors * values**-0.5).T
    return params | {f"{laplace.DIRECTION}{k}": unravel(jnp.asarray(d)) for k, d in enumerate(directions)}


def centred(problem: Problem, params: dict, seed: int = 0, on_step: Callable = lambda **_: None) -> tuple[dict, float]:
    """(the same guide with its location where the ELBO is highest, what another step would gain, in nats).

    A mode is not the middle of a posterior: where every cell has a capture of its own, its error in what they share is of many
    posterior sds. Newton's steps on fixed antithetic draws, for a Hessian of the ELBO that is the identity; shorter ones where
    they do not gain. NumericalError where the log density is not finite around the mode.
    """
    shapes = {site: v.shape for site, v in params["loc"].items()}
    key = purpose_key(seed, "middle")
    noise = [normals(jax.random.fold_in(key, i), shapes) for i in range(PAIRS)]
    pairs = {site: jnp.stack([sign * of[site] for of in noise for sign in (1.0, -1.0)]) for site in shapes}

    @jax.jit
    def slopes(params, pairs, facts, stats):
        """The mean log joint, and its slope in y."""

        def at(eps):
            moved = lambda y: problem.log_joint(laplace.points(params, jax.tree.map(jnp.add, eps, y)), facts, stats)  # noqa: E731
            return jax.value_and_grad(moved)(jax.tree.map(jnp.zeros_like, eps))

        values, found = jax.lax.map(at, pairs)
        return values.mean(), {site: v.mean(0) for site, v in found.items()}

    moved = jax.jit(lambda params, slope, size: params | {"loc": laplace.points(params, {n: size * v for n, v in slope.items()})})
    size, best, trial, gain = 1.0, -np.inf, params, np.inf
    for i in range(ROUNDS):
        value, found = slopes(trial, pairs, problem.facts, problem.stats)
        if float(value) > best:  # not so where it is NaN
            params, best, slope = trial, float(value), found
            gain = 0.5 * float(sum((v**2).sum() for v in slope.values()))
            on_step(phase="centre", step=i + 1, loss=-best, gain=gain)
            if gain < MIDDLE:
                break
        elif i == 0:
            raise NumericalError(f"the log density is {float(value)} on draws around the mode: choose guide: {{family: mean_field}}")
        else:
            size *= 0.5
        trial = moved(params, slope, size)
    return params, gain


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
