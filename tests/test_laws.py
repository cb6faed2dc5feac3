"""Laws of theta against scipy: the density with its Jacobian, its mass, and draws by Kolmogorov-Smirnov."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats
from scipy.special import expit

from scribe_cli.core.model import laws


@dataclass(frozen=True)
class Case:
    """law() of theta; truth: scipy's law of value(theta); log_slope(value) = log |d value / d theta|."""

    law: Callable
    truth: object
    value: Callable
    log_slope: Callable
    span: tuple[float, float]


def of_logit(a, b, span):
    return Case(lambda: laws.LogitBeta(a, b), stats.beta(a, b), expit, lambda q: np.log(q) + np.log1p(-q), span)


def of_log(law, truth, span):
    return Case(law, truth, np.exp, np.log, span)


def of_truncated(loc, scale, span):
    truth = stats.truncnorm(-loc / scale, np.inf, loc, scale)
    return of_log(lambda: laws.LogTruncatedNormal(loc, scale), truth, span)


CASES = {
    "beta(1,1)": of_logit(1.0, 1.0, (-60, 60)),
    "beta(1,9)": of_logit(1.0, 9.0, (-60, 20)),
    "beta(2,5)": of_logit(2.0, 5.0, (-40, 20)),
    "beta(.3,.2)": of_logit(0.3, 0.2, (-150, 200)),
    "beta(1,50)": of_logit(1.0, 50.0, (-60, 10)),
    "half-cauchy": of_log(lambda: laws.LogOf(dist.HalfCauchy(1.5)), stats.halfcauchy(0, 1.5), (-50, 50)),
    "inverse-gamma": of_log(lambda: laws.LogOf(dist.InverseGamma(2.0, 8.0)), stats.invgamma(2.0, scale=8.0), (-5, 35)),
    "gamma": of_log(lambda: laws.LogOf(dist.Gamma(0.7, 3.0)), stats.gamma(0.7, scale=1 / 3.0), (-70, 5)),
    "eta, inside": of_truncated(4.3, 0.3, (-40, 4)),
    "eta, at the edge": of_truncated(0.0, 0.3, (-45, 3)),
    "eta, beyond": of_truncated(-2.4, 0.3, (-45, 1)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
def test_density_is_scipys_times_the_jacobian(case):
    theta = np.linspace(max(case.span[0], -25), min(case.span[1], 12), 41)
    value = case.value(theta)
    ordinary = (np.log(value) > -30) & (value < 1 - 1e-9 if case.value is expit else value > 0)
    expected = case.truth.logpdf(value) + case.log_slope(value)
    found = np.asarray(jax.jit(lambda t: case.law().log_prob(t))(theta))
    np.testing.assert_allclose(found[ordinary], expected[ordinary], rtol=1e-9, atol=1e-9)
    assert np.isfinite(found).all()


@each_case
def test_density_has_mass_one(case):
    """By the trapezoid rule, which is spectrally exact for a smooth density that dies at both ends."""
    theta = np.linspace(*case.span, 40_001)
    density = np.exp(jax.jit(lambda t: case.law().log_prob(t))(theta))
    assert abs(integrate.trapezoid(density, theta) - 1) < 1e-8


@each_case
def test_draws_follow_the_law(case):
    draws = np.asarray(case.law().sample(jax.random.key(11), (5000,)))
    assert np.isfinite(draws).all()
    assert stats.kstest(draws, lambda t: case.truth.cdf(case.value(t))).pvalue > 1e-3


@each_case
def test_gradient_is_the_slope_of_the_density(case):
    theta = np.linspace(max(case.span[0], -6), min(case.span[1], 4), 15)
    found = np.asarray(jax.grad(lambda t: case.law().log_prob(t).sum())(jnp.asarray(theta)))
    step = 1e-5
    up, down = (np.asarray(case.law().log_prob(jnp.asarray(theta + s))) for s in (step, -step))
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-6, atol=1e-5)


def test_logit_beta_is_exact_far_from_the_middle():
    """Where a clamp of q would show: the slope is a on the far left, -b on the far right."""
    law = laws.LogitBeta(2.0, 9.0)
    slope = jax.vmap(jax.grad(law.log_prob))(jnp.array([-700.0, -40.0, 40.0, 700.0]))
    np.testing.assert_allclose(slope, [2, 2, -9, -9], rtol=1e-12)
    exact = 9 * mp.mpf(-40) - mp.log(mp.beta(2, 9))
    np.testing.assert_allclose(law.log_prob(jnp.array(40.0)), float(exact), rtol=1e-14)


@pytest.mark.parametrize("ratio", [-1000.0, -45.0, -30.0, -8.0, 0.0, 3.0, 14.0])
def test_truncated_normal_mean_density_and_draws(ratio):
    """Also where M_0 lies many sigmas below the library size: a narrow sigma_M makes that ordinary."""
    scale = 0.02
    loc = ratio * scale
    law = laws.LogTruncatedNormal(jnp.full(4000, loc), jnp.full(4000, scale))
    mean, log_mass = _truncated_mean(ratio, scale)
    np.testing.assert_allclose(law.mean_eta()[0], mean, rtol=1e-4)
    z = 0.5
    expected = -0.5 * (z - ratio) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(scale) - log_mass + np.log(z * scale)
    np.testing.assert_allclose(law.log_prob(jnp.full(4000, np.log(z * scale)))[0], expected, rtol=1e-9)
    eta = np.exp(law.sample(jax.random.key(2)))
    assert np.isfinite(eta).all()
    assert abs(eta.mean() / mean - 1) < 0.06
    assert stats.kstest(eta, lambda e: _truncated_cdf(e / scale, ratio)).pvalue > 1e-3


def _truncated_mean(ratio, scale):
    with mp.workdps(60):
        log_mass = mp.log(mp.ncdf(ratio)) if ratio > -50 else _log_tail(ratio)
        hazard = mp.exp(-mp.mpf(ratio) ** 2 / 2 - log_mass) / mp.sqrt(2 * mp.pi)
        return float(scale * (ratio + hazard)), float(log_mass)


def _log_tail(ratio):
    """log Phi(ratio), ratio << 0, by Mills' continued series."""
    x = -mp.mpf(ratio)
    series = mp.nsum(lambda k: (-1) ** int(k) * mp.fac2(2 * int(k) - 1) / x ** (2 * int(k)), [0, 12])
    return -(x**2) / 2 - mp.log(x) - mp.log(2 * mp.pi) / 2 + mp.log(series)


def _truncated_cdf(z, ratio):
    """P(0 <= Z <= z) for Z ~ N(ratio, 1) given Z >= 0, by the log survival function."""
    return -np.expm1(stats.norm.logsf(z - ratio) - stats.norm.logsf(-ratio))


CONCENTRATIONS = [np.array([1.0, 1.0]), np.array([2.0, 0.7, 3.0])]


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_dirichlet_density_is_scipys_times_the_jacobian(a):
    """d w / d theta of log-ratios to the last has determinant prod of all w."""
    theta = np.random.default_rng(0).normal(0, 2, (20, len(a) - 1))
    w = np.exp(np.column_stack([theta, np.zeros(20)]))
    w /= w.sum(1, keepdims=True)
    expected = [stats.dirichlet.logpdf(row, a) + np.log(row).sum() for row in w]
    np.testing.assert_allclose(laws.LogRatioDirichlet(jnp.tile(a, (20, 1))).log_prob(theta), expected, rtol=1e-9)


def test_dirichlet_density_has_mass_one():
    grid = np.linspace(-30, 30, 401)
    theta = np.stack(np.meshgrid(grid, grid), -1)
    a = jnp.broadcast_to(jnp.array([2.0, 0.9, 3.0]), (*theta.shape[:2], 3))
    density = np.exp(jax.jit(lambda a, theta: laws.LogRatioDirichlet(a).log_prob(theta))(a, theta))
    assert abs(integrate.trapezoid(integrate.trapezoid(density, grid), grid) - 1) < 1e-8


@pytest.mark.parametrize("a", CONCENTRATIONS, ids=str)
def test_dirichlet_draws_have_beta_marginals(a):
    """A batch of concentrations gives a batch of simplexes, each drawn for itself."""
    law = laws.LogRatioDirichlet(jnp.tile(a, (5000, 1)))
    theta = np.asarray(law.sample(jax.random.key(3)))
    assert law.batch_shape == (5000,) and law.event_shape == (len(a) - 1,) and theta.shape == (5000, len(a) - 1)
    w = np.exp(np.column_stack([theta, np.zeros(5000)]))
    w /= w.sum(1, keepdims=True)
    for k in range(len(a)):
        assert stats.kstest(w[:, k], stats.beta(a[k], a.sum() - a[k]).cdf).pvalue > 1e-3
