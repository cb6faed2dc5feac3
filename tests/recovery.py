"""Counts simulated from each model with known truth, and what a fit makes of them.

`python -m tests.recovery` prints the figures that tests/test_recovery.py bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax.flatten_util import ravel_pytree
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from scribe_cli.core.inference import mode, svi
from scribe_cli.core.inference.posterior import Posterior, lifted
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.model.spec import ModelSpec
from scribe_cli.data.source import InMemory, Source
from scribe_cli.run import reading
from scribe_cli.run.fitting import assemble, inference
from scribe_cli.run.fitting.assemble import Collected
from scribe_cli.run.recipe import config
from scribe_cli.run.recipe.config import Config
from scribe_cli.run.terminal.console import Console

LOG_M0, SIGMA_M = np.log(200_000.0), 0.3  # organism human
NU = 0.02  # typical capture
SHARED_PHI = 0.3  # odds after capture, of the models with one p
LEVEL = 0.9
PAIRS = 128  # of draws
SCATTER = 0.5  # sd of where long runs start, in the lifted coordinates


@dataclass(frozen=True)
class Truth:
    """mu, r, gate (genes,), nu (cells,); gate 0 and nu 1 where the model has none."""

    mu: np.ndarray
    r: np.ndarray
    gate: np.ndarray
    nu: np.ndarray


@dataclass(frozen=True)
class Study:
    """Simulated counts of a model, and the recipe that fits it."""

    truth: Any
    config: Config
    collected: Collected

    @property
    def spec(self) -> ModelSpec:
        return self.config.resolve()

    @cached_property
    def problem(self) -> Problem:
        return assemble.problem(self.collected, self.spec, "auto", None, fill=True)

    def posterior(self) -> Posterior:
        """As a recipe that says no more gets it."""
        return inference.infer(self.collected, self.spec, self.config, Console(quiet=True)).posterior


def study(model: str, parameterization: str = "mean_odds", seed: int = 0, cells: int = 800, genes: int = 150) -> Study:
    """Means after capture from 0.1 to 30; gate, free r and capture from the model's own priors (MODELS.md 3, 4)."""
    rng = np.random.default_rng([seed, cells, genes])
    captured, gated = model.endswith("vcp"), model.startswith("zi")
    library = LOG_M0 + np.log(NU) + 0.4 * rng.normal(size=cells)
    nu = np.exp(-truncated(rng, LOG_M0 - library)) if captured else np.ones(cells)
    mu = 10.0 ** rng.uniform(-1, np.log10(30), genes) / nu.mean()
    r = np.exp(1.5 * rng.normal(size=genes)) if parameterization == "mean_disp" else mu * nu.mean() * SHARED_PHI
    gate = 1 / (1 + np.exp(2 - rng.normal(size=genes))) if gated else np.zeros(genes)
    counts = rng.poisson(rng.gamma(r, mu / r, (cells, genes)) * nu[:, None]) * (rng.random((cells, genes)) >= gate)
    recipe = {"model": model, "parameterization": parameterization, "unconstrained": True}
    if captured:
        recipe |= {"priors": {"organism": "human"}, "data": {"library_size": "library"}}
    return Study(Truth(mu, r, gate, nu), *read(recipe, counts, library=np.exp(library)))


def read(recipe: dict, counts: np.ndarray, **obs) -> tuple[Config, Collected]:
    """The recipe, and counts (cells, genes) with columns of obs as it reads them."""
    asked = config.load(recipe, {})
    data = reading.checked(_source(counts, obs), asked, Console(quiet=True))
    return asked, assemble.collect(data, asked.resolve())


def truncated(rng, loc):
    """Normal(loc, SIGMA_M) above 0."""
    eta = loc + SIGMA_M * rng.normal(size=loc.shape)
    while (eta < 0).any():
        eta = np.where(eta < 0, loc + SIGMA_M * rng.normal(size=loc.shape), eta)
    return eta


def _source(counts, obs) -> Source:
    obs = pd.DataFrame(obs, index=pd.Index([f"c{i}" for i in range(counts.shape[0])], dtype=object))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(counts.shape[1])], dtype=object))
    csr = csr_array(counts)
    rows = InMemory(csr.shape, csr.nnz, lambda: csr)
    return Source(Path("simulated"), "h5ad", "X", rows, obs, var, ("X",), reopen=None)


