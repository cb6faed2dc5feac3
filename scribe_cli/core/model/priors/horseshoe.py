"""The regularised horseshoe: scale_g = tau c lambda_g / sqrt(c^2 + tau^2 lambda_g^2). Sites are logs."""

from __future__ import annotations

import numpyro.distributions as dist

from ...numerics.special import logaddexp
from ..laws import LogOf
from . import Family, _hierarchy


def log_scale(context, piece, prior, axes):
    a, b = context.arguments(prior), context.broadcast
    shared, local = _hierarchy.shared_axes(prior, axes), _hierarchy.local_axes(prior, axes)
    tau = context.site(piece("tau"), lambda s: LogOf(dist.HalfCauchy(*b(s, a["tau0"]))), shared)
    half_df = 0.5 * a["df"]
    c2 = context.site(piece("c2"), lambda s: LogOf(dist.InverseGamma(*b(s, half_df, half_df * a["slab"] ** 2))), shared)
    lam = context.site(piece("lambda"), lambda s: LogOf(dist.HalfCauchy(*b(s, 1.0))), local)
    return tau + lam + 0.5 * c2 - 0.5 * logaddexp(c2, 2.0 * (tau + lam))


MEMBER = Family("horseshoe", ("tau0", "df", "slab"), lambda c, n, p, a, site: _hierarchy.draw(log_scale, c, n, p, a))
