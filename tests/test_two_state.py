"""The two-state promoter: its law against mpmath, its slopes and curvature, its limits, and its four parameterizations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from scribe_cli.core.model import derive, parameterizations
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.core.model.supports import SUPPORTS
from scribe_cli.core.numerics import kernels
from tests import exact, stress
from tests.test_parameterizations import two_state_values

KERNEL = kernels.load("two_state")
COORDS = ("log_alpha", "log_beta", "log_rate")
MEMBERS = {n: m for n, m in parameterizations.members().items() if m.kernel == "two_state"}
each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)

log_prob = jax.jit(KERNEL.log_prob)
slopes = jax.jit(jax.grad(lambda n, u: KERNEL.log_prob(n, u).sum()))


@jax.jit
def curvature(n, u, direction):
    """The product of the Hessian with a direction, forward over reverse as the optimiser takes it."""
    return jax.jvp(lambda n: jax.grad(lambda n: KERNEL.log_prob(n, u).sum())(n), (n,), (direction,))[1]


def at(alpha, beta, rate, u=0.0):
    """(natural coordinates, counts), flat, of positive values that broadcast."""
    *natural, u = (np.ravel(v) for v in np.broadcast_arrays(alpha, beta, rate, np.asarray(u, float)))
    return {name: jnp.asarray(np.log(v)) for name, v in zip(COORDS, natural, strict=True)}, jnp.asarray(u)


def grid(*values):
    return tuple(np.ravel(v) for v in np.meshgrid(*values, indexing="ij"))


def split(points):
    return {name: jnp.asarray(points[name]) for name in COORDS}, jnp.asarray(points["u"])


def error(n, u):
    """(points,) |log P - its value in mpmath|."""
    rows = zip(*(np.asarray(n[c]) for c in COORDS), np.asarray(u), np.asarray(log_prob(n, u)), strict=True)
    return np.array([exact.error(found, exact.two_state(a, b, r, k)) for a, b, r, k, found in rows])


def test_log_prob_of_known_points():
    alpha, beta, rate, u, expected = np.array(exact.TWO_STATE).T
    n, u = at(alpha, beta, rate, u)
    np.testing.assert_allclose(log_prob(n, u), expected, atol=5.1e-5)
    assert error(n, u).max() <= 1e-10


def test_log_prob_at_the_corners():
    """Each end of every parameter, with counts that a pmf of the other ends makes unlikely."""
    n, u = at(*grid([1e-4, 0.3, 20], [0.02, 3, 1e5], [0.01, 8, 3e4], [0, 1, 3000]))
    wrong = error(n, u)
    worst = int(wrong.argmax())
    assert wrong.max() <= 1e-8, ({c: float(v[worst]) for c, v in n.items()}, float(u[worst]))


@pytest.mark.slow
def test_log_prob_of_many_points():
    wrong = error(*split(stress.CASES["two-state"].points(600, seed=11)))
    print(f"\nlargest |d log P| {wrong.max():.1e}, median {np.median(wrong):.1e}")
    assert wrong.max() <= 1e-8


@pytest.mark.parametrize(
    "alpha, beta, rate, last",
    [(1e-4, 0.02, 10, 100), (0.05, 5, 100, 300), (0.3, 0.02, 3000, 3600), (2, 1e3, 3000, 400), (20, 1, 50, 200), (20, 1e5, 3e4, 300)],
)
def test_the_mass_is_one(alpha, beta, rate, last):
    n, u = at(alpha, beta, rate, np.arange(last))
    assert abs(float(jnp.exp(log_prob(n, u)).sum()) - 1.0) <= 1e-8


def test_counts_broadcast_against_coordinates():
    """Genes along one axis and counts along another, as one row of points each."""
    n, u = at(*grid([0.1, 3.0], [0.5, 40.0], [20.0], [0, 2, 30]))
    rows = {name: v.reshape(4, 1, 3)[..., :1] for name, v in n.items()}
    table = log_prob(rows, u.reshape(4, 1, 3)[:1])
    np.testing.assert_allclose(table.reshape(-1), log_prob(n, u), rtol=1e-12)


# where genes live and beyond: every order of magnitude of the rate, both sides of alpha = 1 and beta = 1, zeros and tails
FEW = at(
    [1e-4, 0.02, 0.5, 20.0, 3.0, 0.3, 1.5, 0.05],
    [0.02, 5.0, 0.5, 2.0, 800.0, 40.0, 0.1, 1e5],
    [10.0, 300.0, 40.0, 900.0, 3e4, 0.05, 3000.0, 2e4],
    [0.0, 3.0, 0.0, 700.0, 90.0, 1.0, 3000.0, 0.0],
)


def points_of(n, u):
    return [([float(n[c][i]) for c in COORDS], int(u[i])) for i in range(len(u))]


def test_gradient_equals_mpmath():
    found = slopes(*FEW)
    for k, coord in enumerate(COORDS):
        expected = np.array([exact.slope(exact.two_state, k, x, u) for x, u in points_of(*FEW)])
        np.testing.assert_allclose(found[coord], expected, rtol=1e-8, atol=1e-8)


def test_hessian_equals_mpmath():
    """Along one direction: the rows that Newton's method multiplies with."""
    n, u = FEW
    direction = {"log_alpha": 0.7, "log_beta": -1.1, "log_rate": 0.4}
    found = curvature(n, u, {name: jnp.full_like(u, v) for name, v in direction.items()})
    for i, (x, k) in enumerate(points_of(n, u)):
        for j, coord in enumerate(COORDS):
            expected = sum(v * _second(x, k, j, m) for m, v in enumerate(direction.values()))
            np.testing.assert_allclose(found[coord][i], expected, rtol=1e-6, atol=1e-7)


