"""Special functions that hold their precision in float64, with derivatives that do too.

jax.nn.softplus is slow in float64 on CPU and its max-form derivative at 0 is 0; jax's log1p takes seven times as long as a short
series, and jax's gammaln leaves 1e-9 and more in differences of large values. These replace them. XLA keeps an exponential and
takes sums and products anew for each that reads them, so softplus, sigmoid and their slopes share the exponential of -|x|.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
SHIFT = 8  # arguments are moved up by this before Stirling's series, whose remainder is then below 1e-15
LOG_2 = 0.6931471805599453
_MANTISSA, _BIAS = 52, 1023  # bits of a float64 behind its exponent, and what that has added
_BITS_OF_ONE, _BITS_OF_ROOT_HALF = _BIAS << _MANTISSA, 0x3FE6A09E667F3BCD
_LOG = tuple(2.0 / (2 * k + 1) for k in range(10))  # log((1+t)/(1-t)) / t in powers of t^2, t^2 < 0.0295
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_STIRLING_SLOPES = tuple((2 * k + 1) * c for k, c in enumerate(_STIRLING))


@jax.custom_jvp
def log1p(x):
    """log(1 + x), to 3 units of the last place where x is above -1, inf where it is: k log 2 + log(w/m), m = 2^k the power of two

    within a factor sqrt(2) of w = 1 + x, as a series in (w - m) / (w + m) (Muller, Elementary Functions, 2016, ch. 11).
    """
    if jnp.result_type(x) != jnp.float64:
        return jnp.log1p(x)
    w = 1.0 + x
    k = ((lax.bitcast_convert_type(w, jnp.int64) + (_BITS_OF_ONE - _BITS_OF_ROOT_HALF)) >> _MANTISSA) - _BIAS
    m = lax.bitcast_convert_type((k + _BIAS) << _MANTISSA, jnp.float64)
    t = (x - (m - 1.0)) / (w + m)
    square, series = t * t, _LOG[-1]
    for coefficient in reversed(_LOG[:-1]):
        series = series * square + coefficient
    return jnp.where(w == jnp.inf, jnp.inf, jnp.where(w > 0.0, k.astype(float) * LOG_2 + t * series, jnp.nan))


log1p.defjvps(lambda t, _, x: t / (1.0 + x))


@jax.custom_jvp
def sigmoid(x):
    """1 / (1 + e^-x)."""
    small = jnp.exp(-jnp.abs(x))
    return jnp.where(x > 0.0, 1.0, small) / (1.0 + small)


@jax.custom_jvp
def cosigmoid(x):
    """1 / (1 + e^x), of the exponential that sigmoid(x) takes."""
    small = jnp.exp(-jnp.abs(x))
    return jnp.where(x > 0.0, small, 1.0) / (1.0 + small)


sigmoid.defjvps(lambda t, found, x: t * found * cosigmoid(x))
cosigmoid.defjvps(lambda t, found, x: -t * found * sigmoid(x))


@jax.custom_jvp
def softplus(x):
    """log(1 + e^x)."""
    return jnp.maximum(x, 0.0) + log1p(jnp.exp(-jnp.abs(x)))


softplus.defjvps(lambda t, _, x: t * sigmoid(x))


@jax.custom_jvp
def log_sigmoid(x):
    """log(1 / (1 + e^-x)); of one exponential and one log1p with softplus(x), where a law takes both."""
    return jnp.minimum(x, 0.0) - log1p(jnp.exp(-jnp.abs(x)))


log_sigmoid.defjvps(lambda t, _, x: t * cosigmoid(x))


def logaddexp(a, b):
    """log(e^a + e^b) for finite arguments."""
    first = a > b  # from the larger: the smaller, however far below, must not take its digits
    return jnp.where(first, a, b) + softplus(jnp.where(first, b - a, a - b))


def log_softplus(x):
    """log(softplus(x)); x - e^x/2 where e^x is below the grain of 1."""
    tiny = x < -30.0
    return jnp.where(tiny, x - 0.5 * jnp.exp(jnp.minimum(x, -30.0)), jnp.log(softplus(jnp.where(tiny, 0.0, x))))


def log_expm1(y):
    """log(e^y - 1) for y > 0; the inverse of softplus."""
    large = y > 30.0
    return jnp.where(large, y + jnp.log1p(-jnp.exp(-jnp.maximum(y, 30.0))), jnp.log(jnp.expm1(jnp.where(large, 1.0, y))))


def _series(x, coefficients):
    """sum_k coefficients[k] / x^(2k + 1)."""
    inverse = 1.0 / x
    y = inverse * inverse
    tail = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        tail = tail * y + coefficient
    return tail * inverse


def stirling_series(x):
    """`stirling_tail` without a slope of its own, which NumPy arrays can have as well."""
    return _series(x, _STIRLING)


@jax.custom_jvp
def stirling_tail(x):
    """lgamma(x) - [(x - 1/2) log x - x + log(2 pi)/2] for x >= 8, to 1e-15."""
    return stirling_series(x)


# the derivative of 1/x^(2k+1) is -(2k+1)/x^(2k+2): written out, it costs a tenth of going back through the recurrence
stirling_tail.defjvps(lambda t, _, x: -t * _series(x, _STIRLING_SLOPES) / x)


def _shift_factors(x):
    """(x+4, (x+1)(x+7), (x+2)(x+6), (x+3)(x+5)): pairs around the middle share x(x+8)."""
    y = x * (x + SHIFT)
    return x + 4.0, y + 7.0, y + 12.0, y + 15.0


@jax.custom_jvp
def log_shift_product(x):
    """sum over 0 < i < 8 of log(x + i)."""
    middle, a, b, c = _shift_factors(x)
    return jnp.log(a * b * c * middle)


@log_shift_product.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    middle, a, b, c = _shift_factors(x)
    return jnp.log(a * b * c * middle), t * (2.0 * middle * (1.0 / a + 1.0 / b + 1.0 / c) + 1.0 / middle)


def mixed(f, x, a, b):
    """f(x) - f(x + a) - f(x + b) + f(x + a + b)."""
    return f(x) - f(x + a) - f(x + b) + f(x + a + b)


@jax.custom_jvp
def log_shift_mixed(x, a, b):
    """sum over i < 8 of log [(x + i) (x + a + b + i) / ((x + a + i) (x + b + i))], as precise near 0 as far from it."""
    lost = jnp.zeros_like(x * a * b)
    ratio = lost + 1.0
    for i in range(SHIFT):
        y = x + i
        inverse = 1.0 / ((y + a) * (y + b))
        lost = lost + a * b * inverse * (1.0 - lost)
        ratio = ratio * (y * (y + a + b) * inverse)
    near = lost < 0.5
    return jnp.where(near, log1p(-jnp.where(near, lost, 0.0)), jnp.log(jnp.where(near, 1.0, ratio)))


@log_shift_mixed.defjvp
def _(primals, tangents):
    slope = jax.jvp(lambda *at: mixed(lambda x: jnp.log(x) + log_shift_product(x), *at), primals, tangents)[1]
    return log_shift_mixed(*primals), slope


def log_shift_ratio(x, log_x, n):
    """sum over i < 8 of log(x + i) - log(x + n + i); x may have underflowed to 0, so its log is passed too."""
    return log_x - jnp.log(x + n) + log_shift_product(x) - log_shift_product(x + n)


def log_rising(log_x, n):
    """log of the rising factorial, lgamma(x + n) - lgamma(x), for n >= 1 and x = exp(log_x)."""
    x = jnp.exp(log_x)
    a = x + SHIFT
    b = a + n
    stirling = (a - 0.5) * log1p(n / a) + n * jnp.log(b) - n + stirling_tail(b) - stirling_tail(a)
    return stirling + log_shift_ratio(x, log_x, n)


def factorial_rest(u):
    """-log u! + u log(u + 8) - u: what is left of -log u! once its large terms are paired with others."""
    c = u + SHIFT
    return log_shift_product(u) - (SHIFT - 0.5) * jnp.log(c) + SHIFT - HALF_LOG_2PI - stirling_tail(c)


def log_factorial(u):
    """log u! for u >= 0."""
    return u * jnp.log(u + SHIFT) - u - factorial_rest(u)
