"""The integrals of beta_integral.py of several counts u of a gene at several rates, as one product of matrices (ENGINE.md 7).

sum over nodes of x^(alpha+u) (1-x)^beta e^(-rate x): with one window for all of them, the first two factors are a matrix
(counts, nodes), the last is one (nodes, rates). In u and rate the integrands have monotone likelihood ratios: that of the lowest
count at the highest rate lies furthest to the left, that of the highest count at the lowest rate furthest to the right, and a
window that holds both holds all. Its nodes are counted from the current parameters, before a sum is taken: a window that would
take more than there may be, or in which factors of a product would underflow, is not used; every entry then has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from .beta_integral import BLOCK, DROP, Integrand, by_blocks, end_of_window, integral_and_slopes, on

EXPONENT = 34.0  # the trapezoid rule leaves e^-this of an integral
CHUNK = 32  # nodes that are added at a time
MOST = 32  # chunks of a window
STRAIGHT = 10.0  # -log of the variable of the power series that an integrand is beyond a window
RANGE = 600.0  # nats: e^-(this + DROP) is a float64
NUMBERS = 2**17  # of e^(-rate x) in memory at one time
SECOND = ((0, 0), (0, 1), (1, 1), (2, 0), (2, 1), (2, 2))  # of alpha, beta and rate, those without rate first


@jax.custom_jvp
def log_integrals(alpha, beta, rate, u, rare):
    """(rows, counts, rates) logs of the integrals of alpha, beta (rows, 1, 1), rate (rows, 1, rates), u (rows, counts, 1) that

    rises. rare: (rows, 1, rates), where that of the first count has 1 - e^(-rate x) for e^(-rate x); that count is then 0.
    """
    return _in_blocks(1, alpha, beta, rate, u, rare)[0]


@log_integrals.defjvp
def _(rows, tangents):
    value, *slopes = _and_slopes(*rows)
    return value, _along(slopes, tangents)


@jax.custom_jvp
def _and_slopes(*rows):
    """The logs of the integrals and their slopes in alpha, beta and rate."""
    return _in_blocks(1, *rows)


@_and_slopes.defjvp
def _(rows, tangents):
    """Curvatures are tables too: who linearises a gradient has them taken once, and products with them cost little."""
    value, a, b, r, aa, ab, bb, ra, rb, rr = _in_blocks(2, *rows)
    curvatures = (a, b, r), (aa, ab, ra), (ab, bb, rb), (ra, rb, rr)
    return (value, a, b, r), tuple(_along(v, tangents) for v in curvatures)


def _along(slopes, tangents):
    return sum(slope * t for slope, t in zip(slopes, tangents[:3], strict=True))


def _in_blocks(order, *rows):
    size = max(1, NUMBERS // (CHUNK * rows[2].shape[2]))
    return by_blocks(lambda *block: _derivatives(order, *block), size, *rows)


def _derivatives(order, *rows):
    """The logs of the integrals, their slopes in alpha, beta and rate, and if `order` is 2 their second derivatives: of alpha,

    of alpha and beta, of beta, of rate and alpha, of rate and beta, of rate.
    """
    window = _Window.of(*(jax.lax.stop_gradient(v) for v in rows))
    ways = (lambda *of, way=way: way(order, *of) for way in (_in_one_window, _each_in_its_own))
    return jax.lax.cond(window.serves, *ways, window, *rows)


def _each_in_its_own(order, window, alpha, beta, rate, u, rare):
    first = jnp.arange(u.shape[1])[None, :, None] == 0
    entries = jnp.broadcast_arrays(alpha + u, beta, rate, rare & first)
    of_entry = integral_and_slopes if order == 1 else _and_curvature
    found = by_blocks(of_entry, BLOCK, *(v.reshape(-1) for v in entries))
    return tuple(v.reshape(entries[0].shape) for v in found)


def _and_curvature(*entry):
    """`integral_and_slopes` of entries, and the slopes' own, of one program for the three."""
    *at, rare = entry
    units = [jnp.broadcast_to(jnp.eye(3)[i][:, None], (3, v.size)) for i, v in enumerate(at)]
    along = jax.vmap(lambda *unit: jax.jvp(lambda *at: integral_and_slopes(*at, rare), tuple(at), unit), out_axes=(None, 0))
    found, (_, a, b, rate) = along(*units)
    return *found, a[0], a[1], b[1], rate[0], rate[1], rate[2]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Window:
    """first: node of each row, h: step, both (rows, 1, 1); chunks: number of nodes / CHUNK, of all rows; reach: as Integrand's.

    tilt: (rows, 1, 1), a rate whose e^(-rate x) goes to the factor of counts, so that it is large where products are; largest:
    (rows, counts, 1), log of that factor's maximum. serves: whether the products neither underflow nor have too many nodes.
    """

    first: jax.Array
    h: jax.Array
    chunks: jax.Array
    reach: jax.Array
    tilt: jax.Array
    largest: jax.Array
    serves: jax.Array

    @staticmethod
    def of(alpha, beta, rate, u, rare):
        most = rate.max(2, keepdims=True)
        # the rare integrand lies to the left of that of a count of 1 at a rate of 0
        tilt = jnp.where(rare.any(2, keepdims=True), 0.0, rate.min(2, keepdims=True))
        highest = alpha + jnp.maximum(u[:, -1:], 1.0)
        reach = STRAIGHT + jnp.log(highest + beta + most + 1.0)
        leftmost, rightmost = Integrand(alpha + u[:, :1], beta, most, False), Integrand(highest, beta, tilt, False)
        first, last = _end(leftmost, reach, -reach), _end(rightmost, reach, reach)
        needed = (last - first) / _step(_curvature(jnp.concatenate([alpha + u, highest], 1), beta, most))
        chunks = jnp.ceil((1.0 + needed.max()) / CHUNK)
        lost = _highest(rightmost) - _highest(Integrand(highest, beta, most, False))
        serves = (chunks <= MOST) & (lost.max() <= RANGE)
        chunks = jnp.where(serves, chunks, 1.0)
        h = (last - first) / (chunks * CHUNK - 1.0)
        return _Window(first, h, chunks.astype(int), reach, tilt, _highest(Integrand(alpha + u, beta, tilt, False)), serves)

    @property
    def last(self):
        return self.first + self.h * (self.chunks * CHUNK - 1)

    def nodes(self, chunk):
        """(rows, 1, CHUNK) x, log x and log (1 - x)."""
        return on(self.first + self.h * (chunk * CHUNK + jnp.arange(CHUNK)[None, None]))


