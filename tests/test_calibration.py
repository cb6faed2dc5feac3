"""Predictive checks tell counts of the model from others: minutes, so marked slow.

`python -m tests.calibration` prints all the figures. The bands are 4 standard errors of what is right.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests import calibration, recovery

pytestmark = pytest.mark.slow


@functools.cache
def fresh(model: str) -> dict[str, dict[str, float]]:
    return calibration.uniformity(calibration.fresh(model))


@pytest.mark.parametrize("model", calibration.MODELS)
@pytest.mark.parametrize("statistic", calibration.STATISTICS)
def test_new_counts_of_a_fit_have_uniform_p(model, statistic):
    """Kolmogorov and Smirnov, one data set a gene; and the mean and the tails of all data sets.

    Ties make a mid-p less spread than a uniform one, never more: the tails are bounded above alone.
    """
    found = fresh(model)[statistic]
    recovery.show(f"{model} {statistic}", found, 3)
    n = found["genes"] * calibration.DATA_SETS
    assert found["genes"] > 100 and found["ks_p"] > 1e-3
    assert abs(found["mean"] - 0.5) < 4 * 0.289 / np.sqrt(n) + 0.01
    assert 0.26 < found["sd"] < 0.289 + 4 * 0.13 / np.sqrt(n) + 0.005
    for level in (0.05, 0.01):
        assert found[f"below {level}"] < level + 4 * np.sqrt(level / n) + 0.2 * level


@pytest.mark.parametrize("model", calibration.MODELS)
def test_after_a_fit_alarms_are_no_more_often_than_they_should(model):
    """Less often for what the fit has adapted to: the mean always, the totals of cells where each has its capture."""
    found = calibration.outcome(calibration.simulated(model)).alarms()
    recovery.show(model, found, 3)
    assert all(share < 0.05 + 4 * np.sqrt(0.05 / 200) for share in found.values())
    assert found["var"] > 0.005 and found["mean"] < 0.01


def test_without_capture_the_variances_and_the_totals_of_cells_fail():
    found = calibration.misfitted("nbdm on nbvcp").shares()
    recovery.show("nbdm on nbvcp", found, 3)
    assert found["cells"] > 0.2 and found["any"] > 0.2


def test_without_a_gate_the_zeros_fail(monkeypatch):
    """Most of all where each gene has a dispersion of its own, which can then take up the variance.

    Of 10,000 replicates: with 1,000 chance alone moves two or three of the 196 genes over the line.
    """
    monkeypatch.setattr(calibration.checking.predictive, "REPLICATES", 10_000)
    shared, free = (calibration.misfitted(f"nbvcp{how} on zinbvcp").shares() for how in ("", " with free r"))
    for name, found in (("nbvcp", shared), ("nbvcp with free r", free)):
        recovery.show(name, found, 3)
        assert found["zero above"] > 0.2
    assert free["zero above"] > 5 * (free["var above"] + free["var below"])
