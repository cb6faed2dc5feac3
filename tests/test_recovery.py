"""Fits of simulated counts against the truth, and of the optimiser against long runs: minutes, so marked slow.

`python -m tests.recovery` prints all the figures; the bands here are those that a broken fit would leave.
"""

from __future__ import annotations

import functools

import pytest

from tests import recovery

pytestmark = pytest.mark.slow

# 4 standard errors of a share of .9 of 100 genes
SOUND = (0.78, 0.99)
# mu, r and gate of a gated gene trade with each other, and mu of all genes shares a scale with capture: a mean-field
# guide sees neither, and its intervals are too narrow by so much
BLIND = (0.55, 0.99)
BANDS = {
    "nbdm": {"mu": SOUND, "r": SOUND, "mu / mean mu": SOUND},
    "nbvcp": {"mu": BLIND, "r": SOUND, "mu / mean mu": SOUND},
    "zinb": {"mu": BLIND, "r": BLIND, "mu / mean mu": BLIND, "gate": BLIND, "mu (1-gate)": SOUND},
    "zinbvcp": {"mu": BLIND, "r": BLIND, "mu / mean mu": BLIND, "gate": BLIND, "mu (1-gate)": SOUND},
    "nbvcp with free r": {"mu": BLIND, "r": SOUND, "mu / mean mu": SOUND},
}
NATS = 10.0


def outside(found: dict, bands: dict) -> dict:
    return {name: found[name] for name, (low, high) in bands.items() if not low <= found[name] <= high}


@functools.cache
def by_mean_field(name: str) -> dict[str, float]:
    one = recovery.case(*recovery.CASES[name])
    return recovery.coverage(one.truth, one.posterior())


@functools.cache
def by_hessian(name: str) -> dict[str, float]:
    one = recovery.case(*recovery.CASES[name])
    return recovery.coverage(one.truth, recovery.laplace(one))


@pytest.mark.parametrize("name", recovery.CASES)
def test_intervals_hold_the_truth(name):
    found = by_mean_field(name)
    recovery.show(name, found)
    assert set(found) == set(BANDS[name]) and not outside(found, BANDS[name])


def test_what_mean_field_misses_is_the_joint_structure():
    """With the whole Hessian at the same mode, the intervals of zinb's gate and mu are as wide as they should be."""
    exact, blind = by_hessian("zinb"), by_mean_field("zinb")
    recovery.show("whole Hessian", exact)
    assert not outside(exact, {"mu": SOUND, "r": SOUND, "gate": SOUND, "mu (1-gate)": SOUND})
    assert all(exact[name] > blind[name] + 0.05 for name in ("mu", "r", "gate"))


@pytest.mark.parametrize("name", recovery.CASES)
def test_intervals_of_a_laplace_guide_hold_the_truth(name):
    """Those of the shared scale and of the trades too, which a mean-field guide does not see."""
    one = recovery.case(*recovery.CASES[name])
    found = recovery.coverage(one.truth, recovery.by_laplace(one))
    recovery.show(f"{name}, Laplace", found)
    assert set(found) == set(BANDS[name]) and not outside(found, dict.fromkeys(found, SOUND))


@pytest.mark.parametrize("seed", recovery.MAP_SEEDS)
def test_the_map_recovers_mu_within_its_sampling_error(seed):
    """nbvcp with the organism's prior: the common scale within 4 standard errors, the genes as their errors say."""
    one = recovery.case(*recovery.CASES["nbvcp"], seed)
    error = recovery.map_error(one.truth, recovery.laplace(one))
    recovery.show("MAP", error, 4)
    assert abs(error["bias"]) < 4 * error["scale_sd"] < 0.06
    assert 0.75 < error["rms_z"] < 1.3 and 0.8 < error["rms_joint"] < 1.2


@pytest.mark.parametrize("name", recovery.ELBO_CASES)
def test_long_runs_reach_no_better_elbo(name):
    default, long = recovery.elbos(recovery.case(*recovery.ELBO_CASES[name]))
    recovery.show(name, {"default": default} | {f"long run {i}": value - default for i, value in enumerate(long)}, 1)
    assert max(long) - default < NATS
    assert max(long) - min(long) < NATS  # they were long enough to end in one place


def test_a_minibatched_fit_that_says_converged_is():
    whole, parts, converged = recovery.minibatched(recovery.case(*recovery.BATCHED), recovery.BATCH)
    recovery.show("minibatches", {"all cells": whole, "some": parts - whole, "converged": converged}, 1)
    assert not converged or whole - parts < NATS
