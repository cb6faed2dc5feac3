"""The two-state promoter: u ~ Poisson(rate x), x ~ Beta(alpha, beta) (MODELS.md 1).

log P(u) = u log L - log u! - log B(alpha, beta) + log of the integral of x^(alpha+u-1) (1-x)^(beta-1) e^(-L x) over (0, 1), by
the trapezoid rule in z = logit x, whose error falls like exp(-pi^2/h) (ENGINE.md 7). The integrand in z has one mode; a
window of its own is laid around it for every entry. Where the integrand falls slowly, as it does for rare genes and slow
promoters, it is an exponential times a power series, and the nodes beyond the window are a geometric series whose sum the
end weights carry. Of a rare gene, 1 - P(0) is integrated instead, so that log P(0) is as precise as it is small.
"""

from __future__ import annotations

from dataclasses import dataclass

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
STRAIGHT = 9.0  # -log of the variable of the power series that the integrand is beyond a window
HALVINGS = 9  # of the interval that a window's end is looked for in
BLOCK = 2048  # entries whose nodes are in memory at one time
LARGEST_LOG_BETA = 40.0  # beyond, the law is the negative binomial of the same rate / beta to 1e-17
RARE = 0.5  # mean below which P(0) is one less the probability of a count


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


@dataclass(frozen=True)
class _Entries:
    """The integrands of entries (1, n): x^left (1-x)^beta e^(-rate x), or x^left (1-x)^beta (1 - e^(-rate x)) where `rare`."""

    left: jax.Array
    beta: jax.Array
    rate: jax.Array
    rare: jax.Array

    def log_and_factor(self, x, log_x, log_rest):
        """Of nodes x, (1 or more, n), and log (1 - x): the integrand is exp(log) factor, and only log is large."""
        log = self.left * log_x + self.beta * log_rest - jnp.where(self.rare, 0.0, self.rate * x)
        return log, jnp.where(self.rare, -jnp.expm1(-self.rate * x), 1.0)

    def log(self, z):
        log, factor = self.log_and_factor(*_on(z))
        return log + jnp.log(jnp.maximum(factor, 1e-300))

    @property
    def mode(self):
        """logit of the one root in (0, 1) of rate x^2 - (left + beta + rate) x + left; of a point near it where rare."""
        left, rate = jnp.where(self.rare, self.left + 1.0, self.left), jnp.where(self.rare, 0.0, self.rate)
        total, difference = left + self.beta + rate, left + self.beta - rate
        root = jnp.sqrt(jnp.maximum(difference**2 + 4.0 * rate * self.beta, 0.0))
        x = 2.0 * left / (total + root)
        below = (root - difference) / jnp.maximum(2.0 * rate, 1e-300)
        return jnp.log(x) - jnp.log(jnp.where(difference > 0, 2.0 * self.beta / jnp.maximum(difference + root, 1e-300), below))

    @property
    def reach(self):
        """Distance from 0 beyond which the integrand is an exponential times a short power series."""
        return STRAIGHT + jnp.log(self.left + self.beta + self.rate + 1.0)

    def below(self):
        """(rate, c1, c2): for z -> -oo the integrand goes like e^(rate z) (1 + c1 w + c2 w^2 + ...), w = e^z."""
        both = self.left + self.beta
        half = jnp.where(self.rare, 0.5 * self.rate, self.rate)
        c1 = jnp.where(self.rare, -1.0, 0.0) - both - half
        # (1+w)^-both, and e^(-L x) or (1 - e^(-L x))/(L x) x/w with x = w/(1+w)
        of_law = jnp.where(self.rare, 1.0 + self.rate + self.rate**2 / 6.0, self.rate + 0.5 * self.rate**2)
        c2 = 0.5 * both * (both + 1.0) + of_law + both * (half + jnp.where(self.rare, 1.0, 0.0))
        return self.left + jnp.where(self.rare, 1.0, 0.0), c1, c2

    def above(self):
        """As `below`, for z -> oo and w = e^-z."""
        both = self.left + self.beta
        q = _over_expm1(self.rate)
        b1 = jnp.where(self.rare, -q, self.rate)
        b2 = jnp.where(self.rare, -q * (0.5 * self.rate - 1.0), 0.5 * self.rate**2 - self.rate)
        return self.beta, b1 - both, b2 - both * b1 + 0.5 * both * (both + 1.0)


def _on(z):
    """x, log x and log (1 - x) of z = logit x."""
    e = jnp.exp(-jnp.abs(z))
    both = jnp.log1p(e)
    return jnp.where(z > 0, 1.0, e) / (1.0 + e), jnp.minimum(z, 0.0) - both, -jnp.maximum(z, 0.0) - both


def _over_expm1(x):
    """x / (e^x - 1) and its slopes, of positive x."""
    small = x < 1e-2
    large = jnp.clip(jnp.where(small, 1.0, x), None, 600.0)
    return jnp.where(small, 1.0 - 0.5 * x + x**2 / 12.0 - x**4 / 720.0, large / jnp.expm1(large))


