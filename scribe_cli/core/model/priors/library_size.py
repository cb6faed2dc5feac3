"""Biology-informed capture: eta_c ~ Normal(log M_0 - log L_c, sigma_M) truncated to eta >= 0 (MODELS.md 4)."""

from ..laws import LogTruncatedNormal
from . import Family


def law(context, prior, shape):
    a = context.arguments(prior)
    return LogTruncatedNormal(*context.broadcast(shape, a["log_M0"] - a["log_library"], a["sigma_M"]))


def draw(context, name, prior, axes, site):
    return context.site(site, lambda shape: law(context, prior, shape), axes)


MEMBER = Family("library_size", ("log_M0", "sigma_M"), draw)