def _end(entries, reach, outside):
    """Where the integrand has dropped, or else at `outside`."""
    return end_of_window(entries, jnp.clip(entries.mode, -reach, reach), outside, _highest(entries) - DROP)


def _highest(entries):
    return entries.log(entries.mode)


def _curvature(left, beta, rate):
    """-(log integrand)'' at the mode, largest of all counts: left (1-x)^2 + beta x^2, of which lower rates have less."""
    x, _, log_rest = on(Integrand(left, beta, rate, False).mode)
    return (left * jnp.exp(2.0 * log_rest) + beta * x**2).max(1, keepdims=True)


def _step(curvature):
    """h of a relative error e^-EXPONENT, an integrand of this curvature being no rougher than that of Gamma(curvature).

    Of that |Gamma(k + iw) / Gamma(k)| is below e^-(w atan(w/k) - k/2 log(1 + w^2/k^2)), w = 2 pi / h: Newton's method from above.
    """
    k = jnp.maximum(curvature, 1e-3)
    w = 2.0 * EXPONENT / jnp.pi + jnp.sqrt(2.0 * k * EXPONENT)
    for _ in range(3):
        angle = jnp.arctan(w / k)
        w = w - (w * angle - 0.5 * k * jnp.log1p((w / k) ** 2) - EXPONENT) / angle
    return 2.0 * jnp.pi / w


def _in_one_window(order, window, alpha, beta, rate, u, rare):
    sums = jnp.moveaxis(_sums(order, window, alpha, beta, rate, u, rare), 1, 0)
    size = jax.lax.stop_gradient(sums[:1])  # a square of it, which slopes of a ratio have, might underflow
    total, *moments = sums / size
    means = [moment / total for moment in moments]
    value, slopes = window.largest + jnp.log(window.h * size[0]) + jnp.log(total), means[:3]
    return value, *slopes, *(mean - slopes[i] * slopes[j] for mean, (i, j) in zip(means[3:], SECOND[: len(means) - 3], strict=True))


