"""A recipe on small data, read as a fit reads them, and its traced program, law by law; and the laws, of scipy.

Of the seven genes one is not fitted, one is silent; one cell is empty. There are two batches and two labels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import scipy.sparse
from numpyro import handlers
from scipy import stats
from scipy.special import expit

from scribe_cli.core.model import program
from scribe_cli.core.numerics import lanes
from scribe_cli.data.facts import facts_of
from scribe_cli.run import reading
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console
from tests import fits

N_CELLS, N_GENES = 12, 6
GENES = [f"g{i}" for i in range(N_GENES)]  # those fitted
INPUT = np.random.default_rng(5).negative_binomial(1.5, [[0.9, 0.3, 0.6, 0.2, 0.5, 0.4, 0.1]], (N_CELLS, N_GENES + 1))
INPUT[:, 2] = 0
INPUT[4] = 0
OBS = {
    "batch": ["a", "b"] * 6,
    "one": ["a"] * N_CELLS,
    "type": ["T", "B", None, "B"] * 3,
    "depth": 900.0 + 30.0 * np.arange(N_CELLS),
}
COUNTS, LIBRARY, BATCH = INPUT[:, :N_GENES], np.maximum(1.0, INPUT.sum(1)), np.arange(N_CELLS) % 2


def read(recipe: Mapping):
    """(the recipe, the counts): opened and checked as by `scribe fit`."""
    found = config.load(recipe, {} if "data" in recipe else {"data.genes": GENES})
    obs = pd.DataFrame(OBS, index=pd.Index([f"c{i}" for i in range(N_CELLS)], dtype=object))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(N_GENES + 1)], dtype=object))
    source = fits.source(Path("in.h5ad"), scipy.sparse.csr_array(INPUT), obs, var)
    return found, reading.checked(source, found, Console(quiet=True))


class Traced:
    """The program of a recipe at random sites, of which no two elements are equal. All values are rank 3.

    sites: {site: its part of numpyro's trace}; thetas: {site: value}; log_values: {parameter: value on its log scale,
    which is the lifted one but of softplus and of weights}. centred: the z of a hierarchy stand for location + scale z.
    """

    def __init__(self, recipe: Mapping, centred: bool = False):
        found, counts = read(recipe)
        self.spec, self.centred, rng = found.resolve(), centred, np.random.default_rng(0)
        self.facts, self.components = facts_of(counts, self.spec), counts.design.components

        def at_random(message):
            return rng.normal(0.0, 0.6, message["fn"].shape()) if message["type"] == "sample" else None

        with handlers.trace() as trace, handlers.substitute(substitute_fn=at_random):
            self.log_values = program.draw(self.spec, self.facts, centred)
        self.sites = {name: site for name, site in trace.items() if site["type"] == "sample"}
        self.thetas = {name: np.asarray(site["value"]) for name, site in self.sites.items()}

    def axes(self, name: str = "") -> dict[str, tuple[str, ...]]:
        """{site: axes} of a parameter's sites."""
        order = ("component", "dataset", "cell", "gene")
        over = {s: {frame.name for frame in site["cond_indep_stack"]} for s, site in self.sites.items()}
        return {s: tuple(a for a in order if a in over[s]) for s in self.sites if s.startswith(f"{name}_" if name else "")}

    def log_density(self, site: str) -> np.ndarray:
        """Of every element of a site, given the sites before it."""
        return np.asarray(self.sites[site]["fn"].log_prob(jax.numpy.asarray(self.thetas[site])))

    @cached_property
    def log_likelihood(self) -> float:
        dense, counts = lanes.load()["dense"], {"counts": COUNTS}
        return float(program.log_likelihood(self.spec, dense, self.log_values, self.facts, counts))


@functools.cache
def _traced(recipe: str, centred: bool) -> Traced:
    return Traced(json.loads(recipe), centred)


def traced(recipe: Mapping, centred: bool = False) -> Traced:
    """Each recipe is traced once."""
    return _traced(json.dumps(recipe), centred)


def assert_law(t: Traced, site: str, law: Callable):
    """Every element of the site, which are all different: a law of another location or scale would not do."""
    theta = t.thetas[site]
    expected = np.broadcast_to(law(theta), theta.shape)
    np.testing.assert_allclose(t.log_density(site), expected, rtol=1e-9, atol=1e-12, err_msg=site)


# --- laws of a lifted value, as MODELS.md names those of the value ---------------------------------------------------


def normal(loc, scale):
    """Through the transform: of LogNormal(loc, scale) in the log, too."""
    return lambda t: stats.norm(loc, scale).logpdf(t)


def beta(a, b):
    return lambda t: stats.beta(a, b).logpdf(expit(t)) + np.log(expit(t) * expit(-t))


def beta_prime(a, b):
    """Of phi = (1-p)/p, p ~ Beta(a, b)."""
    return lambda t: stats.betaprime(b, a).logpdf(np.exp(t)) + t


def log_of(law):
    return lambda t: law.logpdf(np.exp(t)) + t


def half_cauchy(scale):
    return log_of(stats.halfcauchy(scale=scale))


def gamma(shape, rate):
    return log_of(stats.gamma(shape, scale=1 / rate))


def inverse_gamma(shape, scale):
    return log_of(stats.invgamma(shape, scale=scale))


def truncated_normal(loc, scale):
    """To values >= 0."""
    return lambda t: stats.truncnorm(-loc / scale, np.inf, loc, scale).logpdf(np.exp(t)) + t


def softplus(x):
    return np.log1p(np.exp(x))


def inverse_softplus(x):
    return np.log(np.expm1(x))


STANDARD = normal(0, 1)
