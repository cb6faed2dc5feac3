"""Special functions and packed tails against mpmath and brute force."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import gammaln

from scribe_cli.core.numerics import counts, special
from scribe_cli.core.numerics import pairs as pairs_module
from scribe_cli.core.padding import LARGE, ladder, octave, profile
from tests import zoo

mp.mp.dps = 60

REALS = [-745.0, -700.0, -40.0, -30.5, -29.5, -1.0, -1e-9, 0.0, 1e-9, 0.7, 3.0, 29.5, 30.5, 40.0, 700.0]
MODERATE = [x for x in REALS if abs(x) < 35.0]
POSITIVE = [1e-300, 1e-12, 1e-3, 0.7, 3.0, 29.5, 30.0, 30.5, 400.0, 1e5]


def mp_softplus(x):
    return mp.log1p(mp.exp(x))


# name: (exact function, arguments, rtol)
FUNCTIONS = {
    "log1p": (mp.log1p, [-0.999, -0.7, -0.5, -0.3, -1e-3, -1e-15, 0.0, *POSITIVE, 1e300], 1e-15),
    "sigmoid": (lambda x: 1 / (1 + mp.exp(-x)), MODERATE, 1e-15),
    "cosigmoid": (lambda x: 1 / (1 + mp.exp(x)), MODERATE, 1e-15),
    "softplus": (mp_softplus, REALS, 1e-15),
    "log_sigmoid": (lambda x: -mp_softplus(-x), REALS, 1e-15),
    "log_softplus": (lambda x: mp.log(mp_softplus(x)), REALS, 1e-14),
    "log_expm1": (lambda x: mp.log(mp.expm1(x)), POSITIVE, 1e-14),
    "log_factorial": (lambda x: mp.loggamma(x + 1), [0.0, 1.0, 2.0, 7.0, 8.0, 9.0, 100.0, 1e5, 1e8], 1e-14),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_slope_equal_mpmath(name):
    exact, at, rtol = FUNCTIONS[name]
    function, x = getattr(special, name), jnp.array(at)
    np.testing.assert_allclose(function(x), [float(exact(mp.mpf(v))) for v in at], rtol=rtol, atol=2e-15)
    inner = [v for v in at if abs(v) >= 1e-12 and abs(v) < 745]
    slopes = jax.jit(jax.grad(lambda x: function(x).sum()))(jnp.array(inner))
    expected = [float(mp.diff(exact, mp.mpf(v), h=mp.mpf(10) ** -30)) for v in inner]
    np.testing.assert_allclose(slopes, expected, rtol=1e-11)


def test_log1p_is_precise_over_its_whole_range():
    """Against long doubles; also from one power of two to the next, and where no number comes back."""
    rng = np.random.default_rng(0)
    x = np.concatenate([10.0 ** rng.uniform(-300, 300, 20_000), 10.0 ** rng.uniform(-16, 1, 20_000), -rng.uniform(0, 0.999, 20_000)])
    exact = np.log1p(x.astype(np.longdouble))
    assert np.abs(np.asarray(jax.jit(special.log1p)(x)) / exact - 1).max() < 3 * np.finfo(float).eps
    np.testing.assert_array_equal(special.log1p(jnp.array([0.0, jnp.inf, jnp.nan, -2.0])), [0.0, np.inf, np.nan, np.nan])


def test_softplus_slope_at_zero_is_a_half():
    assert jax.grad(special.softplus)(0.0) == 0.5
    assert jax.grad(jax.grad(special.softplus))(0.0) == 0.25


def test_logaddexp_equals_numpy_whichever_is_larger():
    """Also where they are far apart: the larger one comes back whole."""
    a, b = np.array([0.0, -3.0, 1e8, -1e8, 5.0, -2.0, 1e12]), np.array([0.0, 4.0, -1e8, 1e8, 5.0, -1e17, 1.5])
    np.testing.assert_allclose(special.logaddexp(jnp.asarray(a), jnp.asarray(b)), np.logaddexp(a, b), rtol=1e-15)
    slopes = jax.grad(lambda a, b: special.logaddexp(a, b).sum(), (0, 1))(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(slopes[0], np.exp(-np.logaddexp(0.0, b - a)), rtol=1e-14)
    np.testing.assert_allclose(slopes[1], np.exp(-np.logaddexp(0.0, a - b)), rtol=1e-14)


def test_log_rising_equals_mpmath():
    grid = np.meshgrid([-800.0, -30.0, -1.0, 0.0, 3.0, 10.0, 18.0], [1.0, 2.0, 9.0, 5000.0, 1e6])
    log_x, n = (v.ravel() for v in grid)
    pairs = [(mp.exp(mp.mpf(a)), k) for a, k in zip(log_x, n, strict=True)]
    exact = [float(mp.loggamma(x + k) - mp.loggamma(x)) for x, k in pairs]
    np.testing.assert_allclose(special.log_rising(jnp.asarray(log_x), jnp.asarray(n)), exact, rtol=1e-13, atol=1e-13)


def mp_shift_mixed(x, a, b):
    terms = (mp.log1p(-a * b / ((x + a + i) * (x + b + i))) for i in range(special.SHIFT))
    return mp.fsum(terms)


def test_log_shift_mixed_equals_mpmath_to_the_last_digits():
    """Also where it is all but 0: a plain difference of logs would leave 1e-16 there, of either sign."""
    at = np.array(list(itertools.product([2.0, 2.5, 40.0, 1e9], [1e-200, 1e-20, 1e-3, 0.9, 70.0, 1e8], [1e-9, 1.0, 1e6])))
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(special.log_shift_mixed, (0, 1, 2))))(*at.T)
    exact = [mp_shift_mixed(*map(mp.mpf, point)) for point in at]
    np.testing.assert_allclose(values, [float(v) for v in exact], rtol=4e-15)
    for k in range(3):
        expected = [_partial(k, point) for point in at]
        np.testing.assert_allclose(slopes[k], expected, rtol=1e-12, atol=1e-14)


def _partial(k, at):
    with mp.workdps(400):
        point = [mp.mpf(v) for v in at]
        step = point[k] * mp.mpf(10) ** -40
        up, down = ([v + sign * step * (i == k) for i, v in enumerate(point)] for sign in (1, -1))
        return float((mp_shift_mixed(*up) - mp_shift_mixed(*down)) / (2 * step))


def test_factorial_rest_is_what_is_left_of_log_factorial():
    u = np.array([0.0, 1.0, 7.0, 300.0, 1e5])
    exact = [float(-mp.loggamma(v + 1) + v * mp.log(v + special.SHIFT) - v) for v in map(mp.mpf, u)]
    np.testing.assert_allclose(special.factorial_rest(jnp.asarray(u)), exact, rtol=1e-14, atol=1e-14)


TAILS = counts.pack_tails(*zoo.histogram(zoo.COUNTS), *zoo.COUNTS.shape)


def test_tails_are_numbers_of_cells_above():
    """N_gj = #{c: u_gc > j} for j >= 1 of each gene but those with large counts, whose distinct ones are kept; totals beside."""
    factors, large = TAILS["factors"], TAILS["large"]
    heavy = zoo.COUNTS.max(0) > counts.LARGEST
    assert heavy.any() and not heavy.all()
    for g, u in enumerate(zoo.COUNTS.T):
        mine, distinct = ({k: part[k][(part["row"] == g) & (part["n"] > 0)] for k in ("value", "n")} for part in (factors, large))
        j = np.arange(1, 1 if heavy[g] else max(u.max(), 1))
        np.testing.assert_array_equal(mine["value"], j)
        np.testing.assert_array_equal(mine["n"], (u[:, None] > j).sum(0))
        value, n = np.unique(u[u > 0] if heavy[g] else [], return_counts=True)
        np.testing.assert_array_equal(distinct["value"], value)
        np.testing.assert_array_equal(distinct["n"], n)
    np.testing.assert_array_equal(TAILS["total"], zoo.COUNTS.sum(0)[None])
    np.testing.assert_array_equal(TAILS["nonzero"], (zoo.COUNTS > 0).sum(0)[None])
    np.testing.assert_allclose(TAILS["log_factorial"], gammaln(zoo.COUNTS + 1.0).sum(), rtol=1e-14)
    np.testing.assert_array_equal(TAILS["n_cells"], [[zoo.N_CELLS]])