def _second(x, u, i, j):
    """Second derivative in the i-th and the j-th coordinate, by central differences in 50 digits."""
    with mp.workdps(exact.DIGITS):
        h = mp.mpf(10) ** -12

        def moved(a, b):
            point = [mp.mpf(v) for v in x]
            point[i] += a * h
            point[j] += b * h
            return exact.two_state(*point, u)

        return float((moved(1, 1) - moved(1, -1) - moved(-1, 1) + moved(-1, -1)) / (4 * h * h))


def test_slopes_at_a_silent_gene_are_relatively_precise():
    """log P(0) of a gene of mean 1e-9 and its slopes are of that size, and so must be their errors."""
    n, u = at([1e-9, 1e-6, 2.0], [3.0, 50.0, 0.5], [4.0, 0.1, 1e-9])
    value, found = log_prob(n, u), slopes(n, u)
    for i, (x, k) in enumerate(points_of(n, u)):
        np.testing.assert_allclose(value[i], float(exact.two_state(*x, k)), rtol=1e-8)
        for j, coord in enumerate(COORDS):
            np.testing.assert_allclose(found[coord][i], exact.slope(exact.two_state, j, x, k), rtol=1e-6)


def anywhere(rng, n, lowest=-60.0):
    low = np.array([lowest, -20.0, lowest])
    natural = rng.uniform(low[:, None], np.array([8.0, 60.0, 20.0])[:, None], (3, n))
    u = np.where(rng.random(n) < 0.4, 0.0, np.floor(10 ** rng.uniform(0, 5, n)))
    return {name: jnp.asarray(v) for name, v in zip(COORDS, natural, strict=True)}, jnp.asarray(u)


def test_no_log_pmf_is_positive_and_all_is_finite_anywhere():
    """Promoters that are as good as never or always on or off, and rates that are no rates."""
    n, u = anywhere(np.random.default_rng(0), 40_000)
    value = np.asarray(log_prob(n, u))
    assert np.isfinite(value).all() and value.max() <= 0
    assert np.asarray(KERNEL.log_prob_zero(n)).max() <= 0
    for leaf in jax.tree.leaves((slopes(n, u), curvature(n, u, n))):
        assert np.isfinite(leaf).all()


@pytest.mark.parametrize("log_beta", [8.0, 12.0, 16.0, 25.0, 39.0, 60.0, 300.0])
def test_large_k_off_is_the_negative_binomial(log_beta):
    """r = alpha, p/(1-p) = rate/beta; what is left is of the order of (alpha + u)^2 / beta."""
    log_r, logit_p, u = grid([-5.0, 0.3, 2.5], [-3.0, 0.5, 4.0], [0.0, 1.0, 7.0, 200.0])
    n = {"log_alpha": jnp.asarray(log_r), "log_beta": jnp.full(log_r.shape, log_beta), "log_rate": jnp.asarray(logit_p + log_beta)}
    limit = stats.nbinom.logpmf(u, np.exp(log_r), 1 / (1 + np.exp(logit_p)))
    left = (np.exp(log_r) + u + np.exp(logit_p)) ** 2 * np.exp(-log_beta)
    assert (np.abs(np.asarray(log_prob(n, jnp.asarray(u))) - limit) <= 2 * left + 1e-9 * (1 + np.abs(limit))).all()


