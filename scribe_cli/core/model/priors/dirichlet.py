"""Mixing weights w ~ Dirichlet(a, ..., a); theta are log-ratios to the last component."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ...axes import COMPONENT, without
from ..laws import LogRatioDirichlet
from . import Family


def draw(context, name, prior, axes, site):
    """The components are the event axis of the site and the component slot of the result."""
    a = context.arguments(prior)["a"]
    components = context.facts.sizes[COMPONENT]

    def law(shape):
        return LogRatioDirichlet(jnp.broadcast_to(a[..., None], (*shape, components)))

    theta = context.site(site, law, without(axes, COMPONENT))
    return jnp.moveaxis(theta, -1, -4)[..., 0, :, :]


def start(name, prior, axes, site, theta, centred):
    return {site: np.moveaxis(theta[:, None], 0, -1)}


MEMBER = Family("dirichlet", ("a",), draw, start)