def test_rising_total_is_the_sum_over_entries():
    log_a = np.linspace(-4, 3, zoo.N_GENES)
    value, slope = jax.jit(jax.value_and_grad(lambda a: counts.log_rising_total(TAILS, a)))(jnp.asarray(log_a))
    a = np.exp(log_a)
    np.testing.assert_allclose(value, (gammaln(zoo.COUNTS + a) - gammaln(a)).sum(), rtol=1e-12)
    columns = zip(a, zoo.COUNTS.T, strict=True)
    exact = [sum((x / (x + np.arange(u))).sum() for u in column) for x, column in columns]
    np.testing.assert_allclose(slope, exact, rtol=1e-11, atol=1e-12)


def test_tails_of_a_matrix_without_large_or_silent_genes():
    u = np.array([[1, 2], [0, 3]])
    tails = counts.pack_tails(*zoo.histogram(u), *u.shape)
    value = counts.log_rising_total(tails, jnp.log(jnp.array([0.5, 2.0])))
    np.testing.assert_allclose(value, np.log(0.5) + np.log(2 * 3) + np.log(2 * 3 * 4), rtol=1e-14)


@pytest.mark.parametrize("n_filled", [zoo.N_GENES, zoo.N_GENES + 3])
def test_factors_are_filled_up_to_a_size_that_data_share(n_filled):
    """What fills up is of the last row, counts 0 times and is 0 in value and slope."""
    tails = counts.pack_tails(*zoo.histogram(zoo.COUNTS), *zoo.COUNTS.shape, n_filled=n_filled)
    for part in (tails["factors"], tails["large"]):
        size = len(part["row"])
        assert size == octave(size) and (part["row"][part["n"] == 0] == n_filled - 1).all()
        assert part["members"][2][-1] == size
    log_a = jnp.linspace(-4, 3, zoo.N_GENES)
    more = jnp.append(log_a, jnp.full(n_filled - zoo.N_GENES, 0.3))
    value, slope = jax.value_and_grad(lambda a: counts.log_rising_total(tails, a))(more)
    expected, of_genes = jax.value_and_grad(lambda a: counts.log_rising_total(TAILS, a))(log_a)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(slope[: zoo.N_GENES], of_genes, rtol=1e-13)
    assert not slope[zoo.N_GENES :].any()
    np.testing.assert_array_equal(tails["present"], [[1] * zoo.N_GENES + [0] * (n_filled - zoo.N_GENES)])


