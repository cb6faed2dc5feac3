"""Integrals of x^left (1-x)^beta e^(-rate x) over z = logit x, of which the law of a two-state promoter is made (ENGINE.md 7).

The trapezoid rule, whose error falls like exp(-pi^2/h). The integrand in z has one mode; a window of its own is laid around it
for every entry (shared_windows.py has one for many). Where the integrand falls slowly, as it does for rare genes and slow
promoters, it is an exponential times a power series, and the nodes beyond the window are a geometric series whose sum the end
weights carry.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

NODES = 160
DROP = 42.0  # nats below the mode where a window ends
STRAIGHT = 9.0  # -log of the variable of the power series that the integrand is beyond a window
HALVINGS = 9  # of the interval that a window's end is looked for in
BLOCK = 2048  # entries whose nodes are in memory at one time


@dataclass(frozen=True)
class Integrand:
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
        log, factor = self.log_and_factor(*on(z))
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


def on(z):
    """x, log x and log (1 - x) of z = logit x."""
    e = jnp.exp(-jnp.abs(z))
    both = jnp.log1p(e)
    return jnp.where(z > 0, 1.0, e) / (1.0 + e), jnp.minimum(z, 0.0) - both, -jnp.maximum(z, 0.0) - both


def _over_expm1(x):
    """x / (e^x - 1) and its slopes, of positive x."""
    small = x < 1e-2
    large = jnp.clip(jnp.where(small, 1.0, x), None, 600.0)
    return jnp.where(small, 1.0 - 0.5 * x + x**2 / 12.0 - x**4 / 720.0, large / jnp.expm1(large))


def end_of_window(entries, inside, outside, lowest):
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
    first = end_of_window(entries, mode, jnp.minimum(-reach, mode), lowest)
    last = end_of_window(entries, mode, jnp.maximum(reach, mode), lowest)
    return first, (last - first) / (NODES - 1)


@jax.custom_jvp
def log_integral(left, beta, rate, rare):
    """Of entries (n,): the log of the integral over z."""
    return integral_and_slopes(left, beta, rate, rare)[0]


@log_integral.defjvp
def _(entries, tangents):
    """The slopes are means over the nodes, so that they cost no second pass; `checkpoint` is for slopes of theirs alone."""
    value, *slopes = jax.checkpoint(integral_and_slopes)(*entries)
    return value, sum(slope * t for slope, t in zip(slopes, tangents[:3], strict=True))


def integral_and_slopes(*of_entries):
    """The log of the integral of entries (left, beta, rate, rare), each (n,), and its slopes in left, beta and rate."""
    left, beta, rate, rare = (v[None] for v in of_entries)
    # where the nodes lie changes no sum, so nothing is differentiated through it
    first, h = _window(Integrand(*(jax.lax.stop_gradient(v[None]) for v in of_entries)))
    x, *logs = on(first + h * jnp.arange(NODES)[:, None])
    log, factor = Integrand(left, beta, rate, rare).log_and_factor(x, *logs)
    largest = jax.lax.stop_gradient(log.max(0, keepdims=True))
    smooth = jnp.exp(log - largest)
    f = smooth * factor
    tails, slopes_of_tails = jax.vjp(lambda *at: both_beyond(Integrand(*at, rare), first, h), left, beta, rate)

    def summed(v):
        return v.sum(0, keepdims=True) + v[:1] * tails[0] + v[-1:] * tails[1]

    total = summed(f)
    of_nodes = (f * logs[0], f * logs[1], x * jnp.where(rare, smooth - f, -f))
    slopes = ((summed(v) + rest) / total for v, rest in zip(of_nodes, slopes_of_tails((f[:1], f[-1:])), strict=True))
    return tuple(v[0] for v in (largest + jnp.log(h * total), *slopes))


def both_beyond(entries, first, h):
    """The sums over the nodes below and above the window, of integrands that are 1 at its ends."""
    last = first + h * (NODES - 1)
    below = beyond(h, first, entries.reach, *entries.below())
    return below, beyond(h, -last, entries.reach, *entries.above())


def beyond(h, z, reach, rate, c1, c2):
    """The sum over the nodes at and below z - h of an integrand e^(rate z) (1 + c1 w + c2 w^2), w = e^z; at z it is 1."""
    w = jnp.where(z < -reach + 1e-6, jnp.exp(z), 0.0)  # 0: it has dropped by so much that no series is needed
    series = _series(rate * h) + c1 * w * _series((rate + 1.0) * h) + c2 * w**2 * _series((rate + 2.0) * h)
    return series / (1.0 + c1 * w + c2 * w**2)


def _series(x):
    """e^-x + e^-2x + ... = 1/(e^x - 1)."""
    return 1.0 / jnp.expm1(jnp.minimum(x, 600.0))


def by_blocks(function, size, *arrays):
    """`function` of arrays (n, ...) -> arrays (n, ...), `size` of the n at a time."""
    n = arrays[0].shape[0]
    if n <= size:
        return function(*arrays)
    blocks = -(-n // size)

    def cut(v):
        filled = jnp.pad(v, [(0, blocks * size - n), *[(0, 0)] * (v.ndim - 1)], mode="edge")
        return filled.reshape(blocks, size, *v.shape[1:])

    found = jax.lax.map(lambda block: function(*block), tuple(map(cut, arrays)))
    return jax.tree.map(lambda v: v.reshape(-1, *v.shape[2:])[:n], found)
