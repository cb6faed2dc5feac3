"""Normal-exponential-gamma: zeta ~ Gamma(a, rate tau), psi ~ Gamma(u, rate zeta), scale = sqrt(psi). Sites are logs."""

from __future__ import annotations

import jax.numpy as jnp
import numpyro.distributions as dist

from ..laws import LogOf
from . import Family, _hierarchy


def log_scale(context, piece, prior, axes):
    a, b = context.arguments(prior), context.broadcast
    local = _hierarchy.local_axes(prior, axes)
    zeta = context.site(piece("zeta"), lambda s: LogOf(dist.Gamma(*b(s, a["a"], a["tau"]))), local)
    psi = context.site(piece("psi"), lambda s: LogOf(dist.Gamma(*b(s, a["u"], jnp.exp(zeta)))), local)
    return 0.5 * psi


MEMBER = Family("neg", ("u", "a", "tau"), lambda c, n, p, a, site: _hierarchy.draw(log_scale, c, n, p, a))