def test_sizes_are_a_quarter_of_an_octave_apart():
    found = [ladder(n) for n in range(4000)]
    assert all(n <= size < 1.25 * n + 1 for n, size in enumerate(found))
    assert found[:12] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 10, 12]
    assert {size / 2 ** int(np.log2(size)) for size in found[1:]} == {1.0, 1.25, 1.5, 1.75}


def test_a_profile_is_nowhere_below_the_sizes_and_like_sizes_share_one():
    """Nor far above those of a power law; else a count would have no pair of its own."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        n = int(rng.integers(1, 30_000))
        sizes = np.sort(rng.integers(0, n + 1, 16))[::-1]
        found = profile(sizes, n)
        assert (np.array(found) >= sizes).all() and found == sorted(found, reverse=True) and max(found) <= n
    law = lambda s: np.floor(10_000 * np.minimum(1.0, (s / np.arange(1, 17)) ** 1.8)).astype(int)  # noqa: E731
    assert all((np.array(profile(law(s), 10_000)) <= 1.26 * law(s) + 2).all() for s in np.linspace(1.0, 16, 60))
    assert len({tuple(profile(law(s), 10_000)) for s in np.linspace(1.5, 3.0, 100)}) < 10
    assert profile([0] * 16, 0) == [0] * 16


def test_sizes_that_nobody_chose_are_powers_of_two_until_they_are_large():
    assert [octave(n) for n in (0, 1, 2, 3, 4, 5, 8, 9, 1000, LARGE - 1, LARGE)] == [0, 1, 2, 4, 4, 8, 8, 16, 1024, LARGE, LARGE]
    assert [octave(n, 64) for n in (0, 3, 64, 65)] == [0, 64, 64, 128]
    assert octave(LARGE + 1) == ladder(LARGE + 1) == 1.25 * LARGE


def by_dataset(dataset):
    """(gene, count, number of cells, dataset) of zoo's counts, sorted by dataset, gene and count."""
    parts = [(*zoo.histogram(zoo.COUNTS[dataset == d]), d) for d in np.unique(dataset)]
    rows = np.concatenate([np.stack([g, u, n, np.full_like(g, d)]) for g, u, n, d in parts], axis=1)
    return rows[:, np.lexsort(rows[[1, 0, 3]])]


def test_tails_and_pairs_of_datasets_are_those_of_their_cells():
    dataset = np.arange(zoo.N_CELLS) % 3 % 2
    gene, count, n, code = by_dataset(dataset)
    cells = np.bincount(dataset)
    tails = counts.pack_tails(gene, count, n, cells, zoo.N_GENES, code)
    pairs = counts.pack_pairs(None, gene, count, n, cells, zoo.N_GENES, code)
    log_a = np.linspace(-4, 3, 2 * zoo.N_GENES).reshape(2, -1)
    a = np.exp(log_a)[dataset]
    expected = (gammaln(zoo.COUNTS + a) - gammaln(a)).sum()
    np.testing.assert_allclose(counts.log_rising_total(tails, jnp.asarray(log_a)), expected, rtol=1e-12)
    for packed in (tails, pairs):
        of_each = [(zoo.COUNTS[dataset == d] > 0).sum(0) for d in range(2)]
        np.testing.assert_array_equal(packed["nonzero"], of_each)
        np.testing.assert_array_equal(packed["n_cells"], cells[:, None])
    totals = np.bincount(pairs["row"], pairs["count"] * pairs["n"], 2 * zoo.N_GENES)
    np.testing.assert_array_equal(tails["total"], totals.reshape(2, -1))
    np.testing.assert_array_equal(tails["total"], [zoo.COUNTS[dataset == d].sum(0) for d in range(2)])


