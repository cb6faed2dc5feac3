"""scale = softplus(x), x ~ N(m, s), one for all genes; the site is x."""

from __future__ import annotations

import numpy as np
import numpyro.distributions as dist

from ...numerics.special import log_expm1, log_softplus
from . import _hierarchy


def log_scale(context, piece, prior, axes):
    a = context.arguments(prior)
    law = lambda shape: dist.Normal(*context.broadcast(shape, a["m"], a["s"]))  # noqa: E731
    return log_softplus(context.site(piece("scale"), law, _hierarchy.shared_axes(prior, axes)))


def pieces(log_scale, prior):
    return {"scale": (np.asarray(log_expm1(np.exp(log_scale))), True)}


MEMBER = _hierarchy.family("gaussian", ("m", "s"), log_scale, pieces)
