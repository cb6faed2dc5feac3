"""Normal-exponential-gamma: zeta ~ Gamma(a, rate tau), psi ~ Gamma(u, rate zeta), scale = sqrt(psi). Sites are logs."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ..laws import LogOf
from . import _hierarchy


def log_scale(context, piece, prior, axes):
    a, b = context.arguments(prior), context.broadcast
    local = _hierarchy.local_axes(prior, axes)
    zeta = context.site(piece("zeta"), lambda s: LogOf(dist.Gamma(*b(s, a["a"], a["tau"]))), local)
    psi = context.site(piece("psi"), lambda s: LogOf(dist.Gamma(*b(s, a["u"], jnp.exp(zeta)))), local)
    return 0.5 * psi


def pieces(log_scale, prior):
    return {"psi": (2.0 * log_scale, False), "zeta": (np.log(0.5) - log_scale, False)}


MEMBER = _hierarchy.family("neg", ("u", "a", "tau"), log_scale, pieces)