def _sums(order, window, alpha, beta, rate, u, rare):
    """(rows, moments, counts, rates) sums over the nodes of the integrands, and of their derivatives up to this order."""
    beyond = _beyond(order, window, alpha, beta, rate, u)

    def add(chunk, sums):
        x, log_x, log_rest = window.nodes(chunk)
        of_counts = jnp.exp((alpha + u) * log_x + beta * log_rest - window.tilt * x - window.largest)
        slopes = log_x, log_rest, -x
        factors = jnp.stack([jnp.ones_like(x), *slopes, *(slopes[i] * slopes[j] for i, j in SECOND[: 6 * (order - 1)])], 1)
        exponent = x.swapaxes(1, 2) * (window.tilt - rate)
        found = _products(of_counts[:, None] * factors, jnp.exp(exponent), -jnp.expm1(exponent))
        return tuple(s + f for s, f in zip(sums, found, strict=True))

    plain, of_rare = jax.lax.fori_loop(0, window.chunks, add, _products(*beyond))
    # 1 - e^(-rate x) has the other slope in rate
    of_first = -plain[:, :, :1]
    of_rare = jnp.concatenate([of_rare[:, :3], of_first[:, 3:4], of_rare[:, 3:], of_first[:, 7:]], 1)
    first = jnp.where(rare[:, None], of_rare, plain[:, :, :1])
    return jnp.concatenate([first, plain[:, :, 1:]], 2)


def _products(of_counts, of_rates, of_rare):
    """Of factors (rows, moments, counts, nodes) and (rows, nodes, rates), the last being that of the first count where rare,

    which the moments without a slope in rate need.
    """
    first = of_counts[:, :, :1]
    pairs = (of_counts, of_rates), (jnp.concatenate([first[:, :3], first[:, 4:7]], 1), of_rare)
    return tuple(jnp.einsum("rscz,rzk->rsck", *of) for of in pairs)


def _beyond(order, window, alpha, beta, rate, u):
    """The factors of the nodes beyond the window: of counts, sums of powers of x or 1 - x; of rates, e^(-rate x) in powers."""
    left = alpha + u
    below = _moments(order, window, (left, beta), -window.first, 0.0, lambda v: -_next(v))
    above = _moments(order, window, (beta, left), window.last, window.tilt, lambda v: _next(v) - v)
    swapped = [above[i] for i in (0, 2, 1, 3, 6, 5, 4, 8, 7, 9)[: len(above)]]
    of_counts = jnp.concatenate([jnp.stack(below, 1), jnp.stack(swapped, 1)], 3)
    gone, powers = jnp.exp(window.tilt - rate), jnp.concatenate([jnp.ones_like(rate), rate, 0.5 * rate**2], 1)
    signs = jnp.array([1.0, -1.0, 1.0]).reshape(1, 3, 1)
    of_rates = jnp.concatenate([signs * powers, gone * powers], 1)
    of_rare = jnp.concatenate([0.0 * rate, -(signs * powers)[:, 1:], -jnp.expm1(window.tilt - rate), -gone * powers[:, 1:]], 1)
    return of_counts, of_rates, of_rare


def _next(powers):
    """Times x (or 1 - x)."""
    return jnp.concatenate([powers[..., 1:], jnp.zeros_like(powers[..., :1])], 2)


def _moments(order, window, at, end, tilt, times_x):
    """`_powers` and its derivatives in the exponents of what goes to 0 and of what goes to 1; times -x where in rate."""
    at = tuple(jnp.broadcast_arrays(*at))
    one, none = jnp.ones_like(at[0]), jnp.zeros_like(at[0])

    def slope(of, i):
        return lambda *at: jax.jvp(of, at, ((one, none), (none, one))[i])[1]

    def value(*at):
        return _powers(window, *at, end, tilt)

    total, a, b = value(*at), slope(value, 0)(*at), slope(value, 1)(*at)
    first = [total, a, b, times_x(total)]
    if order == 1:
        return first
    second = [slope(slope(value, i), j)(*at) for i, j in SECOND[:3]]
    return [*first, *second, times_x(a), times_x(b), times_x(times_x(total))]


def _powers(window, outer, inner, end, tilt):
    """The sums over nodes beyond an end of y^outer (1-y)^inner [1, y, y^2], y = 1 / (1 + e^|z|), to the third power of e^-end.

    y^(outer+p) (1-y)^inner is w^(outer+p) (1+w)^-(outer+inner+p), w = e^-|z|: each power of w is a geometric series. Where the
    window ends before, the integrand has dropped by so much that no node beyond counts.
    """
    straight = end > window.reach - 1e-6
    exponent = jnp.where(straight, -outer * end - tilt - window.largest, 0.0)

    def series(q):
        return jnp.exp(exponent - q * end) / jnp.expm1(jnp.minimum((outer + q) * window.h, 600.0))

    zeroth, first, second = map(series, range(3))
    both = outer + inner
    sums = [zeroth - both * first + 0.5 * both * (both + 1.0) * second, first - (both + 1.0) * second, second]
    return jnp.where(straight, jnp.concatenate(sums, 2), 0.0)
