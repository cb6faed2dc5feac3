"""The law of each sampled parameter under a mean-field guide, in its natural domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import constraints, transforms

from ..axes import COMPONENT, Axes, squeezed, without
from ..model import derive
from ..model.spec import ModelSpec

SIMPLEX = "simplex"


class LogRatios(transforms.ParameterFreeTransform):
    """log(w_k / w_K), k < K, to w."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def __call__(self, x):
        return jax.nn.softmax(jnp.concatenate([x, jnp.zeros_like(x[..., :1])], -1), -1)

    def _inverse(self, w):
        return jnp.log(w[..., :-1]) - jnp.log(w[..., -1:])

    def log_abs_det_jacobian(self, x, w, intermediates=None):
        """Of the first K - 1 weights by the ratios: the product of all weights."""
        return jnp.log(w).sum(-1)

    def forward_shape(self, shape):
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape):
        return (*shape[:-1], shape[-1] - 1)


# {support: (loc, sd of theta) -> the law of the value}
LAWS: dict[str, Callable] = {
    "positive": dist.LogNormal,
    "positive_softplus": lambda loc, sd: _transformed(loc, sd, transforms.SoftplusTransform()),
    "unit": lambda loc, sd: _transformed(loc, sd, transforms.SigmoidTransform()),
    "real": dist.Normal,
    SIMPLEX: lambda loc, sd: _transformed(loc, sd, LogRatios()),
}


def of_mean_field(
    spec: ModelSpec, params: Mapping, axes: Mapping[str, Axes], sizes: Mapping[str, int]
) -> dict[str, dist.Distribution]:
    """{name: law, its batch shape the sizes of its axes} of the parameters, and of the locations and scales of hierarchies.

    A parameter under a hierarchy is made of these and has no law in closed form: it is not here. Weights have components
    as their event. params: {group: {site: array}} of the guide; axes: {site: axes}; sizes: {axis: size}.
    """
    supports = {f"{p.name}_unconstrained": (p.name, p.support) for p in spec.params}
    supports |= {site: (site, derive.support_of_piece(site)) for site in params["loc"] if derive.is_piece(site)}
    laws = {}
    for site, (name, support) in supports.items():
        if site in params["loc"]:
            shape = squeezed(without(axes[site], COMPONENT), sizes) + (-1,) if support == SIMPLEX else squeezed(axes[site], sizes)
            loc, log_sd = (jnp.reshape(params[group][site], shape) for group in ("loc", "log_sd"))
            laws[name] = LAWS[support](loc, jnp.exp(log_sd))
    return laws


def _transformed(loc, sd, transform) -> dist.TransformedDistribution:
    return dist.TransformedDistribution(dist.Normal(loc, sd).to_event(transform.domain.event_dim), transform)
