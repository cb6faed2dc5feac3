"""The regularised horseshoe: scale_g = tau c lambda_g / sqrt(c^2 + tau^2 lambda_g^2). Sites are logs."""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist

from ...numerics.special import logaddexp
from ..laws import LogOf
from . import _hierarchy


def log_scale(context, piece, prior, axes):
    a, b = context.arguments(prior), context.broadcast
    shared, local = _hierarchy.shared_axes(prior, axes), _hierarchy.local_axes(prior, axes)
    tau = context.site(piece("tau"), lambda s: LogOf(dist.HalfCauchy(*b(s, a["tau0"]))), shared)
    half_df = 0.5 * a["df"]
    c2 = context.site(piece("c2"), lambda s: LogOf(dist.InverseGamma(*b(s, half_df, half_df * a["slab"] ** 2))), shared)
    lam = context.site(piece("lambda"), lambda s: LogOf(dist.HalfCauchy(*b(s, 1.0))), local)
    return tau + lam + 0.5 * c2 - 0.5 * logaddexp(c2, 2.0 * (tau + lam))


def pieces(log_scale, prior):
    """lambda is one half, the slab its scale or what lets the spread be."""
    c2 = np.maximum(2.0 * np.log(prior.args["slab"]), np.log(4.0) + 2.0 * log_scale)
    tau_lambda = log_scale - 0.5 * np.log1p(-np.exp(2.0 * log_scale - c2))
    return {"tau": (tau_lambda - np.log(0.5), True), "c2": (c2, True), "lambda": (np.log(0.5), False)}


MEMBER = _hierarchy.family("horseshoe", ("tau0", "df", "slab"), log_scale, pieces)
