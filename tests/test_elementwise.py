"""Elements that are climbed each for itself: none hears of another, and what is not finite only shortens a step."""

from __future__ import annotations

import numpy as np

from scribe_cli.core.inference import elementwise

STEEPNESS = np.array([0.5, 1.0, 2.0, 30.0])  # of the fall that one coordinate of each element has to one side


def laws(steepness):
    """f(x) -> (value, slope (n,)) of elements of two coordinates that trade, and their places (2, elements)."""
    at = np.arange(2 * len(steepness)).reshape(2, -1)

    def evaluate(x):
        a, b = x[at]
        with np.errstate(over="ignore"):
            fall = np.exp(-steepness * a)
        value = -(a**2) / 8.0 - fall - (b - 0.5 * a) ** 2
        slope = np.stack([-a / 4.0 + steepness * fall + (b - 0.5 * a), -2.0 * (b - 0.5 * a)])
        return value.sum(), slope.ravel()

    return evaluate, at


def reached(steepness, start):
    evaluate, at = laws(steepness)
    x, told = np.repeat(start, len(steepness)), []
    found = elementwise.climb(evaluate, x, evaluate(x)[1], at, told.append)
    return evaluate, at, found, told


def test_each_is_brought_to_its_own_mode_however_steep_another_is():
    evaluate, at, found, told = reached(STEEPNESS, (0.2, -1.0))
    assert told[-1] < elementwise.ENOUGH * len(STEEPNESS) and len(told) <= elementwise.ROUNDS
    assert np.abs(evaluate(found)[1]).max() < 0.3
    _, _, alone, _ = reached(STEEPNESS[:3], (0.2, -1.0))
    np.testing.assert_allclose(found[at][:, :3], alone.reshape(2, 3), atol=0.05)


def test_a_step_to_where_nothing_is_finite_is_taken_shorter():
    def evaluate(x):
        with np.errstate(invalid="ignore"):
            return np.log(x).sum() - x.sum(), 1.0 / np.where(x > 0, x, np.nan) - 1.0

    x = np.array([5.0, 0.5, 40.0])
    found = elementwise.climb(evaluate, x, evaluate(x)[1], np.arange(3)[None], lambda left: None)
    assert np.isfinite(found).all() and found[1] > 0.9 and abs(found[0] - 1.0) < 0.2 and found[2] < 40.0
