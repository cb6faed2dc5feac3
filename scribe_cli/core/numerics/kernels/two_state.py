"""The two-state promoter: u ~ Poisson(rate x), x ~ Beta(alpha, beta) (MODELS.md 1).

log P(u) = u log L - log u! - log B(alpha, beta) + log of the integral of x^(alpha+u-1) (1-x)^(beta-1) e^(-L x) over (0, 1), by
the trapezoid rule in z = logit x, whose error falls like exp(-pi^2/h) (ENGINE.md 7). The integrand in z has one mode; a
window of its own is laid around it for every entry, and what lies beyond the window where the integrand is an exponential,
as it is for rare genes and slow promoters, is a geometric series whose sum the end weights carry.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ..special import (
    HALF_LOG_2PI,
    SHIFT,
    log_factorial,
    log_shift_product,
    log_sigmoid,
    softplus,
    stirling_tail,
)
from . import AbstractKernel

NODES = 160
DROP = 42.0  # nats below the mode where a window ends
STRAIGHT = 25.0  # -log of the part by which the integrand may miss an exponential beyond a window
HALVINGS = 12  # of the interval that a window's end is looked for in
BLOCK = 4096  # entries whose nodes are in memory at one time
LARGEST_LOG_BETA = 40.0  # beyond, the law is the negative binomial of the same rate / beta to 1e-17


def _finite(n):
    """(log alpha, log beta, log rate) with a finite beta; the ratio of rate to beta, which the limit has, is kept."""
    excess = jnp.maximum(n["log_beta"] - LARGEST_LOG_BETA, 0.0)
    return n["log_alpha"], n["log_beta"] - excess, n["log_rate"] - excess


def _log_beta_function(log_a, log_b):
    """log B(a, b): Stirling's series on arguments moved up by 8, its large terms in ratios."""
    a, b = jnp.exp(log_a), jnp.exp(log_b)
    a8, b8 = a + SHIFT, b + SHIFT
    both = a8 + b8
    large = -(a8 - 0.5) * jnp.log1p(b8 / a8) - (b8 - 0.5) * jnp.log1p(a8 / b8) - 0.5 * jnp.log(both) + HALF_LOG_2PI
    tails = stirling_tail(a8) + stirling_tail(b8) - stirling_tail(both)
    whole = a + b
    moved = jnp.log(whole) + log_shift_product(whole) + jnp.log(whole + SHIFT) + log_shift_product(whole + SHIFT)
    return large + tails + moved - log_a - log_shift_product(a) - log_b - log_shift_product(b)


def _log_integrand(z, left, beta, rate):
    """left: alpha + u."""
    return left * log_sigmoid(z) - beta * softplus(z) - rate * jax.nn.sigmoid(z)


def _mode(left, beta, rate):
    """logit of the one root in (0, 1) of rate x^2 - (left + beta + rate) x + left."""
    total, difference = left + beta + rate, left + beta - rate
    root = jnp.sqrt(jnp.maximum(difference**2 + 4.0 * rate * beta, 0.0))
    x = 2.0 * left / (total + root)
    y = jnp.where(difference > 0, 2.0 * beta / jnp.maximum(difference + root, 1e-300), (root - difference) / (2.0 * rate))
    return jnp.log(x) - jnp.log(y)


def _end(inside, outside, lowest, left, beta, rate):
    """Between the mode (inside) and where the integrand is straight: the point where it has dropped, or the latter."""
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        high = _log_integrand(middle, left, beta, rate) > lowest
        inside, outside = jnp.where(high, middle, inside), jnp.where(high, outside, middle)
    return outside


def _window(left, beta, rate):
    """(first node, step). No gradient: where the nodes lie changes no sum."""
    left, beta, rate = (jax.lax.stop_gradient(v) for v in (left, beta, rate))
    mode, reach = _mode(left, beta, rate), STRAIGHT + jnp.log(left + beta + rate)
    lowest = _log_integrand(mode, left, beta, rate) - DROP
    first = _end(mode, jnp.minimum(-reach, mode), lowest, left, beta, rate)
    last = _end(mode, jnp.maximum(reach, mode), lowest, left, beta, rate)
    return first, (last - first) / (NODES - 1)


