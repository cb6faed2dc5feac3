"""phi = (1-q)/q with q ~ Beta(a, b), as the law of theta = log phi = -logit q."""

from ..laws import LogitBeta
from . import Family


def draw(context, name, prior, axes, site):
    a = context.arguments(prior)
    return context.site(site, lambda shape: LogitBeta(*context.broadcast(shape, a["b"], a["a"])), axes)


MEMBER = Family("beta_prime", ("a", "b"), draw)
