"""What the hierarchies share (MODELS.md 4): theta = location + scale z, z ~ N(0, 1) for every element."""

from __future__ import annotations

import jax.numpy as jnp
import numpyro.distributions as dist

from ...axes import GENE, without


def location_axes(prior, axes):
    return without(axes, prior.over)


def shared_axes(prior, axes):
    """Axes of sigma, tau and slab: the location's less gene."""
    return without(axes, prior.over, GENE)


def local_axes(prior, axes):
    """Axes of per-gene scales; per `over` where there is no gene axis."""
    return without(axes, prior.over) if GENE in axes and prior.over != GENE else axes


def draw(log_scale, context, name, prior, axes):
    """`log_scale(context, piece, prior, axes)` draws the scale's sites; `piece(x)` names one."""
    location = context.theta(name, prior.base, location_axes(prior, axes), f"{name}_loc")

    def piece(suffix):
        return f"{name}_{prior.over}_{suffix}"

    scale = jnp.exp(log_scale(context, piece, prior, axes))
    z = context.site(piece("z"), lambda shape: dist.Normal(*context.broadcast(shape, 0.0, 1.0)), axes)
    return location + scale * z
