"""Windows that counts of a gene share at all its rates: mpmath, the windows of single entries, and where none is shared."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli.core.numerics import kernels, shared_windows
from tests import exact

KERNEL = kernels.load("two_state")
COORDS = ("log_alpha", "log_beta", "log_rate")
COUNTS = {"zeros": (0, 1, 2, 3), "wide": (0, 1, 16, 200), "high": (17, 23, 90, 200)}
WIDTHS = (3.0, 7.0, 12.0)  # of the interval of log capture
CAPTURES = 5

together = jax.jit(KERNEL.log_probs)


@jax.jit
def one_by_one(n, u):
    return KERNEL.log_prob({name: v[:, None] for name, v in n.items()}, u[..., None])


def curved(log_prob):
    """f(n, u, weight, direction) -> (slopes, their change along the direction), forward over reverse."""

    @jax.jit
    def along(n, u, weight, direction):
        return jax.jvp(jax.grad(lambda n: (weight * log_prob(n, u)).sum()), (n,), (direction,))

    return along


def rows(n, width, seed=0):
    """Promoters of alpha and beta from 1e-3 to 1e4 and rates from 1e-6 to 1e5, at captures that far apart."""
    rng = np.random.default_rng(seed)
    alpha, beta, rate = (rng.uniform(np.log(low), np.log(high), (n, 1)) for low, high in ((1e-3, 1e4), (1e-3, 1e4), (1e-6, 1e5)))
    values = alpha, beta, rate + np.linspace(-width, 0.0, CAPTURES)
    return dict(zip(COORDS, map(jnp.asarray, values), strict=True))


def row_of(counts):
    return jnp.asarray(counts, float)[None]


@functools.cache
def served(width, counts, n):
    """Of each of the rows: whether a window of its own serves it."""
    alpha, beta, rate = (jnp.exp(v)[:, None] for v in rows(n, width).values())
    rare = (rate * alpha < 0.5 * (alpha + beta)) & (counts[0] == 0)
    u = jnp.asarray(counts, float).reshape(1, -1, 1)
    one = lambda row: shared_windows._Window.of(*(v[None] for v in row[:3]), u, row[3][None]).serves  # noqa: E731
    return np.asarray(jax.jit(lambda *row: jax.lax.map(one, row))(alpha, beta, rate, rare))


@pytest.fixture
def alone(monkeypatch):
    """Each row a block, so that none is with one that no window serves."""
    monkeypatch.setattr(shared_windows, "NUMBERS", shared_windows.CHUNK)
    return jax.jit(lambda n, u: KERNEL.log_probs(n, u))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", COUNTS)
def test_a_shared_window_equals_windows_of_single_entries(kind, width, alone):
    n, u = rows(150, width), row_of(COUNTS[kind])
    found, expected = alone(n, u), one_by_one(n, u)
    assert served(width, COUNTS[kind], 150).mean() > 0.7
    np.testing.assert_allclose(found, expected, rtol=3e-12, atol=3e-12)


@pytest.mark.parametrize("kind", COUNTS)
def test_a_shared_window_equals_mpmath(kind, alone):
    """The same bound as of an entry's own window."""
    n, u = rows(12, 7.0, seed=3), row_of(COUNTS[kind])
    found = np.asarray(alone(n, u))
    for i, j, k in np.ndindex(found.shape):
        alpha, beta, rate = (float(n[c][i, min(k, n[c].shape[1] - 1)]) for c in COORDS)
        assert exact.error(found[i, j, k], exact.two_state(alpha, beta, rate, int(u[0, j]))) <= 1e-10 * (1 + abs(found[i, j, k]))


@pytest.mark.parametrize("kind", COUNTS)
def test_slopes_and_curvature_are_those_of_single_entries(kind):
    n, u = rows(100, 7.0, seed=1), row_of(COUNTS[kind])
    rng = np.random.default_rng(2)
    weight = rng.uniform(0.5, 1.5, (100, u.shape[1], CAPTURES))
    direction = {name: jnp.asarray(rng.normal(size=v.shape)) for name, v in n.items()}
    found, expected = (curved(f)(n, u, weight, direction) for f in (KERNEL.log_probs, one_by_one))
    for (f, e), rtol in zip(zip(found, expected, strict=True), (1e-9, 1e-7), strict=True):
        for name in COORDS:
            np.testing.assert_allclose(f[name], e[name], rtol=rtol, atol=rtol * (1 + np.abs(e[name]).max(1, keepdims=True)).min())


def test_where_no_window_serves_every_entry_has_its_own():
    """A rate so high at one end that products would underflow, and a promoter so sharp that nodes would be too many."""
    n = {"log_alpha": [[8.0], [18.0]], "log_beta": [[-2.0], [18.0]], "log_rate": [[-2.0, 9.0], [1.0, 25.0]]}
    n = {name: jnp.asarray(v) for name, v in n.items()}
    alpha, beta, rate = (jnp.exp(v)[:, None] for v in n.values())
    for i in range(2):
        row = (v[i : i + 1] for v in (alpha, beta, rate))
        window = shared_windows._Window.of(*row, jnp.arange(3.0).reshape(1, 3, 1), jnp.zeros((1, 1, 2), bool))
        assert not window.serves
    np.testing.assert_array_equal(together(n, jnp.arange(3.0)[None]), one_by_one(n, jnp.arange(3.0)[None]))


def test_a_silent_gene_is_relatively_precise():
    n = {"log_alpha": jnp.log(jnp.array([[1e-9], [1e-6], [2.0]])), "log_beta": jnp.log(jnp.array([[3.0], [50.0], [0.5]]))}
    n["log_rate"] = jnp.log(jnp.array([[4.0], [0.1], [1e-9]])) + jnp.array([[0.0, -6.0]])
    found = together(n, jnp.arange(4.0)[None])[:, 0]
    np.testing.assert_allclose(found, one_by_one(n, jnp.zeros((1, 1)))[:, 0], rtol=1e-11)


def test_no_compiled_kernel_scatters():
    n, u = rows(10, 7.0), row_of(COUNTS["zeros"])
    text = jax.jit(jax.grad(lambda n: KERNEL.log_probs(n, u).sum())).lower(n).compile().as_text()
    assert " scatter(" not in text and " dot(" in text
