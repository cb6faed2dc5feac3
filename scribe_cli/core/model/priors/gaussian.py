"""scale = softplus(x), x ~ N(m, s), one for all genes; the site is x."""

from __future__ import annotations

import numpyro.distributions as dist

from ...numerics.special import log_softplus
from . import Family, _hierarchy


def log_scale(context, piece, prior, axes):
    a = context.arguments(prior)
    law = lambda shape: dist.Normal(*context.broadcast(shape, a["m"], a["s"]))  # noqa: E731
    return log_softplus(context.site(piece("scale"), law, _hierarchy.shared_axes(prior, axes)))


MEMBER = Family("gaussian", ("m", "s"), lambda c, n, p, a, site: _hierarchy.draw(log_scale, c, n, p, a))