@pytest.mark.parametrize("never_off", [1e-6, 1e-9])
def test_a_promoter_that_is_never_off_is_poisson(never_off):
    """beta -> 0 with alpha of order 1: x is 1 but for beta/alpha of the cells."""
    rate, u = grid([0.3, 12.0, 400.0], [0.0, 3.0, 20.0])
    u = np.where(rate > 100, 390.0 + u, u)
    n, u = at(3.0, never_off, rate, u)
    np.testing.assert_allclose(log_prob(n, u), stats.poisson.logpmf(u, rate), atol=1e6 * never_off * 1e-2)


def test_pmf_falls_by_the_ratios_of_descent():
    """Miller's algorithm from beyond the counts of interest: an oracle that has no quadrature."""
    n, _ = at([1e-3, 0.5, 2.0, 20.0], [0.1, 50.0, 900.0, 3.0], [30.0, 400.0, 5000.0, 200.0])
    ratio, last = KERNEL.descent({name: np.asarray(v) for name, v in n.items()}), 250
    above, found = np.zeros(4), np.empty((last, 4))
    for u in range(2 * last, -1, -1):
        above = ratio(float(u), above)
        if u < last:
            found[u] = above
    table = log_prob({name: v[None] for name, v in n.items()}, jnp.arange(last + 1.0)[:, None])
    np.testing.assert_allclose(np.diff(table, axis=0), np.log(found), rtol=1e-9, atol=1e-9)


def test_memory_is_that_of_the_entries():
    """Not of entries x nodes, of which there are 160: 1e5 entries and their slopes in less than 64 MB beside what goes in and

    out, and an entry more for at most 64 numbers.
    """

    def memory(function, entries):
        entry = jax.ShapeDtypeStruct((entries,), float)
        return function.lower(dict.fromkeys(COORDS, entry), entry).compile().memory_analysis().temp_size_in_bytes

    for function in (log_prob, slopes):
        assert memory(function, 100_000) < 64e6
        assert memory(function, 200_000) - memory(function, 100_000) < 100_000 * 64 * 8


def test_no_cell_is_on_where_alpha_is_nothing():
    n, _ = at([1e-30, 1e-4], [1.0, 0.5], [3e4, 1e5])
    draws = np.asarray(KERNEL.sample(jax.random.key(0), {name: v[:, None] for name, v in n.items()}, (2, 20_000)))
    assert np.isfinite(draws).all() and (draws[0] == 0).all()
    on, expected = (draws[1] > 0).sum(), 20_000 * -np.expm1(float(log_prob(n, jnp.zeros(2))[1]))
    assert abs(on - expected) <= 5 * np.sqrt(expected)


# --- parameterizations

LIFT = {"unit": lambda v: np.log(v) - np.log1p(-v), "positive": np.log}
ALPHA, BETA, RATE = (np.array(v).reshape(1, 1, -1) for v in ([0.02, 0.7, 4.0], [3.0, 0.4, 200.0], [50.0, 20.0, 900.0]))


def lifted(member, values):
    return {name: jnp.asarray(LIFT[support](values[name])) for name, _, support in member.samples}


def test_all_parameterizations_are_one_likelihood():
    values, u = two_state_values(ALPHA, BETA, RATE), jnp.asarray([0.0, 1.0, 30.0]).reshape(1, -1, 1)
    direct = log_prob({name: jnp.asarray(np.log(v)) for name, v in zip(COORDS, (ALPHA, BETA, RATE), strict=True)}, u)
    assert len(MEMBERS) == 4
    for member in MEMBERS.values():
        x = lifted(member, values)
        np.testing.assert_allclose(log_prob({c: f(x) for c, f in member.natural.items()}, u), direct, rtol=1e-11)


