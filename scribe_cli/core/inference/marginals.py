"""The law of each sampled parameter under a mean-field guide, in its natural domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from numpyro import distributions as dist
from numpyro.distributions import transforms

from ..axes import squeezed
from ..model.spec import ModelSpec

# {support: (loc, sd of theta) -> the law of the value}
LAWS: dict[str, Callable] = {
    "positive": dist.LogNormal,
    "positive_softplus": lambda loc, sd: _transformed(loc, sd, transforms.SoftplusTransform()),
    "unit": lambda loc, sd: _transformed(loc, sd, transforms.SigmoidTransform()),
    "real": dist.Normal,
}


def of_mean_field(spec: ModelSpec, params: Mapping, sizes: Mapping[str, int]) -> dict[str, dist.Distribution]:
    """{sampled parameter: law, its batch shape the sizes of the parameter's axes}.

    params: {group: {site: array}} of the guide; sizes: {axis: size}.
    """
    laws = {}
    for p in spec.params:
        site, shape = f"{p.name}_unconstrained", squeezed(p.axes, sizes)
        loc, log_sd = (jnp.reshape(params[group][site], shape) for group in ("loc", "log_sd"))
        laws[p.name] = LAWS[p.support](loc, jnp.exp(log_sd))
    return laws


def _transformed(loc, sd, transform) -> dist.TransformedDistribution:
    return dist.TransformedDistribution(dist.Normal(loc, sd), transform)
