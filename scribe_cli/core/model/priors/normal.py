"""theta ~ Normal(loc, scale); on a positive parameter this is the LogNormal."""

import numpyro.distributions as dist

from . import Family


def draw(context, name, prior, axes, site):
    a = context.arguments(prior)
    return context.site(site, lambda shape: dist.Normal(*context.broadcast(shape, a["loc"], a["scale"])), axes)


MEMBER = Family("normal", ("loc", "scale"), draw)
