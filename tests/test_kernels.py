"""Laws that every count kernel obeys, on rows of a table; the oracles are mpmath, scipy and summation."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from scribe_cli.core import registry
from scribe_cli.core.numerics import kernels
from tests import exact

def points(**ranges) -> dict[str, np.ndarray]:
    """The product of the given values, one flat array a name."""
    product = np.array(list(itertools.product(*ranges.values())))
    return dict(zip(ranges, product.T, strict=True))


def logit(p):
    return np.log(p) - np.log1p(-np.asarray(p, float))


@dataclass(frozen=True)
class Row:
    """grid: where the log pmf is compared with mpmath's; few: a smaller grid, for gradients.

    proper: points with all their mass below ENOUGH; edges: where values and gradients must stay finite; closed: whether
    keeping molecules at random stays within the law's family, as the NB does and the BNB does not; promised: the largest error.
    """

    grid: dict
    few: dict
    proper: dict
    edges: dict
    closed: bool = True
    promised: float = 1e-10


ROWS = {
    "negative_binomial": Row(
        grid=points(
            log_r=np.log(10.0) * np.arange(-3, 9),
            logit_p=logit([1e-6, 1e-4, 1e-2, 0.1, 0.5, 0.9, 0.99, 1 - 1e-4, 1 - 1e-6]),
            u=[0, 1, 2, 3, 7, 20, 100, 999, 1e4, 1e5],
        ),
        few=points(
            log_r=np.log([1e-3, 0.3, 7.0, 150.0, 1e5, 1e8]),
            logit_p=logit([1e-6, 0.02, 0.5, 0.97]),
            u=[0, 1, 5, 300, 1e5],
        ),
        proper=points(log_r=np.log([1e-3, 0.2, 1.0, 6.0, 80.0]), logit_p=logit([1e-3, 0.3, 0.9])),
        edges=points(
            log_r=[-800.0, -40.0, 0.0, 18.0, 30.0, 59.9, 60.0, 60.1, 100.0],
            logit_p=[-800.0, -100.0, -40.0, 0.0, 30.0],
            u=[0.0, 1.0, 2.0, 1e5],
        ),
    ),
    "beta_negative_binomial": Row(
        grid=points(
            log_r=np.log([1e-3, 0.1, 3.0, 1e3, 1e6, 1e8]),
            logit_p=logit([1e-8, 1e-3, 0.2, 0.97, 1 - 1e-5]),
            log_omega=[-60.0, -18.0, -5.0, 0.0, 4.0, 40.0],
            u=[0, 1, 2, 7, 100, 3000, 1e5],
        ),
        few=points(
            log_r=np.log([1e-3, 0.7, 90.0, 1e6]),
            logit_p=logit([1e-6, 0.02, 0.97]),
            log_omega=[-30.0, -5.0, 0.0, 6.0],
            u=[0, 1, 5, 300, 1e5],
        ),
        proper=points(log_r=np.log([0.2, 1.0, 6.0]), logit_p=logit([1e-3, 0.3, 0.7]), log_omega=np.log([1e-12, 1e-3, 0.04])),
        edges=points(
            log_r=[-800.0, -40.0, 0.0, 18.0, 30.0, 59.9, 60.1, 100.0],
            logit_p=[-800.0, -40.0, 0.0, 30.0, 320.0, 800.0],
            log_omega=[-800.0, -80.1, -79.9, -20.0, 0.0, 30.0, 800.0],
            u=[0.0, 1.0, 2.0, 1e5],
        ),
        closed=False,
    ),
    "two_state": Row(
        grid=points(
            log_alpha=np.log([1e-4, 0.05, 1.0, 20.0]),
            log_beta=np.log([0.02, 1.0, 50.0, 1000.0]),
            log_rate=np.log([0.01, 3.0, 400.0, 3e4]),
            u=[0, 1, 7, 100, 3000],
        ),
        few=points(
            log_alpha=np.log([1e-3, 0.4, 15.0]), log_beta=np.log([0.05, 3.0, 600.0]), log_rate=np.log([0.1, 30.0, 5e3]), u=[0, 1, 40, 900]
        ),
        proper=points(log_alpha=np.log([0.02, 1.0, 6.0]), log_beta=np.log([0.1, 4.0, 300.0]), log_rate=np.log([0.05, 9.0, 700.0])),
        edges=points(
            log_alpha=[-40.0, -9.0, 0.0, 8.0],
            log_beta=[-9.0, 0.0, 12.0, 39.9, 60.0],
            log_rate=[-40.0, 0.0, 9.0],
            u=[0.0, 1.0, 2.0, 3000.0],
        ),
        promised=1e-8,
    ),
}
ENOUGH = 4000
NAMES = registry.names(kernels.__name__)
each_kernel = pytest.mark.parametrize("name", NAMES)


@functools.cache
def compiled(name):
    """(log_prob, log_prob_zero, gradient of a sum of log_prob), each compiled once a shape."""
    kernel = kernels.load(name)
    slopes = jax.grad(lambda n, u: kernel.log_prob(n, u).sum())
    return jax.jit(kernel.log_prob), jax.jit(kernel.log_prob_zero), jax.jit(slopes)


def split(name, grid):
    """(natural coordinates, counts) as arrays."""
    return {c: jnp.asarray(grid[c]) for c in kernels.load(name).coords}, jnp.asarray(grid["u"])


def in_mpmath(name, grid):
    coords = kernels.load(name).coords
    return [getattr(exact, name)(*point) for point in zip(*(grid[c] for c in coords), grid["u"], strict=True)]


def pmf_table(name, n):
    """pmf of 0..ENOUGH-1 at points (points,): (points, ENOUGH)."""
    column = {c: jnp.asarray(v)[:, None] for c, v in n.items()}
    return np.exp(compiled(name)[0](column, jnp.arange(float(ENOUGH))[None]))


def test_every_kernel_has_a_row():
    assert set(NAMES) == set(ROWS)


@each_kernel
def test_log_prob_equals_mpmath(name):
    n, u = split(name, ROWS[name].grid)
    found = np.asarray(compiled(name)[0](n, u))
    true = in_mpmath(name, ROWS[name].grid)
    error = np.array([exact.error(f, t) / (1 + abs(float(t))) for f, t in zip(found, true, strict=True)])
    worst = int(error.argmax())
    print(f"\n{name}: largest |error| / (1 + |log P|) {error[worst]:.1e} at", _at(ROWS[name].grid, worst))
    assert error.max() <= ROWS[name].promised


@each_kernel
def test_gradient_equals_mpmath(name):
    kernel, row = kernels.load(name), ROWS[name]
    n, u = split(name, row.few)
    found = compiled(name)[2](n, u)
    for k, coord in enumerate(kernel.coords):
        at = zip(*(row.few[c] for c in kernel.coords), strict=True)
        true = [exact.slope(getattr(exact, name), k, point, v) for point, v in zip(at, row.few["u"], strict=True)]
        error = np.abs(np.asarray(found[coord]) - true) / (1 + np.abs(true))
        print(f"\n{name}: largest error of d/d{coord} {error.max():.1e} at", _at(row.few, int(error.argmax())))
        assert error.max() <= 1e-8


def _at(grid, i):
    return {name: float(v[i]) for name, v in grid.items()}


def test_negative_binomial_equals_scipy():
    grid = points(log_r=np.log([0.01, 0.5, 3.0, 40.0, 900.0]), logit_p=logit([0.01, 0.4, 0.95]), u=[0, 1, 6, 50, 4000])
    n, u = split("negative_binomial", grid)
    expected = stats.nbinom.logpmf(grid["u"], np.exp(grid["log_r"]), 1 / (1 + np.exp(grid["logit_p"])))
    np.testing.assert_allclose(compiled("negative_binomial")[0](n, u), expected, rtol=1e-10, atol=1e-10)


@each_kernel
def test_pmf_sums_to_one(name):
    np.testing.assert_allclose(pmf_table(name, ROWS[name].proper).sum(1), 1.0, rtol=1e-12)


@each_kernel
def test_mean_and_variance_by_summation(name):
    kernel, n = kernels.load(name), ROWS[name].proper
    pmf, u = pmf_table(name, n), np.arange(ENOUGH)
    mean = pmf @ u
    variance = (pmf * (u - mean[:, None]) ** 2).sum(1)
    np.testing.assert_allclose(kernel.mean(n), mean, rtol=1e-10)
    np.testing.assert_allclose(kernel.variance(n), variance, rtol=1e-10)


@each_kernel
def test_log_prob_zero_is_log_prob_of_zero(name):
    log_prob, log_prob_zero, _ = compiled(name)
    for grid in (ROWS[name].grid, ROWS[name].edges):
        n, u = split(name, grid)
        np.testing.assert_allclose(log_prob_zero(n), log_prob(n, 0 * u), rtol=1e-11)


@each_kernel
def test_no_log_pmf_is_positive(name):
    log_prob, log_prob_zero, _ = compiled(name)
    rng = np.random.default_rng(0)
    grid = {c: rng.uniform(min(v), max(v), 200_000) for c, v in ROWS[name].grid.items()}
    grid["u"] = np.floor(10 ** rng.uniform(-1, 5, 200_000))
    for values in (grid, ROWS[name].grid, ROWS[name].edges):
        n, u = split(name, values)
        assert np.asarray(log_prob(n, u)).max() <= 0
        assert np.asarray(log_prob_zero(n)).max() <= 0


@each_kernel
def test_values_and_gradients_are_finite_at_the_edges(name):
    kernel = kernels.load(name)
    n, u = split(name, ROWS[name].edges)
    zero_slopes = jax.jit(jax.grad(lambda n: kernel.log_prob_zero(n).sum()))
    log_prob, log_prob_zero, slopes = compiled(name)
    for leaf in jax.tree.leaves((log_prob(n, u), slopes(n, u), log_prob_zero(n), zero_slopes(n))):
        assert np.isfinite(leaf).all()


def test_negative_binomial_with_an_underflowed_dispersion():
    """r = e^-800 is 0 in float64; P(u >= 1) is still r p^u / u, and its gradient in log r is still 1."""
    n, u = {"log_r": jnp.full(4, -800.0), "logit_p": jnp.full(4, 0.3)}, jnp.array([1.0, 2.0, 9.0, 5000.0])
    log_prob, _, slopes = compiled("negative_binomial")
    expected = [float(exact.negative_binomial(-800, 0.3, k)) for k in u]
    np.testing.assert_allclose(log_prob(n, u), expected, rtol=1e-13)
    np.testing.assert_allclose(slopes(n, u)["log_r"], 1.0, rtol=1e-12)


@pytest.mark.parametrize("log_r", [35.0, 60.0, 100.0, 700.0])
def test_negative_binomial_with_a_huge_dispersion_is_poisson(log_r):
    grid = points(mean=[0.02, 3.0, 800.0, 3e4], u=[0.0, 1.0, 7.0, 900.0])
    mean, u = grid["mean"], grid["u"]
    n = {"log_r": jnp.full(len(u), log_r), "logit_p": jnp.asarray(np.log(mean) - log_r)}
    log_prob, _, slopes = compiled("negative_binomial")
    np.testing.assert_allclose(log_prob(n, jnp.asarray(u)), stats.poisson.logpmf(u, mean), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(slopes(n, jnp.asarray(u))["logit_p"], u - mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(kernels.load("negative_binomial").mean(n), mean, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "two_state"])
def test_rising_identity(name):
    """log P(u) = log P(0) + u slope + sum of signed log rising factorials - log u!, at r where it does not cancel."""
    kernel, (log_prob, log_prob_zero, _) = kernels.load(name), compiled(name)
    grid = {c: v[np.abs(ROWS[name].grid["log_r"]) < 7] for c, v in ROWS[name].grid.items()}
    n, u = split(name, grid)
    slope, rising = kernel.rising(n)
    total = log_prob_zero(n) + u * slope - np.array([float(mp.log(mp.factorial(int(k)))) for k in grid["u"]])
    for sign, log_a in rising:
        true = [float(mp.log(mp.rf(mp.exp(mp.mpf(float(a))), int(k)))) for a, k in zip(log_a, grid["u"], strict=True)]
        total += sign * np.array(true)
    np.testing.assert_allclose(log_prob(n, u), total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in NAMES if ROWS[name].closed])
def test_thinning_is_binomial_convolution(name):
    """Each molecule kept with probability nu: sum over v of P(v) Binomial(u; v, nu)."""
    kernel, n = kernels.load(name), ROWS[name].proper
    pmf, kept, nu = pmf_table(name, n), np.arange(60), 0.37
    binomial = stats.binom.pmf(kept[None], np.arange(ENOUGH)[:, None], nu)
    thinned = kernel.thin({c: jnp.asarray(v) for c, v in n.items()}, jnp.log(nu))
    np.testing.assert_allclose(pmf_table(name, thinned)[:, :60], pmf @ binomial, rtol=1e-9, atol=1e-14)


@each_kernel
def test_thinning_by_one_changes_nothing(name):
    kernel = kernels.load(name)
    n, _ = split(name, ROWS[name].grid)
    for coord, value in kernel.thin(n, jnp.zeros(())).items():
        np.testing.assert_array_equal(value, n[coord])


@each_kernel
def test_sampler_against_pmf(name):
    """Chi-square on bins of at least ten expected draws."""
    kernel, n, size = kernels.load(name), ROWS[name].proper, 5000
    column = {c: jnp.asarray(v)[:, None] for c, v in n.items()}
    rows = len(next(iter(n.values())))
    draws = np.asarray(kernel.sample(jax.random.key(5), column, (rows, size)))
    assert draws.dtype == np.float64 and (draws == np.floor(draws)).all() and draws.min() >= 0
    p_values = [_chi_square(d, pmf * size) for d, pmf in zip(draws, pmf_table(name, n), strict=True)]
    assert min(p_values) > 1e-3 / len(p_values)


def _chi_square(draws, expected):
    observed = np.bincount(np.minimum(draws, ENOUGH - 1).astype(int), minlength=ENOUGH)
    bins = np.minimum((np.cumsum(expected) - expected) // 10, (expected.sum() - 10) // 10).astype(int)
    o, e = np.bincount(bins, observed), np.bincount(bins, expected)
    o, e = o[e > 0], e[e > 0]
    e *= o.sum() / e.sum()
    return stats.chi2.sf(((o - e) ** 2 / e).sum(), max(len(e) - 1, 1))


def test_negative_binomial_sampler_at_the_edges():
    """No molecules where r underflows; Poisson where it is huge."""
    log_r, means = np.repeat([-800.0, 100.0], [5, 10]), np.linspace(0.5, 40, 10)
    logit_p = np.concatenate([np.linspace(-1, 1, 5), np.log(means) - 100.0])
    n = {"log_r": jnp.asarray(log_r)[:, None], "logit_p": jnp.asarray(logit_p)[:, None]}
    draws = np.asarray(kernels.load("negative_binomial").sample(jax.random.key(1), n, (15, 5000)))
    assert (draws[:5] == 0).all()
    pmf = stats.poisson.pmf(np.arange(ENOUGH), means[:, None])
    assert min(_chi_square(d, e * 5000) for d, e in zip(draws[5:], pmf, strict=True)) > 1e-4
