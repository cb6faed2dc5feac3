"""A mean-field guide without chance: the ELBO of fixed draws, climbed by quasi-Newton steps from the curvature at the start.

Coordinates are those in which this curvature is one: of the locations by the blocks of whitening.py, of the log sds by the number
of cells that a row stands for (the second derivative of an ELBO in the log sd of a Normal is -2 there). That the draws are enough
is checked with four times as many fresh ones; where they are not, these many are taken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..numerics import counts
from . import arrow, ascent, curvature, standardised, whitening
from .guides import laplace, mean_field
from .problem import Problem
from .standardised import MORE, MOST, READ

TOLERANCE = 1e-2  # nats, of the decrement
PAIRS = 8  # of draws, in one call
STEPS = 25  # that more draws will take, at least
FEWEST = 3_000  # gradients of the log joint that are always allowed, since Adam takes 2,000 and more
FEWEST_OF_HALVES = 12_000  # which cost a fraction


@dataclass(frozen=True)
class Ended:
    """params: the guide's {group: {site: array}}; losses: minus the ELBO of the fixed draws, step by step.

    decrement, shortfall: nats that are left in this ELBO, and that are lost since its draws are finitely many (infinite where
    it was not found); gradients: of the log joint, in all; pairs: of draws; why: it has not converged, else empty.
    """

    params: dict
    losses: np.ndarray
    decrement: float
    shortfall: float
    gradients: int
    pairs: int
    why: str


class Elbo:
    """f(draws, x) -> (value, slope (n,)) of the ELBO of fixed draws in the coordinates x (n,), which are 0 at the start."""

    def __init__(self, problem: Problem, start: dict):
        products = curvature.products(problem, start, problem.facts, problem.stats)
        weights = problem.weights(start)
        counted = {site: jnp.where(w > 0, w, 1.0) for site, w in weights.items()}  # padding stays where it is: its slope is 0
        log_sd = curvature.guide_log_sd(problem, curvature.diagonal(products))
        self.problem, self.gradients = problem, len(products)
        self.start = {"loc": dict(start), "log_sd": log_sd}
        self._frame = {"start": self.start, "within": whitening.blocks(products), "weights": weights, "counted": counted}
        flat, self._unravel = ravel_pytree(self.start)
        self.size, self.shapes = flat.size, {site: v.shape for site, v in start.items()}
        self.free = 2 * sum(int((w > 0).sum()) for w in weights.values())  # parameters, without padding
        self._params = jax.jit(functools.partial(_params, self._unravel))
        self._add = jax.jit(functools.partial(_add, problem, self._unravel))

    def params(self, x: np.ndarray) -> dict:
        return self._params(x, self._frame)

    def inverse(self, evaluate: Callable, x: np.ndarray, slope: np.ndarray) -> Callable:
        return arrow.inverse(evaluate, x, slope, {site: self.shapes[site] for site in sorted(self.shapes)})

    def draws(self, pairs: int, seed: int) -> list[dict]:
        """In parts of PAIRS, so that any number of them is one program."""
        found = standardised.draws(self.shapes, pairs, seed)
        return [jax.tree.map(lambda z, i=i: jnp.asarray(z[i : i + PAIRS]), found) for i in range(0, pairs, PAIRS)]

    def __call__(self, draws: list[dict], x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = 0.0, np.zeros(self.size)
        for part in draws:
            self.gradients += 2 * PAIRS
            of_part = self._add(x, self._frame, part, self.problem.facts, self.problem.stats)
            value += float(of_part[0]) / len(draws)
            slope += np.asarray(of_part[1]) / len(draws)
        return value, slope


def _params(unravel: Callable, x, frame: dict) -> dict:
    """Parameters of the guide at x: loc = start + M y, log_sd = start + u / sqrt(2 weight), x = (y, u)."""
    moves, start = unravel(x), frame["start"]
    moved = laplace.within(frame["within"], moves["loc"])
    return {
        "loc": {site: v + moved[site] for site, v in start["loc"].items()},
        "log_sd": {site: v + moves["log_sd"][site] / jnp.sqrt(2.0 * frame["counted"][site]) for site, v in start["log_sd"].items()},
    }


def _add(problem: Problem, unravel: Callable, x, frame: dict, draws: dict, facts, stats):
    """(ELBO, its slope in x) of the pairs of draws.

    One gradient of the log joint a draw tells both: d/d log s = E[z s d log p/d theta] + weight, which by Stein's lemma is
    s^2 E[d^2 log p/d theta^2] + weight.
    """
    params, back = jax.vjp(lambda x: _params(unravel, x, frame), x)
    moves = {site: jnp.exp(params["log_sd"][site])[None] * jnp.concatenate([z, -z]) for site, z in draws.items()}
    above, each = _expected(problem, params["loc"], moves, facts, stats)

    def slopes(moved):
        value, slope = each({site: v + moved[site] for site, v in params["loc"].items()})
        return value, {"loc": slope, "log_sd": {site: slope[site] * moved[site] for site in slope}}

    value, mean = _mean(slopes, moves)
    mean["log_sd"] = {site: v + frame["weights"][site] for site, v in mean["log_sd"].items()}
    return above + value + mean_field.entropy(params, frame["weights"]), back(mean)[0]


def _expected(problem: Problem, loc: dict, moves: dict, facts, stats):
    """(number, f(thetas) -> (value, slopes)), such that the mean log joint is the number and the mean of f over all moves.

    A likelihood of two halves is linear in either: their means are joined, which are those of all draws of genes with all of
    cells, and only the slopes of that are taken draw by draw.
    """
    if problem.halves is None:
        return 0.0, lambda thetas: jax.value_and_grad(problem.log_joint)(thetas, facts, stats)
    at = lambda moved: problem.halves({site: v + moved[site] for site, v in loc.items()}, facts, stats)[1:]  # noqa: E731
    joined = lambda genes, cells: problem.lane.halves.joined(genes, cells, facts, stats)  # noqa: E731
    value, of_halves = jax.value_and_grad(joined, (0, 1))(*_mean(at, moves))

    def along(thetas):
        log_prior, *halves = problem.halves(thetas, facts, stats)
        rises = jax.tree.map(lambda half, slope: (half * slope).sum(), tuple(halves), of_halves)
        return log_prior + sum(jax.tree.leaves(rises)), log_prior

    def of_thetas(thetas):
        (_, log_prior), slope = jax.value_and_grad(along, has_aux=True)(thetas)
        return log_prior, slope

    return value, of_thetas


def _mean(f: Callable, moves: dict):
    """Of f(a row of moves), one after another."""
    nothing = jax.tree.map(lambda of: jnp.zeros(of.shape), jax.eval_shape(f, jax.tree.map(lambda v: v[0], moves)))
    total, _ = jax.lax.scan(lambda sums, moved: (jax.tree.map(jnp.add, sums, f(moved)), None), nothing, moves)
    return jax.tree.map(lambda v: v / (2 * PAIRS), total)


def fit(problem: Problem, start: dict, seed: int, on_step: Callable = lambda **_: None) -> Ended:
    """The guide from `start` ({site: theta}), where its log sds are those of the curvature."""
    elbo = Elbo(problem, start)
    x, memory, losses, shortfall = np.zeros(elbo.size), ascent.Memory(elbo.inverse), [], np.inf
    pairs = PAIRS * -(-standardised.fewest(elbo.shapes) // PAIRS)
    allowed, limit = _affordable(problem), standardised.bearable(elbo.free)
    # the scales of a hierarchy have laws with heavy tails, and few draws are seldom enough: it is seen before the last nats
    rough = problem.spec.hierarchical

    def told(value, decrement):
        losses.append(-value)
        on_step(phase="fit", step=len(losses), loss=-value, gain=decrement)

    def ended(why: str) -> Ended:
        return Ended(elbo.params(reached.x), np.array(losses), reached.decrement, shortfall, elbo.gradients, pairs, why)

    while True:
        fixed = functools.partial(elbo, elbo.draws(pairs, seed))
        tolerance = limit if rough else TOLERANCE
        reached = ascent.climb(fixed, x, memory, tolerance, rough, told, lambda: elbo.gradients < allowed)
        told(reached.value, reached.decrement)
        if not reached.converged:
            return ended(_why(reached, elbo.gradients, allowed))
        x, shortfall = reached.x, _shortfall(elbo, reached, memory, pairs, seed)
        few, again = shortfall >= limit, elbo.gradients + 2 * MORE * pairs * STEPS <= allowed
        if not few and not rough:
            return ended("")
        if few and again:
            rough, pairs = True, MORE * pairs
        elif rough:
            rough = False  # the last nats are gained with the draws there are, and less may be lost there than was seen on the way
        else:
            return ended(f"{2 * pairs} fixed draws are too few, {shortfall:.3g} nats are lost")


def _affordable(problem: Problem) -> int:
    """Of two halves, what a gradient reads is read once for all draws."""
    read = sum(np.size(v) for v in jax.tree.leaves(problem.stats)) - counts.filling(problem.stats.get("tails"))
    fewest, each = (FEWEST_OF_HALVES, 2 * PAIRS) if problem.halves else (FEWEST, 1)
    return int(min(max(fewest, READ * each / read), MOST))


def _shortfall(elbo: Elbo, reached: ascent.Ascent, memory: ascent.Memory, pairs: int, seed: int) -> float:
    """Of a rough ascent what is left is as much as may be lost."""
    _, slope = elbo(elbo.draws(MORE * pairs, seed + 1), reached.x)
    return standardised.lost(slope, memory, reached.decrement)


def _why(reached: ascent.Ascent, gradients: int, allowed: int) -> str:
    if not np.isfinite(reached.value):
        return "the ELBO is not finite where the guide starts"
    if gradients >= allowed:
        return f"{reached.decrement:.3g} nats were left after {gradients:,} gradients"
    return f"no step gained, with {reached.decrement:.3g} nats left"