def _log_integral(left, beta, rate):
    """Of entries (n,): the log of the integral over z."""
    first, h = _window(left, beta, rate)
    z = first[:, None] + h[:, None] * jnp.arange(NODES)[None]
    g = _log_integrand(z, left[:, None], beta[:, None], rate[:, None])
    largest = jax.lax.stop_gradient(g.max(1))
    f = jnp.exp(g - largest[:, None])
    ends = f[:, 0] * _beyond(left * h) + f[:, -1] * _beyond(beta * h)
    return largest + jnp.log(h) + jnp.log(f.sum(1) + ends)


def _beyond(x):
    """e^-x + e^-2x + ... = 1/(e^x - 1)."""
    return 1.0 / jnp.expm1(jnp.minimum(x, 600.0))


def _by_blocks(function, *arrays):
    """`function` of entries, some at a time, forwards and backwards."""
    n = arrays[0].size
    if n <= BLOCK:
        return function(*arrays)
    rows = -(-n // BLOCK)
    padded = [jnp.pad(v, (0, rows * BLOCK - n), mode="edge").reshape(rows, BLOCK) for v in arrays]
    return jax.lax.map(lambda v: jax.checkpoint(function)(*v), tuple(padded)).reshape(-1)[:n]


class TwoState(AbstractKernel):
    """`rising` is None: its probabilities are no product of rising factorials."""

    name = "two_state"
    symbol = "TwoState"
    equation = "TwoState(u; alpha, beta, L): u ~ Poisson(L x), x ~ Beta(alpha, beta)"
    coords = ("log_alpha", "log_beta", "log_rate")
    thinned = "log_rate"

    def log_prob(self, n, u):
        log_alpha, log_beta, log_rate = _finite(n)
        alpha, beta, rate = jnp.exp(log_alpha), jnp.exp(log_beta), jnp.exp(log_rate)
        entries = jnp.broadcast_arrays(alpha + u, beta, rate)
        integral = _by_blocks(_log_integral, *(v.reshape(-1) for v in entries)).reshape(entries[0].shape)
        return u * log_rate - log_factorial(u) - _log_beta_function(log_alpha, log_beta) + integral

    def log_prob_zero(self, n):
        return self.log_prob(n, jnp.zeros((1,) * jnp.ndim(n["log_alpha"])))

    def descent(self, n):
        """ratio(u, above) -> P(u+1)/P(u) from above = P(u+2)/P(u+1), for NumPy arrays of the coordinates.

        u falls from beyond the counts of interest, where `above` may be 0: Kummer's equation of the generating function
        1F1(alpha; alpha+beta; rate (z-1)) is a recurrence whose minimal solution P is (Miller's algorithm).
        """
        alpha, beta, rate = (np.exp(n[name]) for name in self.coords)

        def ratio(u, above):
            return rate * (u + alpha) / ((u + 1.0) * (u + alpha + beta + rate - (u + 2.0) * above))

        return ratio

    def sample(self, key, n, shape):
        """Poisson of rate x, x = Gamma(alpha) / (Gamma(alpha) + Gamma(beta)), on the log scale."""
        keys = jax.random.split(key, 3)
        log_alpha, log_beta, log_rate = (jnp.broadcast_to(v, shape) for v in _finite(n))
        on = jax.random.loggamma(keys[0], jnp.exp(log_alpha))
        off = jax.random.loggamma(keys[1], jnp.exp(log_beta))
        return jax.random.poisson(keys[2], jnp.exp(log_rate + log_sigmoid(on - off)), shape).astype(float)

    def mean(self, n):
        return jnp.exp(n["log_rate"] + log_sigmoid(n["log_alpha"] - n["log_beta"]))

    def variance(self, n):
        """mean (1 + rate beta / ((alpha+beta)(alpha+beta+1)))."""
        both = softplus(n["log_beta"] - n["log_alpha"]) + n["log_alpha"]
        return self.mean(n) * (1.0 + jnp.exp(n["log_rate"] + n["log_beta"] - both - softplus(both)))


MEMBER = TwoState()
