"""The beta negative binomial where test_kernels.py and stress.py do not look: by kappa, its tails and its curvature."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from scribe_cli.core.numerics import kernels
from tests import exact

KERNEL, NB = kernels.load("beta_negative_binomial"), kernels.load("negative_binomial")
COORDS = KERNEL.coords
LAW = exact.beta_negative_binomial
KAPPA_EXCESS = (1e-6, 1.0, 1e8)  # kappa - 2: the ends of what is promised
N_POINTS, N_LAWS, ENOUGH = 81, 27, 100_000  # the shapes of all that is compiled; ENOUGH: terms of a sum


def at(r, mean, excess, u=0.0):
    """(natural coordinates, counts), flat, of r, the mean and kappa - 2, which broadcast."""
    r, mean, excess, u = (np.ravel(v).astype(float) for v in np.broadcast_arrays(r, mean, excess, u))
    log_r = np.log(r)
    natural = {"log_r": log_r, "logit_p": np.log(mean) - log_r, "log_omega": np.log1p(r) - np.log(excess)}
    return {name: jnp.asarray(v) for name, v in natural.items()}, jnp.asarray(u)


def grid(*values):
    return tuple(np.ravel(v) for v in np.meshgrid(*values, indexing="ij"))


def rows(n, u):
    """(coordinates, count) of each point."""
    return [([float(n[c][i]) for c in COORDS], int(u[i])) for i in range(len(u))]


@jax.jit
def _along(at, u, direction):
    """((log P of each point, slopes), the Hessian's product with a direction: forward over reverse, as optimisers take it)."""

    def slopes(at):
        log_prob = lambda at: KERNEL.log_prob(dict(zip(COORDS, at, strict=True)), u)  # noqa: E731
        values, back = jax.vjp(log_prob, at)
        return values, back(jnp.ones_like(u))[0]

    (values, found), (_, bend) = jax.jvp(slopes, (at,), (direction,))
    return values, found, bend


def derivatives(n, u):
    """(log P, slopes (coordinate, point), Hessian (coordinate, coordinate, point))."""
    *at, counts = (jnp.asarray(np.resize(v, N_POINTS)) for v in (*(n[c] for c in COORDS), u))
    directions = np.eye(3)[:, :, None] * np.ones(N_POINTS)
    values, slopes, hessian = zip(*(_along(jnp.stack(at), counts, d) for d in directions), strict=True)
    return [np.asarray(v)[..., : len(u)] for v in (values[0], slopes[0], np.stack(hessian))]


def log_prob(n, u):
    return derivatives(n, u)[0]


def assert_exact(n, u):
    """Values and slopes are those of mpmath."""
    values, slopes, _ = derivatives(n, u)
    for i, (x, k) in enumerate(rows(n, u)):
        true = LAW(*x, k)
        assert exact.error(values[i], true) <= 1e-10 * (1 + abs(float(true))), (x, k)
        np.testing.assert_allclose(slopes[:, i], [exact.slope(LAW, j, x, k) for j in range(3)], rtol=1e-9, atol=1e-9)


def test_corners():
    """Each end of kappa, of the mean and of r, at counts that are likely there and counts that are not."""
    assert_exact(*at(*grid([1e-3, 2.0, 1e5], [1e-6, 3.0, 1e5], KAPPA_EXCESS, [0, 1, 1e5])))


# both sides of what the kernel computes in two ways: series with and without a shift (a, kappa and r of 1e10), log1p of a
# loss of half, the limits of log a and log r, a log P(0) of 1e-14, and omega where the NB takes over
BEFORE_AND_AFTER = {
    "a": at(*grid([3.0], [0.9e10 / 3, 1.1e10 / 3], [8.0], [0, 5, 1e5])),
    "kappa": at(*grid([3.0], [3.0], [0.9e10, 1.1e10], [0, 5, 1000])),
    "r": at(*grid([0.9e10, 1.1e10], [40.0], [50.0], [0, 5, 1000])),
    "loss": at(*grid([2.0], np.linspace(0.05, 4.0, 12), [1.5], [0, 3])),
    "log a": at(*grid([0.5], np.exp([297.9, 298.0, 298.1, 310.0]), [3.0], [0, 5])),
    "log r": at(np.exp(np.repeat([59.9, 60.1, 90.0], 2)), 2.0, np.exp(np.repeat([59.0, 59.2, 89.1], 2)), np.resize([0, 5], 6)),
    "silent": at(*grid([0.7], [5e-15, 0.99e-14, 1.01e-14, 1e-13], [30.0], [0, 1])),
    "omega": at(*grid([5.0], [30.0], 6.0 * np.exp([60.0, 79.9, 80.1, 200.0]), [0, 30, 900])),
}


@pytest.mark.parametrize("name", BEFORE_AND_AFTER)
def test_where_one_formula_takes_over_from_another(name):
    assert_exact(*BEFORE_AND_AFTER[name])


def test_hessian_equals_mpmath():
    """All of it: Newton's method multiplies with it."""
    n, u = at(
        [1e-3, 0.4, 3.0, 60.0, 1e4, 1e5, 2.0, 8.0],
        [1e-6, 0.2, 900.0, 1e5, 3.0, 1e-3, 20.0, 5.0],
        [1e-6, 3.0, 1e-6, 40.0, 1.0, 1e8, 1e8, 1e-3],
        [0, 1, 0, 7e4, 90, 1, 4000, 12],
    )
    hessian = derivatives(n, u)[2]
    for i, (x, k) in enumerate(rows(n, u)):
        expected = [[_second(x, k, a, b) for b in range(3)] for a in range(3)]
        np.testing.assert_allclose(hessian[..., i], expected, rtol=1e-8, atol=1e-8)


def _second(x, u, i, j):
    """Second derivative in the i-th and the j-th coordinate, by central differences in many digits."""
    with mp.workdps(3 * exact.DIGITS):
        h = mp.mpf(10) ** -20

        def moved(a, b):
            point = [mp.mpf(v) for v in x]
            point[i] += a * h
            point[j] += b * h
            return LAW(*point, u)

        return float((moved(1, 1) - moved(1, -1) - moved(-1, 1) + moved(-1, -1)) / (4 * h * h))


def test_log_prob_zero_of_silent_genes_keeps_its_digits():
    """It is of the size of the mean, and a million cells are summed: it must not end at the grain of 1."""
    n, u = at(*grid([1e-5, 0.05, 1.0, 3000.0], [1e-9, 1e-6, 1e-3], KAPPA_EXCESS))
    values, slopes, _ = derivatives(n, u)
    true = np.array([float(LAW(*x, 0)) for x, _ in rows(n, u)])
    assert np.abs(true).min() < 1e-11
    for found in (values, KERNEL.log_prob_zero(n)):
        np.testing.assert_allclose(found, true, rtol=1e-5)
    for i, (x, k) in enumerate(rows(n, u)):
        np.testing.assert_allclose(slopes[:, i], [exact.slope(LAW, j, x, k) for j in range(3)], rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize(("r", "mean", "excess"), [(0.3, 2.0, 1e-6), (4.0, 0.5, 3.0), (30.0, 60.0, 10.0), (2.0, 1.0, 300.0)])
def test_it_is_a_negative_binomial_whose_p_is_beta_distributed(r, mean, excess):
    """MODELS.md 1 by quadrature: q ~ Beta(a, kappa), a = p (kappa - 1) / (1 - p), the mean being that of the NB."""
    n, u = at(r, mean, excess, [0, 1, 6, 40])
    kappa = 2 + excess
    a = mean / r * (kappa - 1)

    def log_compound(k):
        law = lambda q: q ** (a - 1 + k) * (1 - q) ** (kappa - 1 + r)  # noqa: E731
        return mp.log(mp.binomial(k + r - 1, k) / mp.beta(a, kappa) * mp.quad(law, mp.linspace(0, 1, 41)))

    np.testing.assert_allclose(log_prob(n, u), [float(log_compound(int(k))) for k in u], rtol=1e-9, atol=1e-9)


# --- moments, tails, capture ----------------------------------------------------------------------------------------

HEAVY = at(*grid([0.2, 2.0, 40.0], [0.05, 1.0, 6.0], [4.0, 9.0, 60.0]))[0]
TAILS = at(*grid([0.2, 0.8, 5.0], [0.5, 2.0, 10.0], [1e-6, 0.5, 3.0]))[0]
LOG_NU = jnp.log(0.3)
_table = jax.jit(KERNEL.log_prob)


def pmf_of(n):
    """(laws, ENOUGH)."""
    return np.exp(_table({c: v[:, None] for c, v in n.items()}, jnp.arange(float(ENOUGH))[None]))


@pytest.mark.parametrize("log_nu", [jnp.zeros(()), LOG_NU])
def test_mean_and_variance_of_heavy_tails_by_summation(log_nu):
    """The mean of the thinned NB and (1 + omega) times its variance, the p of both being after capture (MODELS.md 1)."""
    thinned, u = KERNEL.thin(HEAVY, log_nu), np.arange(float(ENOUGH))
    pmf = pmf_of(thinned)
    mean = pmf @ u
    variance = (pmf * (u - mean[:, None]) ** 2).sum(1)
    r, odds, omega = (np.exp(HEAVY[c]) for c in COORDS)
    odds = odds * np.exp(log_nu)
    for found, expected in ((mean, r * odds), (variance, (1 + omega) * r * odds * (1 + odds))):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(KERNEL.mean(thinned), r * odds, rtol=1e-13)
    np.testing.assert_allclose(KERNEL.variance(thinned), (1 + omega) * r * odds * (1 + odds), rtol=1e-13)


def test_capture_thins_the_negative_binomial_inside():
    """The same r and kappa, and odds of p times nu; as omega goes to 0 this is the NB whose counts are thinned."""
    n, u = at(2.0, 5.0, 3.0, np.arange(30))
    np.testing.assert_allclose(log_prob(KERNEL.thin(n, LOG_NU), u), log_prob(at(2.0, 5.0 * 0.3, 3.0, u)[0], u), rtol=1e-13)
    almost_nb = {**n, "log_omega": jnp.full(30, -70.0)}
    expected = NB.log_prob(NB.thin({c: n[c] for c in NB.coords}, LOG_NU), u)
    np.testing.assert_allclose(log_prob(KERNEL.thin(almost_nb, LOG_NU), u), expected, rtol=1e-12)


def test_the_tail_falls_with_a_power_of_the_count():
    """P(u) ~ u^-(kappa + 1): at kappa = 2 it holds mass that no sum reaches, and with that the whole is 1."""
    pmf, kappa = pmf_of(TAILS), 2 + (1 + np.exp(TAILS["log_r"])) / np.exp(TAILS["log_omega"])
    far = np.array([30_000, 90_000])
    slope = np.diff(np.log(pmf[:, far]))[:, 0] / np.diff(np.log(far))
    np.testing.assert_allclose(slope, -(kappa + 1), rtol=1e-2)
    beyond = pmf[:, -1] * ENOUGH / kappa
    assert beyond.max() > 1e-9
    np.testing.assert_allclose(pmf.sum(1) + beyond, 1.0, atol=1e-2 * beyond.max())


# --- limits ---------------------------------------------------------------------------------------------------------

nb_slopes = jax.jit(jax.grad(lambda n, u: NB.log_prob(n, u).sum()))


@pytest.mark.parametrize("omega", [1e-4, 1e-7, 1e-12, 1e-40, 1e-300])
def test_slopes_go_over_into_those_of_the_negative_binomial(omega):
    """In proportion to omega, none along omega being left; where r is large, into those of the Poisson."""
    r, mean, u = grid([0.05, 3.0, 1e8], [1e-3, 4.0, 300.0], [0, 1, 8, 300])
    n, u = {"log_r": np.log(r), "logit_p": np.log(mean / r), "log_omega": np.full(len(r), np.log(omega))}, np.asarray(u, float)
    found = dict(zip(COORDS, derivatives(n, u)[1], strict=True))
    expected = nb_slopes({c: jnp.asarray(n[c]) for c in NB.coords}, jnp.asarray(u)) | {"log_omega": np.zeros(len(r))}
    left = omega * (1 + u + mean) ** 2 / np.minimum(r, 1) / np.minimum(mean, 1)
    for coord in COORDS:
        assert (np.abs(found[coord] - expected[coord]) <= left + 1e-11 * (1 + u + mean)).all()
    poisson = np.abs(found["logit_p"] - (u - mean))[r == 1e8]
    assert (poisson <= (left + 1e-8 * (1 + u + mean) ** 2)[r == 1e8]).all()


# --- draws ----------------------------------------------------------------------------------------------------------


def test_draws_have_the_shares_and_moments_of_the_law():
    """Within 5 standard errors: zeros, ones and large counts; mean and variance where the tail leaves these an error."""
    excess = np.array([1e-6, 12.0, 1e30])
    n, _ = at(*grid([0.3, 2.0, 40.0], [0.5, 3.0, 30.0], excess))
    size, pmf, u = 5000, pmf_of(n), np.arange(float(ENOUGH))
    draws = np.asarray(KERNEL.sample(jax.random.key(2), {c: v[:, None] for c, v in n.items()}, (N_LAWS, size)))
    mean, every, light = (pmf @ u)[:, None], np.full(N_LAWS, True), np.resize(excess > 1, N_LAWS)
    judged = [(lambda v: v == 0, every), (lambda v: v == 1, every), (lambda v: v > 2 * mean, every)]
    judged += [(lambda v: v, light), (lambda v: (v - mean) ** 2, light)]
    for statistic, which in judged:
        of_law, of_draws = (statistic(np.asarray(v)).astype(float) for v in (np.broadcast_to(u, pmf.shape), draws))
        expected = (pmf * of_law).sum(1)
        error = np.sqrt(((pmf * of_law**2).sum(1) - expected**2) / size)
        assert (np.abs(of_draws.mean(1) - expected)[which] <= 5 * error[which]).all()
