"""NUTS on one small data set of each family, and long chains of the same posterior in another parameterization.

`python -m tests.families` prints the figures that tests/test_families.py bounds; with names, those families'.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from scribe_cli.core.inference import diagnostics, nuts
from scribe_cli.core.inference.posterior import Posterior
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.model import derive, parameterizations, program
from scribe_cli.core.model.resolve import resolve
from scribe_cli.core.model.spec import ModelSpec
from scribe_cli.core.model.supports import SUPPORTS
from scribe_cli.run.fitting import assemble, inference
from scribe_cli.run.terminal.console import Console
from tests.recovery import read, show

CELLS, GENES = 60, 3
CHAINS = {"inference_method": "mcmc", "mcmc": {"n_warmup": 1000, "n_samples": 2000, "n_chains": 4, "target_accept": 0.9}}
LONG = nuts.Options(n_warmup=1500, n_samples=5000, n_chains=4, target_accept=0.9, seed=7)
MEANS = np.array([0.6, 4.0, 15.0])
GROUP = np.arange(CELLS) % 2


@dataclass(frozen=True)
class Family:
    """A recipe without its method, the parameterization of the long chains, counts(rng), and columns of obs."""

    recipe: dict
    other: str
    counts: Callable
    obs: dict


def gamma_poisson(rng, mean, excess: float = 1.0):
    return rng.poisson(rng.gamma(mean / excess, excess, (CELLS, GENES)))


def bursts(rng):
    """On for a fifth of the time, with three times as many counts as cells would have on average."""
    return rng.poisson(5.0 * MEANS * rng.beta(0.8, 3.2, (CELLS, GENES)))


def overdispersed(rng):
    return rng.poisson(rng.gamma(MEANS, 1.0, (CELLS, GENES)) * rng.gamma(3.0, 1 / 3.0, (CELLS, GENES)))


def of_two(rng):
    """The second group has four times as much of the last gene, a quarter of the second."""
    return gamma_poisson(rng, MEANS * np.exp(np.outer(GROUP, [0.0, -1.4, 1.4])))


# a third of the cells have no label
LABELS = np.where(np.arange(CELLS) % 3 == 2, None, np.array(["A", "B"], object)[GROUP])
FAMILIES = {
    "bnb": Family(
        {"model": "nbdm", "parameterization": "mean_odds", "overdispersion": "bnb", "unconstrained": True},
        "canonical",
        overdispersed,
        {},
    ),
    "two-state, natural": Family({"model": "twostate", "parameterization": "natural"}, "moment_delta", bursts, {}),
    "two-state, moment_delta": Family({"model": "twostate", "parameterization": "moment_delta"}, "natural", bursts, {}),
    "two components": Family(
        {"model": "nbvcp", "parameterization": "mean_odds", "n_components": 2, "annotation_key": "type"}
        | {"unconstrained": True, "priors": {"capture_efficiency": [4.0, 0.2]}, "data": {"library_size": "library"}},
        "canonical",
        of_two,
        {"type": LABELS, "library": np.full(CELLS, 20.0)},
    ),
    "two datasets": Family(
        {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True, "dataset_key": "batch"}
        | {"expression_dataset_prior": "gaussian"},
        "canonical",
        of_two,
        {"batch": np.array(["a", "b"])[GROUP]},
    ),
}


@dataclass(frozen=True)
class Move:
    """From the lifted core of another parameterization and the remaining sites of a problem to the sites of the problem."""

    problem: Problem
    other: ModelSpec

    def there(self, sites: dict, facts) -> dict:
        """{the other's parameter: theta} and the sites besides the core, at sites of the problem."""
        spec = self.problem.spec
        thetas = program.thetas(spec, facts, sites)
        found = _lifted(self.other, program.natural(spec, program.from_thetas(spec, thetas)).core)
        return found | {site: v for site, v in sites.items() if site not in self._core_sites()}

    def back(self, y: dict, facts) -> dict:
        spec = self.problem.spec
        rest = {n: v for n, v in y.items() if n not in {p.name for p in self.other.core}}
        x = {p.name: SUPPORTS[p.support].to_log(y[p.name]) for p in self.other.core}
        natural = {c: f(x) for c, f in parameterizations.load(self.other.parameterization).natural.items()}
        thetas = _lifted(spec, natural)
        centred = {site: thetas[name] for site, name in self._core_sites().items()}
        return program.uncentred(spec, facts, rest | centred) | rest

    def log_joint(self, y: dict, facts, stats):
        """The problem's, as a density of y."""
        core = {p.name: y[p.name] for p in self.other.core}
        flat, unravel = ravel_pytree(core)

        def values(flat):
            sites = self.back(y | unravel(flat), facts)
            return ravel_pytree({site: sites[site] for site in self._core_sites()})[0]

        return self.problem.log_joint(self.back(y, facts), facts, stats) + jnp.linalg.slogdet(jax.jacfwd(values)(flat))[1]

    def _core_sites(self) -> dict[str, str]:
        """{site: parameter}: of a hierarchy its z, of a centred pass the value itself."""
        names = [p.name for p in self.problem.spec.core]
        pairs = [(site, name) for name in names for site in self.problem.sites if site.startswith(f"{name}_")]
        return {site: name for site, name in pairs if not derive.is_piece(site)}


def _lifted(spec: ModelSpec, natural: dict) -> dict:
    table = derive.REPORTED[spec.family]
    return {p.name: SUPPORTS[p.support].from_log(table[p.name][1](natural)) for p in spec.core}


@dataclass(frozen=True)
class Outcome:
    """rhat: the largest of the default chains and of the long ones; apart: the largest difference of means of log-scale

    values, in Monte Carlo standard errors, and whose.
    """

    rhat: float
    rhat_long: float
    apart: float
    whose: str
    divergences: int


def outcome(name: str) -> Outcome:
    family = FAMILIES[name]
    counts = family.counts(np.random.default_rng(len(name)))
    asked, collected = read(family.recipe | CHAINS, counts, **family.obs)
    spec = asked.resolve()
    found = inference.infer(collected, spec, asked, Console(quiet=True)).posterior
    problem = assemble.problem(collected, spec, "auto", None, fill=False)
    long, sound = long_chains(problem, family, assemble.start(collected, problem))
    gaps = {parameter: gap(draws, long[parameter]) for parameter, draws in log_values(found).items()}
    whose = max(gaps, key=gaps.get)
    return Outcome(found.diagnostics["rhat"], sound, gaps[whose], whose, found.diagnostics["divergences"])


def long_chains(problem: Problem, family: Family, start: dict) -> tuple[dict, float]:
    """({parameter: log-scale draws}, the largest R-hat) of chains that move in the other parameterization."""
    other = resolve(family.recipe | {"parameterization": family.other})
    move = Move(problem, other)
    at = jax.jit(lambda sites: move.there(sites, problem.facts))({name: jnp.asarray(v) for name, v in start.items()})
    coordinates = nuts.Affine(at, {name: jnp.full(jnp.shape(v), 0.3) for name, v in at.items()})
    chains = nuts.sample(move.log_joint, coordinates, (problem.facts, problem.stats), LONG)
    back = jax.jit(jax.vmap(jax.vmap(lambda y: move.back(y, problem.facts))))
    draws = {name: np.asarray(v) for name, v in back(chains.draws).items()}
    posterior, by_parameter = nuts.posterior(problem, nuts.Chains(draws, chains.sample_stats))
    return log_values(posterior), diagnostics.worst(by_parameter.values())["rhat"]


def log_values(posterior: Posterior) -> dict[str, np.ndarray]:
    """{reported parameter: (chain, draw, rank-3 shape)}: on the log scale, where every mean exists."""
    spec = posterior.spec
    of_draw = lambda thetas: derive.log_values(spec, program.from_thetas(spec, thetas))  # noqa: E731
    return {name: np.asarray(v) for name, v in jax.jit(jax.vmap(jax.vmap(of_draw)))(dict(posterior.draws)).items()}


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of means, in its standard error."""
    error = np.sqrt(sum(diagnostics.convergence(v).mcse_mean ** 2 for v in (a, b)))
    apart = np.abs(a.mean((0, 1)) - b.mean((0, 1)))
    return float((apart / np.maximum(error, 1e-12)).max())


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    for name in sys.argv[1:] or FAMILIES:
        found = outcome(name)
        figures = {"R-hat": found.rhat, "R-hat of long chains": found.rhat_long, f"apart ({found.whose})": found.apart}
        show(name, figures | {"divergences": found.divergences}, 3)


if __name__ == "__main__":
    main()
