"""Convergence numbers against ArviZ's and against theory; posterior against prior spread."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import stats

from scribe_cli.core.inference import diagnostics
from scribe_cli.core.inference.posterior import Posterior
from tests import zoo


def autoregressive(chains, draws, rho, seed=0, elements=3):
    """(chain, draw, element): x_t = rho x_{t-1} + e_t, stationary."""
    e = np.random.default_rng(seed).normal(size=(chains, draws, elements))
    x = e / np.sqrt(1 - rho**2)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + e[:, t]
    return x


def awkward(chains, draws):
    """Slow, fast and alternating chains, one that is elsewhere, one that is wider, one with ties, one far from 0."""
    x = np.concatenate([autoregressive(chains, draws, rho) for rho in (0.0, 0.5, 0.97, -0.7)], -1)
    x[0, :, 3] += 1.5
    x[-1, :, 4] *= 6.0
    x[..., 5] = np.round(2 * x[..., 5])
    x[..., 6] = 1e8 + x[..., 6]
    return x


@pytest.mark.parametrize(("chains", "draws"), [(4, 100), (2, 101), (3, 7), (2, 4)])
def test_equals_arviz(chains, draws):
    x = awkward(chains, draws)
    found = diagnostics.convergence(x)
    by_chain_and_draw = {"chain_axis": 0, "draw_axis": 1}
    expected = {
        "rhat": array_stats.rhat(x, **by_chain_and_draw),
        "ess_bulk": array_stats.ess(x, method="bulk", **by_chain_and_draw),
        "ess_tail": array_stats.ess(x, method="tail", prob=(0.05, 0.95), **by_chain_and_draw),
        "mcse_mean": array_stats.mcse(x, method="mean", **by_chain_and_draw),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-10, err_msg=name)


def test_ess_of_an_autoregression_is_the_known_one():
    x = autoregressive(4, 5000, 0.8, elements=20)
    found = diagnostics.convergence(x)
    assert np.median(found.ess_bulk) == pytest.approx(20_000 * 0.2 / 1.8, rel=0.05)
    sd = 1 / np.sqrt(1 - 0.8**2)
    assert np.median(found.mcse_mean) == pytest.approx(sd / np.sqrt(20_000 * 0.2 / 1.8), rel=0.05)
    assert found.rhat.max() < 1.01


def test_rhat_sees_chains_elsewhere_wider_and_drifting():
    x = autoregressive(4, 400, 0.0, elements=4)
    x[1, :, 1] += 0.7
    x[1, :, 2] *= 3.0
    x[..., 3] += np.linspace(-1, 1, 400)
    rhat = diagnostics.convergence(x).rhat
    assert rhat[0] < 1.01 and (rhat[1:] > 1.04).all()


def test_one_chain_is_judged_by_its_halves():
    x = autoregressive(1, 400, 0.0, elements=2)
    x[0, :200, 1] += 2.0
    rhat = diagnostics.convergence(x).rhat
    assert rhat[0] < 1.02 and rhat[1] > 1.3


def test_shape_and_precision_of_the_draws_do_not_matter(monkeypatch):
    x = autoregressive(2, 50, 0.5, elements=12).astype(np.float32)
    together = diagnostics.convergence(x.reshape(2, 50, 3, 4))
    monkeypatch.setattr(diagnostics, "BLOCK", 500)
    apart = diagnostics.convergence(x)
    assert together.rhat.shape == (3, 4)
    for name in diagnostics.NUMBERS:
        np.testing.assert_array_equal(getattr(together, name).ravel(), getattr(apart, name))


def test_values_that_do_not_move_say_nothing_and_infinite_ones_have_ranks():
    x = autoregressive(2, 100, 0.0, elements=3)
    x[..., 0] = 7.0
    x[1, 3, 1] = np.inf
    found = diagnostics.convergence(x)
    numbers = np.array([getattr(found, name) for name in diagnostics.NUMBERS])
    assert np.isnan(numbers[:, 0]).all() and np.isfinite(numbers[:, 2]).all()
    assert np.isfinite(numbers[:3, 1]).all() and np.isnan(found.mcse_mean[1])
    moving = {"rhat": found.rhat[1:].max(), "ess_bulk": found.ess_bulk[1:].min(), "ess_tail": found.ess_tail[1:].min()}
    assert diagnostics.worst([found]) == moving


def test_three_draws_say_nothing():
    found = diagnostics.convergence(autoregressive(4, 3, 0.0))
    assert np.isnan(found.rhat).all() and np.isnan(diagnostics.worst([found])["ess_bulk"])


def test_ebfmi_equals_arviz():
    energy = autoregressive(3, 80, 0.6, elements=1)[..., 0]
    np.testing.assert_allclose(diagnostics.ebfmi(energy), array_stats._bfmi(energy), rtol=1e-12)


@pytest.mark.parametrize(("rho", "converged"), [(0.0, True), (0.95, False)])
def test_metrics(rho, converged):
    found = {name: diagnostics.convergence(autoregressive(4, 250, a)) for name, a in (("mu", rho), ("p", 0.0))}
    diverging = np.zeros((4, 250), bool)
    diverging[2, 5:8] = True
    energy = autoregressive(4, 250, 0.9, elements=1)[..., 0]
    sampler = {"diverging": diverging, "energy": energy, "reached_max_treedepth": ~diverging}
    metrics = diagnostics.metrics(found, sampler)
    assert metrics["converged"] is converged
    assert (metrics["divergences"], metrics["max_treedepth_hits"]) == (3, 997)
    assert metrics["ebfmi"] == diagnostics.ebfmi(energy).min()
    assert metrics["rhat"] == max(c.rhat.max() for c in found.values())
    assert metrics["ess_tail"] == min(c.ess_tail.min() for c in found.values())


def test_table_names_each_element():
    x = autoregressive(2, 20, 0.0, elements=6)
    found = {
        "p": diagnostics.convergence(x[..., 0]),
        "mu": diagnostics.convergence(x.reshape(2, 20, 2, 3), ("component", "gene")),
    }
    table = diagnostics.table(found, {"component": ["A", "B"], "gene": ["x", "y", "z"]})
    assert list(table) == ["parameter", "element", "rhat", "ess_bulk", "ess_tail", "mcse_mean"]
    assert list(table["parameter"]) == ["p"] + ["mu"] * 6
    assert list(table["element"]) == ["", "A__x", "A__y", "A__z", "B__x", "B__y", "B__z"]
    np.testing.assert_array_equal(table["rhat"][1:], found["mu"].rhat.ravel())


def test_prior_variances_are_those_of_theta():
    facts = zoo.facts()
    by_name = diagnostics.prior_variance(zoo.SPECS["zinb-canonical"], facts, ["r", "p", "gate"])
    assert by_name["r"] == pytest.approx(1.5**2)
    for name, (a, b) in {"p": (2, 5), "gate": (1, 9)}.items():
        u = stats.beta(a, b).ppf((np.arange(200_000) + 0.5) / 200_000)
        assert by_name[name] == pytest.approx(np.var(np.log(u) - np.log1p(-u)), rel=1e-3), name
    phi = diagnostics.prior_variance(zoo.SPECS["nbdm-mean_odds"], facts, ["phi"])["phi"]
    assert phi == pytest.approx(by_name["p"])
    assert by_name["gate"].shape == (1, 1, zoo.N_GENES)


def test_prior_ratio_is_one_for_draws_of_the_prior():
    spec, facts = zoo.SPECS["zinbvcp-mean_prob"], zoo.facts()
    rng = np.random.default_rng(1)
    gate = rng.beta(1, 9, (2, 4000, 1, 1, zoo.N_GENES))
    spread = np.where(np.arange(zoo.N_GENES) == 3, 0.5, 1.0)
    draws = {
        "mu": rng.normal(0.5, 3.0 * spread, gate.shape),
        "gate": np.log(gate) - np.log1p(-gate),
    }
    ratio = diagnostics.prior_ratio(Posterior(spec, facts, ("chain", "draw"), draws, {}, "lifted_mean"))
    assert set(ratio) == {"mu", "gate"}  # p is no gene's, p_capture a cell's
    np.testing.assert_allclose(ratio["gate"], 1.0, atol=0.05)
    np.testing.assert_allclose(ratio["mu"], spread, atol=0.05)
