"""What the hierarchies share (MODELS.md 4): theta = location + scale z, z ~ N(0, 1) for every element."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from ...axes import DATASET, GENE, SLOT, in_order, without
from . import Family
from . import start as start_of

START_SCALE = 0.1  # where the values are all the same


def location_axes(prior, axes):
    return without(axes, prior.over)


def shared_axes(prior, axes):
    """Of sigma, tau and c2: one for all; of genes within datasets (two_level) one a dataset."""
    return (DATASET,) if prior.over == GENE and DATASET in axes else ()


def local_axes(prior, axes):
    """Of lambda, psi and zeta: one a gene; where there are no genes, one for each of what the hierarchy is over."""
    return in_order({*shared_axes(prior, axes), GENE if GENE in axes else prior.over})


def draw(log_scale, context, name, prior, axes):
    """`log_scale(context, piece, prior, axes)` draws the scale's sites; `piece(x)` names one."""
    location = context.theta(name, prior.base, location_axes(prior, axes), f"{name}_loc")

    def piece(suffix):
        return f"{name}_{prior.over}_{suffix}"

    scale = jnp.exp(log_scale(context, piece, prior, axes))
    if not context.centred:
        z = context.site(piece("z"), lambda shape: dist.Normal(*context.broadcast(shape, 0.0, 1.0)), axes)
        return location + scale * z
    theta = context.site(piece("z"), lambda shape: dist.Normal(*context.broadcast(shape, location, scale)), axes)
    context.uncentred[piece("z")] = (theta - location) / scale
    return theta


def start(pieces, name, prior, axes, theta, centred):
    """Location and spread of theta, and z that lead back to it; `pieces(log_scale, prior)` are the scale's own sites."""
    location = theta.mean(SLOT[prior.over], keepdims=True)
    found = start_of(name, prior.base, location_axes(prior, axes), f"{name}_loc", location, centred)
    shared, local = shared_axes(prior, axes), local_axes(prior, axes)
    spread = _of_slots(lambda v, s: np.sqrt((v**2).mean(s, keepdims=True)), theta - location, shared)
    scale = np.where(spread < 1e-3, START_SCALE, spread)
    for piece, (value, everywhere) in pieces(np.log(scale), prior).items():
        shape = [theta.shape[slot] if any(SLOT[a] == slot for a in local) else 1 for slot in (-3, -2, -1)]
        found[f"{name}_{prior.over}_{piece}"] = value if everywhere else np.broadcast_to(value, shape)
    return found | {f"{name}_{prior.over}_z": theta if centred else (theta - location) / scale}


def _of_slots(reduce, values, kept):
    """`values` reduced over every slot but those of the axes `kept`."""
    return reduce(values, tuple(slot for slot in (-3, -2, -1) if slot not in {SLOT[a] for a in kept}))


def family(name, arguments, log_scale, pieces):
    """A hierarchy: `log_scale(context, piece, prior, axes)` draws the scale, `pieces(log_scale, prior)` leads back to one:

    {piece: (value, whether it is shared: else it is one for each gene)}.
    """
    return Family(
        name,
        arguments,
        lambda context, n, prior, axes, site: draw(log_scale, context, n, prior, axes),
        lambda n, prior, axes, site, theta, centred: start(pieces, n, prior, axes, theta, centred),
    )