def inside(draws, value, level: float = LEVEL) -> np.ndarray:
    """Whether the central interval of the draws holds a value."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return (low <= value) & (value <= high)


def coverage(truth: Truth, posterior: Posterior) -> dict[str, float]:
    """{quantity: share of genes whose central 90 % interval holds the truth}.

    Besides the parameters: mu against the mean mu (free of the scale that mu and capture share), and the mean
    mu (1 - gate) (free of the trade between mu and its gate). A mean-field guide sees neither of these two.
    """
    draws = {v.name: v.draws for v in posterior.variables() if v.axes == ("gene",)}
    draws["mu / mean mu"] = draws["mu"] / draws["mu"].mean(-1, keepdims=True)
    true = {"mu": truth.mu, "r": truth.r, "mu / mean mu": truth.mu / truth.mu.mean()}
    if "gate" in draws:
        draws["mu (1-gate)"] = draws["mu"] * (1 - draws["gate"])
        true |= {"gate": truth.gate, "mu (1-gate)": truth.mu * (1 - truth.gate)}
    return {name: float(inside(draws[name], value).mean()) for name, value in true.items()}


def laplace(one: Study, n: int = 1000) -> Posterior:
    """Draws from the Gaussian at the mode with the whole Hessian: the joint structure that a mean-field guide lacks."""
    problem = assemble.problem(one.collected, one.spec, "auto", None, fill=False)
    found = mode.find(problem, assemble.start(one.collected, problem))
    centre, unravel = ravel_pytree(found.thetas)

    @jax.jit
    def hessian(centre, facts, stats):
        slope = jax.grad(lambda v: -problem.log_joint(unravel(v), facts, stats))
        return jax.lax.map(lambda e: jax.jvp(slope, (centre,), (e,))[1], jnp.eye(len(centre)), batch_size=8)

    precision = np.asarray(hessian(centre, problem.facts, problem.stats))
    root = np.linalg.cholesky((precision + precision.T) / 2)  # an error where the mode is none
    noise = np.random.default_rng(0).normal(size=(len(centre), n))
    flat = np.asarray(centre)[:, None] + solve_triangular(root.T, noise)
    # thetas of the parameters, the mode the first of them
    thetas, _ = lifted(one.spec, problem.cells, jax.vmap(unravel)(np.c_[centre, flat].T), 1, problem.centred)
    draws, point = {k: v[1:] for k, v in thetas.items()}, {k: v[0] for k, v in thetas.items()}
    return Posterior(one.spec, problem.cells, ("sample",), draws, point, "joint_mode")


def by_laplace(one: Study) -> Posterior:
    """As a recipe that asks for the Laplace guide gets it."""
    asked = one.config.model_copy(update={"guide": config.Guide(family="laplace")})
    return inference.infer(one.collected, one.spec, asked, Console(quiet=True)).posterior


def map_error(truth: Truth, exact: Posterior) -> dict[str, float]:
    """How far the MAP's log mu is from the truth, in its sampling error, which is the Gaussian at the mode.

    bias, scale_sd: mean over genes, and its standard error; rms_z: of log mu, gene by gene; rms_joint: of all genes
    together, the root of Mahalanobis' distance over the number of genes (unbiased for the number of draws).
    """
    draws = exact.draws["mu"].reshape(-1, len(truth.mu))
    d = exact.point["mu"].ravel() - np.log(truth.mu)
    n, genes = draws.shape
    joint = d @ np.linalg.solve(np.cov(draws.T), d) * (n - genes - 2) / n
    return {
        "bias": float(d.mean()),
        "scale_sd": float(draws.mean(1).std()),
        "rms_z": float(np.sqrt(((d / draws.std(0)) ** 2).mean())),
        "rms_joint": float(np.sqrt(joint / genes)),
    }


def elbo(problem: Problem, params: dict) -> float:
    """With the same 256 draws (in antithetic pairs) for every guide of a problem."""
    keys = jax.random.split(jax.random.PRNGKey(0), PAIRS)

    @jax.jit
    def losses(params, facts, stats):
        def loss(key):
            return svi._negative_elbo(problem, svi.GUIDE, params, svi._noise(problem, key, None), facts, stats)

        return jax.lax.map(loss, keys)

    return -float(losses(params, problem.facts, problem.stats).mean())


def long_run(problem: Problem, start: dict, seed: int, n_steps: int = 20_000) -> dict:
    """Guide parameters after many small Adam steps from a place far from `start`; nothing of svi's own way there."""
    key = jax.random.PRNGKey(seed)
    spread = lambda i, v: v + SCATTER * jax.random.normal(jax.random.fold_in(key, i), v.shape)  # noqa: E731
    loc = {name: spread(i, value) for i, (name, value) in enumerate(sorted(start.items()))}
    params = {"loc": loc, "log_sd": jax.tree.map(lambda v: jnp.full(v.shape, -3.0), loc)}
    adam = optax.adam(optax.exponential_decay(0.02, n_steps, 1e-3))

    @jax.jit
    def run(params, facts, stats):
        def step(carry, i):
            params, state = carry
            noise = svi._noise(problem, jax.random.fold_in(key, 1000 + i), None)
            slope = jax.grad(lambda p: svi._negative_elbo(problem, svi.GUIDE, p, noise, facts, stats))(params)
            updates, state = adam.update(slope, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, adam.init(params)), jnp.arange(n_steps))[0][0]

    return run(params, problem.facts, problem.stats)