@each_member
@pytest.mark.parametrize("size", [1.0, 30.0, 300.0])
def test_inverse_is_identity_at_the_extremes(member, size):
    """Of every sampled coordinate at +- size, to the grain of the largest of them."""
    corners = np.array(grid([-1.0, 0.3, 1.0], [-1.0, -0.2, 1.0], [-1.0, 0.1, 1.0])) * size
    x = {name: jnp.asarray(v) for (name, _, _), v in zip(member.samples, corners, strict=True)}
    point = {coordinate: formula(x) for coordinate, formula in member.natural.items()}
    for name, _, _ in member.samples:
        _, formula = derive.REPORTED["two_state"][name]
        np.testing.assert_allclose(formula(point), x[name], rtol=1e-12, atol=1e-14 * max(1.0, size))


@each_member
def test_natural_coordinates_equal_mpmath(member):
    """The table of MODELS.md 2 in 60 digits, where float64 of the natural domain would over- and underflow."""
    for corner in zip(*(c * 250.0 for c in grid([-1.0, 0.4], [-0.7, 1.0], [-1.0, 0.8])), strict=True):
        x = {name: jnp.asarray(v) for (name, _, _), v in zip(member.samples, corner, strict=True)}
        expected = NATURAL[member.name](*(_value(s, v) for (_, _, s), v in zip(member.samples, corner, strict=True)))
        for coordinate, exactly in zip(COORDS, expected, strict=True):
            np.testing.assert_allclose(member.natural[coordinate](x), float(mp.log(exactly)), rtol=1e-13, atol=1e-13)


def _value(support, x):
    with mp.workdps(400):
        return 1 / (1 + mp.exp(-mp.mpf(x))) if support == "unit" else mp.exp(mp.mpf(x))


def _mean_fano(mu, f, kappa):
    d = mu + f * (kappa + 1)
    return kappa * mu / d, kappa * f * (kappa + 1) / d, d


def _moment_delta(mu, f, delta):
    with mp.workdps(400):
        d, rest = mu * delta + f, 1 - delta
        return mu * rest / d, f * rest / (delta * d), d / delta


NATURAL = {
    "two_state_natural": lambda mu, b, k_off: (mu / b, k_off, mu + b * k_off),
    "two_state_ratio": lambda mu, b, s: (mu / b, s * mu / b, mu * (1 + s)),
    "two_state_mean_fano": _mean_fano,
    "two_state_moment_delta": _moment_delta,
}


def spec(member) -> ModelSpec:
    params = [ParamSpec(n, role, support, ("gene",), Prior("normal", {"loc": 0.0, "scale": 1.0})) for n, role, support in member.samples]
    return ModelSpec("two_state", member.name, tuple(params))


@each_member
def test_reported_values_are_those_of_the_table(member):
    values = two_state_values(ALPHA, BETA, RATE)
    found = derive.values(spec(member), lifted(member, values))
    assert set(found) == set(values)
    for name, value in found.items():
        np.testing.assert_allclose(value, values[name], rtol=1e-12)
    rows = {row.name: row for row in derive.reported(spec(member))}
    assert {n for n, row in rows.items() if row.sampled} == {n for n, _, _ in member.samples}
    assert all(row.support == ("unit" if n == "inv_concentration" else "positive") for n, row in rows.items())


def test_reported_values_say_what_they_mean():
    """mean and Fano factor of the kernel; the burst is the mean over the rate of switching on."""
    n, _ = at(np.ravel(ALPHA), np.ravel(BETA), np.ravel(RATE))
    value = {name: np.asarray(SUPPORTS[s].value(f(n))) for name, (s, f) in derive.REPORTED["two_state"].items()}
    np.testing.assert_allclose(value["mu"], KERNEL.mean(n), rtol=1e-12)
    np.testing.assert_allclose(1 + value["excess_fano"], KERNEL.variance(n) / KERNEL.mean(n), rtol=1e-12)
    np.testing.assert_allclose(value["burst_size"], value["mu"] / value["k_on"], rtol=1e-12)
    nu = 0.03
    thinned = KERNEL.thin(n, jnp.log(nu))
    np.testing.assert_allclose(KERNEL.variance(thinned) / KERNEL.mean(thinned) - 1, nu * value["excess_fano"], rtol=1e-9)
