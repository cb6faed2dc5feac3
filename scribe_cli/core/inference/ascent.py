"""Quasi-Newton ascent in coordinates whose curvature is near one, until the decrement of the whole problem is small.

L-BFGS (Nocedal and Wright 2006, algorithm 7.4) with the identity to start from; where that takes long, with what the curvature
is by then. When its own decrement is small, that is not believed: the Newton step is found by conjugate gradients on products of
the true Hessian, which are differences of slopes, with what L-BFGS has learnt as their preconditioner; its decrement is the
verdict, and where it is too large, it is the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PAIRS_KEPT = 20  # of steps and changes of slope
ENOUGH = 1e-4  # of the gain that the slope promises: Armijo's
HALVINGS = 15
GRAIN = 1e-13  # of a value, below which its changes are rounding
NUDGE = 1e-3  # length of the step that a difference of slopes is taken over, in units of the coordinates
PRODUCTS = 20
FIRST, EVERY = 5, 15  # steps after which the curvature is looked at, where it is near one at first, and again
STILL = 0.02  # of a decrement: a smaller gain ends conjugate gradients


class Memory:
    """The inverse of the negative Hessian, as far as the steps have told it.

    inverse(evaluate, x, slope) -> f, f(d) being about that inverse at x times d, and positive: what it is before any step; or
    None where it cannot be told, and what it was stays. look: steps after which it is looked at first.
    """

    def __init__(self, inverse: Callable = lambda *_: lambda d: d, look: int = FIRST):
        self._known: list[tuple[np.ndarray, np.ndarray, float]] = []
        self._inverse, self._first, self._look = inverse, lambda d: d, look

    def due(self, steps: int) -> bool:
        return steps >= self._look and (steps - self._look) % EVERY == 0

    def look(self, evaluate: Callable, x: np.ndarray, slope: np.ndarray) -> None:
        self._first = self._inverse(evaluate, x, slope) or self._first

    def add(self, step: np.ndarray, change: np.ndarray) -> None:
        """change: of minus the slope over the step. What does not bend down is not kept: the inverse stays positive."""
        bend = step @ change
        if bend > 1e-8 * np.linalg.norm(step) * np.linalg.norm(change):
            self._known = [*self._known[1 - PAIRS_KEPT :], (step, change, bend)]

    def __call__(self, slope: np.ndarray) -> np.ndarray:
        d, sizes = slope.copy(), []
        for step, change, bend in reversed(self._known):
            sizes.append(step @ d / bend)
            d -= sizes[-1] * change
        d = self._first(d)
        for (step, change, bend), size in zip(self._known, reversed(sizes), strict=True):
            d += (size - change @ d / bend) * step
        return d


@dataclass(frozen=True)
class Ascent:
    """Where it ended: x (n,), its value, and the decrement, in the units of the value."""

    x: np.ndarray
    value: float
    decrement: float
    converged: bool


def climb(
    evaluate: Callable, x: np.ndarray, memory: Memory, tolerance: float, rough: bool, on_step: Callable, affordable: Callable
) -> Ascent:
    """evaluate(x) -> (value, slope); rough: L-BFGS is believed, of a place that is only on the way.

    on_step(value, decrement) is called before each step; no more of them once not affordable().
    """
    value, slope = evaluate(x)
    decrement, steps = np.inf, 0
    while np.isfinite(value) and affordable():
        if memory.due(steps):
            memory.look(evaluate, x, slope)
        direction = memory(slope)
        decrement = slope @ direction / 2
        if decrement < tolerance:
            if not rough:
                direction, decrement = newton(evaluate, x, slope, memory)
            if decrement < tolerance:
                return Ascent(x, value, float(decrement), True)
        on_step(value, decrement)
        found = _along(evaluate, x, value, direction, slope @ direction)
        if found is None:
            break
        step, value, new = found
        memory.add(step, slope - new)
        x, slope, steps = x + step, new, steps + 1
    return Ascent(x, value, float(decrement), False)


def _along(evaluate: Callable, x: np.ndarray, value: float, direction: np.ndarray, rise: float):
    """(step, value, slope) of the first point that gains enough, by halving or by the parabola through what is known; or None."""
    size = 1.0
    for _ in range(HALVINGS):
        step = size * direction
        reached, slope = evaluate(x + step)
        if reached >= value + ENOUGH * size * rise - GRAIN * abs(value) and np.isfinite(slope).all():
            return step, reached, slope
        fallen = size * rise - (reached - value)
        best = 0.5 * size**2 * rise / fallen if np.isfinite(fallen) else 0.0
        size = min(max(best, 0.1 * size), 0.5 * size)
    return None


def newton(evaluate: Callable, x: np.ndarray, slope: np.ndarray, memory: Memory) -> tuple[np.ndarray, float]:
    """(step, decrement) of the value's own Hessian; where that does not bend down, so far as it did, and an infinite one."""

    def product(v):
        nudge = NUDGE / np.linalg.norm(v)
        return (slope - evaluate(x + nudge * v)[1]) / nudge

    p, left = np.zeros_like(slope), slope
    direction = memory(left)
    power = left @ direction
    for i in range(PRODUCTS):
        moved = product(direction)
        bend = direction @ moved
        if not bend > 0:
            return (p if i else memory(slope)), np.inf
        size = power / bend
        p, left = p + size * direction, left - size * moved
        toward = memory(left)
        power, before = left @ toward, power
        if size * before < STILL * (slope @ p) or power == 0:
            break
        direction = toward + power / before * direction
    return p, float(slope @ p) / 2