def elbos(one: Study, n_runs: int = 3) -> tuple[float, list[float]]:
    """(ELBO of the default fit, ELBOs of long runs)."""
    problem = one.problem
    start = assemble.start(one.collected, problem)
    default = svi.fit(problem, start, inference.svi_options(one.config))
    return elbo(problem, default.params), [elbo(problem, long_run(problem, start, seed)) for seed in range(n_runs)]


def minibatched(one: Study, size: int) -> tuple[float, float, bool]:
    """(ELBO of the default fit, of the default fit in minibatches of `size` cells, whether that says it converged)."""
    whole, parts = one.problem, assemble.problem(one.collected, one.spec, "auto", size, fill=True)
    options = inference.svi_options(one.config)
    by_all, by_parts = (svi.fit(p, assemble.start(one.collected, p), options) for p in (whole, parts))
    return elbo(whole, by_all.params), elbo(whole, by_parts.params), by_parts.converged


# model, parameterization, cells, genes: smaller where no engine is cheaper than the dense sum
CASES = {
    "nbdm": ("nbdm", "mean_odds", 800, 150),
    "nbvcp": ("nbvcp", "mean_odds", 800, 150),
    "zinb": ("zinb", "mean_odds", 800, 150),
    "zinbvcp": ("zinbvcp", "mean_odds", 300, 100),
    "nbvcp with free r": ("nbvcp", "mean_disp", 300, 100),
}
GUIDES = {"mean-field": Study.posterior, "Laplace": by_laplace, "whole Hessian": laplace}
MAP_SEEDS = (1, 2, 3)
ELBO_CASES = {"nbvcp": ("nbvcp", "mean_odds", 1000, 500), "zinbvcp": ("zinbvcp", "mean_odds", 80, 40)}
BATCHED = ("zinbvcp", "mean_odds", 600, 40)
BATCH = 12  # a fiftieth of the cells, as on a real file


def case(model: str, parameterization: str, cells: int, genes: int, seed: int = 0) -> Study:
    return study(model, parameterization, seed, cells, genes)


def show(title: str, figures: dict[str, float], digits: int = 2) -> None:
    print(f"{title}: " + "  ".join(f"{name} {value:.{digits}f}" for name, value in figures.items()), flush=True)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    for name, shape in CASES.items():
        for guide, fitted in GUIDES.items():
            one = case(*shape)
            show(f"coverage of 90 % intervals, {name}, {guide}", coverage(one.truth, fitted(one)))
    for seed in MAP_SEEDS:
        one = case(*CASES["nbvcp"], seed)
        show("MAP of nbvcp, log mu against the truth", map_error(one.truth, laplace(one)), 4)
    for name, shape in ELBO_CASES.items():
        default, long = elbos(case(*shape))
        runs = {f"long run {i}": value - default for i, value in enumerate(long)}
        show(f"ELBO, {name} {shape[2]} x {shape[3]}", {"default": default} | runs, 1)
    whole, parts, converged = minibatched(case(*BATCHED), BATCH)
    figures = {"all cells": whole, f"{BATCH} at a time": parts - whole, "converged": converged}
    show(f"ELBO, zinbvcp {BATCHED[2]} x {BATCHED[3]}", figures, 1)


if __name__ == "__main__":
    main()
