"""q ~ Beta(a, b), as the law of theta = logit q."""

from ..laws import LogitBeta
from . import Family


def draw(context, name, prior, axes, site):
    a = context.arguments(prior)
    return context.site(site, lambda shape: LogitBeta(*context.broadcast(shape, a["a"], a["b"])), axes)


MEMBER = Family("beta", ("a", "b"), draw)