def test_tables_of_steps_equal_rising_factorials_at_the_ends():
    """Counts built up step by step and counts above them, of two datasets: values and slopes are those of `log_rising`, where a

    underflows, where it is as large as kernels leave it, and where two of them cancel.
    """
    dataset = np.arange(zoo.N_CELLS) % 2
    gene, count, n, code = by_dataset(dataset)
    pairs = counts.pack_pairs(None, gene, count, n, np.bincount(dataset), zoo.N_GENES, code)
    assert len(pairs["steps"]) == counts.STEPS and len(pairs["rest"]["row"])
    rng, signs = np.random.default_rng(0), (1.0, 1.0, -1.0)
    log_a = rng.permuted(np.resize([-800.0, -40.0, 0.0, 3.0, 18.0, 60.0], (3, 1, 2, zoo.N_GENES)), axis=-1)
    log_a[1] = log_a[2] + 1e-3 * rng.normal(size=log_a[2].shape)
    u = pairs["count"][None, :, None]

    def by_steps(log_a):
        ordered = [(sign, pairs_module.in_order(a, pairs)[..., None]) for sign, a in zip(signs, log_a, strict=True)]
        return pairs_module.by_factorials(pairs, ordered)

    def directly(log_a):
        of_pairs = log_a.reshape(3, 1, -1, 1)[:, :, pairs["row"]]
        rises = sum(sign * special.log_rising(a, u) for sign, a in zip(signs, of_pairs, strict=True))
        return rises - special.log_factorial(u)

    weight = rng.normal(size=u.shape)
    (found, slopes), (expected, true) = ((f(log_a), jax.grad(lambda a, f=f: (f(a) * weight).sum())(log_a)) for f in (by_steps, directly))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(slopes, true, rtol=1e-9, atol=1e-9)


def test_each_cell_holds_its_own_counts():
    """Rows of `cells` times the counts and numbers of pairs give each cell back; its transpose is stored beside it."""
    dataset = np.arange(zoo.N_CELLS) % 2
    gene, count, n, code = by_dataset(dataset)
    pairs = counts.pack_pairs(None, gene, count, n, np.bincount(dataset), zoo.N_GENES, code)
    held = counts.pack_cell_pairs(csr_array(zoo.COUNTS.astype(np.int32)), zoo.N_GENES * dataset, pairs)
    shape = (zoo.N_CELLS, len(pairs["count"]))
    cells, transposed = csr_array(held["cells"], shape), csr_array(held["pairs"], shape[::-1])
    found = np.zeros((zoo.N_CELLS, 2 * zoo.N_GENES))
    for pair, row in enumerate(pairs["row"]):
        found[:, row] += pairs["count"][pair] * cells.toarray()[:, pair]
    for c in range(zoo.N_CELLS):
        np.testing.assert_array_equal(found[c].reshape(2, -1)[dataset[c]], zoo.COUNTS[c])
    np.testing.assert_array_equal(cells.toarray().sum(0), pairs["n"])
    np.testing.assert_array_equal(transposed.toarray(), cells.toarray().T)


def test_several_rising_factorials_in_one_sum():
    log_a = [jnp.asarray(np.linspace(low, high, zoo.N_GENES)[None]) for low, high in ((-800.0, 60.0), (60.0, -3.0), (59.0, 2.0))]
    factorials = list(zip((1.0, 1.0, -1.0), log_a, strict=True))
    together = lambda *log_a: counts.log_rising_totals(TAILS, list(zip((1.0, 1.0, -1.0), log_a, strict=True)))  # noqa: E731
    found, slopes = jax.value_and_grad(together, (0, 1, 2))(*log_a)
    apart = [jax.value_and_grad(lambda a: counts.log_rising_total(TAILS, a))(a) for _, a in factorials]
    np.testing.assert_allclose(found, sum(sign * value for (sign, _), (value, _) in zip(factorials, apart, strict=True)), rtol=1e-12)
    for slope, (sign, _), (_, expected) in zip(slopes, factorials, apart, strict=True):
        np.testing.assert_allclose(slope, sign * expected, rtol=1e-11)
