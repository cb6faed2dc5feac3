"""Genes and cells brought near their own modes, before a joint search."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core.inference import mode, settling
from scribe_cli.run.fitting import assemble
from tests.test_lanes import RESOLVED, collected


def of(name: str):
    c = collected(name)
    p = assemble.problem(c, RESOLVED[name], "auto", None, fill=False)
    return p, jax.tree.map(jnp.asarray, assemble.moments(c, p))


def value(p, at) -> float:
    return float(jax.jit(p.log_joint)(at, p.facts, p.stats))


def test_genes_that_nothing_joins_are_at_their_modes():
    p, start = of("twostate_ratio_free")
    settled, found = settling.settle(p, start), mode.find(p, start)
    assert value(p, start) < found.value - 5.0 and found.converged
    assert value(p, settled) == pytest.approx(found.value, abs=2 * settling.ENOUGH * p.facts.sizes["gene"])


def test_with_capture_a_joint_search_has_little_left():
    p, start = of("twostatevcp_ratio_ecoli")
    settled = settling.settle(p, start)
    assert set(settled) == set(start) and all(np.isfinite(v).all() for v in settled.values())
    assert any((settled[site] != start[site]).any() for site in start if p.has_cells(site))
    found = mode.find(p, settled)
    assert found.converged and found.value - value(p, settled) < 0.1 * (found.value - value(p, start))


def test_models_whose_genes_have_few_parameters_are_left_to_the_joint_search():
    p, start = of("zinb_mean_odds_free")
    assert settling.settle(p, start) is start


def test_each_step_is_newtons_where_it_bends_down_and_no_longer_than_one():
    bend = np.array([[[2.0, 0.5], [0.5, 1.0]], [[-1.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]]])
    slope = np.array([[0.3, -0.2], [0.1, 0.4], [30.0, 3.0]])
    steps = settling._steps(slope, bend, np.zeros(3))
    np.testing.assert_allclose(steps[0], np.linalg.solve(bend[0], slope[0]))
    np.testing.assert_allclose(steps[1:], [[0.1, 0.1], [1.0, 0.1]])


def test_an_element_that_is_not_finite_stays():
    bend, slope = np.tile(np.eye(2), (3, 1, 1)), np.full((3, 2), 0.5)
    bend[1, 0, 1], slope[2, 0] = np.nan, np.inf
    np.testing.assert_allclose(settling._steps(slope, bend, np.zeros(3)), [[0.5, 0.5], [0.0, 0.0], [0.0, 0.0]])
