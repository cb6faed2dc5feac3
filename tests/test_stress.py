"""What `python -m tests.stress` measures, on fewer points."""

from __future__ import annotations

import pytest

from tests import stress

LIMITS = stress.limits()
STEPS = (1e-5, 1e-8, 1e-11, 1e-30, 1e-300)


@pytest.mark.parametrize("name", stress.CASES)
def test_log_pmf_equals_mpmath_and_is_never_positive(name):
    case = stress.CASES[name]
    found = stress.measure(case, 30, 20_000, seed=7)
    assert found.error <= case.promised, found.worst
    assert found.highest <= 0


def test_every_kernel_is_stressed():
    assert {case.kernel for case in stress.CASES.values()} == set(stress.NAMES)


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_reached_in_proportion_to_what_is_left(name):
    for step in STEPS:
        assert LIMITS[name](step) <= 1e4 * step + 1e-11


@pytest.mark.parametrize("name", stress.CASES)
def test_an_error_would_be_seen(name, monkeypatch):
    """The measure is not blind: one digit of one coordinate is found out."""
    case = stress.CASES[name]
    exactly = stress.in_mpmath
    coord = stress.kernels.load(case.kernel).coords[0]
    monkeypatch.setattr(stress, "in_mpmath", lambda kernel, at: exactly(kernel, at | {coord: at[coord] * (1 + 1e-6)}))
    assert stress.measure(case, 30, 10, seed=7).error > 10 * case.promised