def _end(entries, inside, outside, lowest):
    """Between the mode (inside) and where the integrand is a series: the point where it has dropped, or the latter."""

    def halved(_, ends):
        inside, outside = ends
        middle = 0.5 * (inside + outside)
        high = entries.log(middle) > lowest
        return jnp.where(high, middle, inside), jnp.where(high, outside, middle)

    return jax.lax.fori_loop(0, HALVINGS, halved, (inside, outside))[1]


def _window(entries):
    """(first node, step)."""
    mode, reach = entries.mode, entries.reach
    lowest = entries.log(mode) - DROP
    first = _end(entries, mode, jnp.minimum(-reach, mode), lowest)
    last = _end(entries, mode, jnp.maximum(reach, mode), lowest)
    return first, (last - first) / (NODES - 1)


@jax.custom_jvp
def _log_integral(left, beta, rate, rare):
    """Of entries (n,): the log of the integral over z."""
    return _integral_and_slopes(left, beta, rate, rare)[0]


@_log_integral.defjvp
def _(entries, tangents):
    """The slopes are means over the nodes, so that they cost no second pass; `checkpoint` is for slopes of theirs alone."""
    value, *slopes = jax.checkpoint(_integral_and_slopes)(*entries)
    return value, sum(slope * t for slope, t in zip(slopes, tangents[:3], strict=True))


def _integral_and_slopes(*of_entries):
    """The log of the integral of entries (left, beta, rate, rare), each (n,), and its slopes in left, beta and rate."""
    left, beta, rate, rare = (v[None] for v in of_entries)
    # where the nodes lie changes no sum, so nothing is differentiated through it
    first, h = _window(_Entries(*(jax.lax.stop_gradient(v[None]) for v in of_entries)))
    x, *logs = _on(first + h * jnp.arange(NODES)[:, None])
    log, factor = _Entries(left, beta, rate, rare).log_and_factor(x, *logs)
    largest = jax.lax.stop_gradient(log.max(0, keepdims=True))
    smooth = jnp.exp(log - largest)
    f = smooth * factor
    beyond, slopes_beyond = jax.vjp(lambda *at: _both_beyond(_Entries(*at, rare), first, h), left, beta, rate)

    def summed(v):
        return v.sum(0, keepdims=True) + v[:1] * beyond[0] + v[-1:] * beyond[1]

    total = summed(f)
    of_nodes = (f * logs[0], f * logs[1], x * jnp.where(rare, smooth - f, -f))
    slopes = ((summed(v) + rest) / total for v, rest in zip(of_nodes, slopes_beyond((f[:1], f[-1:])), strict=True))
    return tuple(v[0] for v in (largest + jnp.log(h * total), *slopes))


def _both_beyond(entries, first, h):
    """The sums over the nodes below and above the window, of integrands that are 1 at its ends."""
    last = first + h * (NODES - 1)
    below = _beyond(h, first, entries.reach, *entries.below())
    return below, _beyond(h, -last, entries.reach, *entries.above())


def _beyond(h, z, reach, rate, c1, c2):
    """The sum over the nodes at and below z - h of an integrand e^(rate z) (1 + c1 w + c2 w^2), w = e^z; at z it is 1."""
    w = jnp.where(z < -reach + 1e-6, jnp.exp(z), 0.0)  # 0: it has dropped by so much that no series is needed
    series = _series(rate * h) + c1 * w * _series((rate + 1.0) * h) + c2 * w**2 * _series((rate + 2.0) * h)
    return series / (1.0 + c1 * w + c2 * w**2)


def _series(x):
    """e^-x + e^-2x + ... = 1/(e^x - 1)."""
    return 1.0 / jnp.expm1(jnp.minimum(x, 600.0))


def _by_blocks(function, *arrays):
    """`function` of entries, some at a time."""
    n = arrays[0].size
    if n <= BLOCK:
        return function(*arrays)
    rows = -(-n // BLOCK)
    padded = [jnp.pad(v, (0, rows * BLOCK - n), mode="edge").reshape(rows, BLOCK) for v in arrays]
    return jax.lax.map(lambda v: function(*v), tuple(padded)).reshape(-1)[:n]


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
        rare = (u == 0) & (rate * alpha < RARE * (alpha + beta))
        entries = jnp.broadcast_arrays(alpha + u, beta, rate, rare)
        integral = _by_blocks(_log_integral, *(v.reshape(-1) for v in entries)).reshape(entries[0].shape)
        integral = integral - _log_beta_function(log_alpha, log_beta)
        any_count = jnp.exp(jnp.where(rare, integral, -1.0))
        return jnp.where(rare, jnp.log1p(-any_count), u * log_rate - log_factorial(u) + integral)

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
