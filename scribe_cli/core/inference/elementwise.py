"""Elements that meet only in what is held, climbed all at once and each for itself: one slope of all of them a step.

Each has a quasi-Newton step of its own in a trust region of its own (damped BFGS: Nocedal and Wright 2006, procedure 18.2), so
that the one that bends worst holds no other back. Values are of all together: what a step gains for each is seen by the slopes at
both its ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDS = 20
ENOUGH = 1e-4  # nats of an element, on average, that are still to gain
RADIUS = 2.0  # of a step at first, in coordinates whose curvature is near one
LEAST = 0.2  # of what it was along a step: a curvature falls by no more at once


def climb(evaluate: Callable, x: np.ndarray, slope: np.ndarray, at: np.ndarray, on_step: Callable) -> np.ndarray:
    """x (n,) with the coordinates `at` (a, elements) moved; evaluate(x) -> (value, slope (n,)); slope: that at x.

    An element whose slope is not finite after its step takes a shorter one.
    """
    slope, bend, radius = slope[at].T, np.tile(np.eye(len(at)), (at.shape[1], 1, 1)), np.full(at.shape[1], RADIUS)
    for _ in range(ROUNDS):
        newton = np.linalg.solve(bend, slope[..., None])[..., 0]
        left = float((slope * newton).sum()) / 2.0
        on_step(left)
        if left < ENOUGH * len(slope):
            break
        step = newton * np.minimum(radius / np.maximum(_length(newton), 1e-300), 1.0)[:, None]
        trial = x.copy()
        trial[at] += step.T
        new = evaluate(trial)[1][at].T
        known = np.isfinite(new).all(1)
        gained = known & (((slope + new) * step).sum(1) > 0.0)
        bend = np.where(known[:, None, None], _learnt(bend, step, np.where(known[:, None], slope - new, 0.0)), bend)
        at_edge = _length(step) > 0.9 * radius
        radius = np.where(gained, np.where(at_edge, 2.0, 1.0) * radius, 0.25 * _length(step))
        x, slope = x.copy(), np.where(gained[:, None], new, slope)
        x[at] += np.where(gained[:, None], step, 0.0).T
    return x


def _length(steps: np.ndarray) -> np.ndarray:
    return np.sqrt((steps**2).sum(1))


def _learnt(bend: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Negative Hessians (elements, a, a) that have seen these changes of minus the slope; positive, as they were."""
    before = np.einsum("eab,eb->ea", bend, step)
    expected, seen = (step * before).sum(1), (step * change).sum(1)
    moved = expected > 1e-20
    share = np.where(seen < LEAST * expected, (1.0 - LEAST) * expected / np.where(moved, expected - seen, 1.0), 1.0)[:, None]
    change = share * change + (1.0 - share) * before
    seen = np.where(moved, (step * change).sum(1), 1.0)
    outer = lambda v, by: np.einsum("ea,eb->eab", v, v) / by[:, None, None]  # noqa: E731
    found = bend + outer(change, seen) - outer(before, np.where(moved, expected, 1.0))
    return np.where(moved[:, None, None], found, bend)
