"""From collected data and a recipe to a Posterior, by the recipe's method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...core.inference import diagnostics, nuts, svi
from ...core.inference.posterior import Posterior
from ...core.inference.problem import Problem
from ...core.model import program
from ...core.model.spec import ModelSpec
from ..recipe.config import Config
from ..terminal.console import Console
from . import assemble, findings, interpolation
from .assemble import Collected
from .interpolation import Nodes

VERDICT = (
    "n_steps",
    "elbo",
    "elbo_sd",
    "elbo_gain_last_window",
    "elbo_noise_last_window",
    "mode_decrement",
    "guide_decrement",
    "guide_shortfall",
)


@dataclass(frozen=True)
class Inferred:
    """lane: the engine's, nodes: where it has some; warnings: {name: text}; convergence(coords): the columns of convergence.tsv;

    rhat: {gene parameter: (genes,)} where there are chains.
    """

    posterior: Posterior
    lane: str
    nodes: Nodes
    warnings: Mapping[str, str]
    convergence: Callable[[Mapping[str, Sequence[str]]], Mapping]
    rhat: Mapping


def infer(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> Inferred:
    return METHODS[config.inference_method](collected, spec, config, console)


def _svi(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> Inferred:
    options, size = svi_options(config), config.svi.batch_size
    if size is not None and size >= collected.counts.n_cells:
        console.notice(f"svi.batch_size {size:,}: there are {collected.counts.n_cells:,} cells, all are taken at every step")
    with console.phase("fit"):
        if options.guide == "laplace":
            collected = collected.apart()  # equal cells know less of each other's spread
        problem = assemble.problem(collected, spec, config.engine, config.svi.batch_size, fill=True)
        start = assemble.start(collected, problem, config.seed, _progress(console))
        fitted = svi.fit(problem, start, options, _progress(console))
        problem, fitted, lost = _between_enough_nodes(collected, problem, fitted, options, console)
    if fitted.given_up:
        why = fitted.given_up
        console.notice(f"the deterministic optimiser has given up ({why}): Adam has gone on, and the better guide is kept, that of {fitted.optimiser}")
    with console.phase("draws"):
        posterior = svi.posterior(problem, fitted, options)
    found = posterior.diagnostics
    verdict = {name: float(found[name]) for name in VERDICT if name in found}
    table = {"parameter": list(verdict), "element": [""] * len(verdict), "value": list(verdict.values())}
    nodes, warned = Nodes(interpolation.of(problem), lost), findings.of_svi(found, collected.counts.n_genes)
    return Inferred(posterior, problem.lane.name, nodes, warned, lambda coords: table, {})


def _between_enough_nodes(
    collected: Collected, problem: Problem, fitted: svi.Fitted, options: svi.Options, console: Console
) -> tuple[Problem, svi.Fitted, float]:
    """The problem, the fit and the nats lost between nodes: it goes on with more nodes where those were too few."""
    if not interpolation.doubtful(problem):
        return problem, fitted, 0.0
    for strip in (*interpolation.NARROWER, None):
        x = assemble.point(problem, fitted.params["loc"])
        lost = interpolation.lost(problem, x)
        if lost <= interpolation.ENOUGH or strip is None:
            return problem, fitted, lost
        console.notice(f"between the engine's nodes of log capture {lost:.2g} nats may be lost: the fit goes on with more nodes")
        problem = assemble.with_more_nodes(collected, problem, x, strip)
        fitted = svi.fit(problem, fitted.params["loc"], options, _progress(console))


def svi_options(config: Config) -> svi.Options:
    s = config.svi
    stochastic = s.batch_size is not None
    return svi.Options(s.n_steps, s.learning_rate, s.early_stopping, s.n_samples, config.seed, config.guide.family, stochastic)


def _mcmc(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> Inferred:
    m = config.mcmc
    options = nuts.Options(m.n_warmup, m.n_samples, m.n_chains, m.svi_init, m.target_accept, config.seed)
    with console.phase("fit"):
        problem = assemble.problem(collected, spec, config.engine, None, fill=False)
        start = assemble.start(collected, problem, config.seed, _progress(console))
        if m.svi_init and config.svi.model_dump(exclude_defaults=True):
            start, options = _guide_centre(collected, spec, config, console), replace(options, svi_init=False)
        chains = nuts.fit(problem, start, options, _progress(console))
    with console.phase("draws"):
        posterior, by_parameter = nuts.posterior(problem, chains)
    rhat = {name: c.rhat for name, c in by_parameter.items() if c.axes[-1:] == ("gene",)}
    warned = findings.of_mcmc(posterior.diagnostics)
    lost = interpolation.lost(problem, posterior.point_log_scale()) if interpolation.doubtful(problem) else 0.0
    nodes, table = Nodes(interpolation.of(problem), lost), lambda coords: diagnostics.table(by_parameter, coords)
    return Inferred(posterior, problem.lane.name, nodes, warned, table, rhat)


def _guide_centre(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> dict:
    """Where chains start if the recipe says how to optimise: the location of the guide that this gives. Else at the mode."""
    problem = assemble.problem(collected, spec, config.engine, config.svi.batch_size, fill=True)
    start = assemble.start(collected, problem, config.seed, _progress(console))
    centre = problem.by_cell(svi.fit(problem, start, svi_options(config), _progress(console)).params["loc"])
    return program.uncentred(spec, problem.cells, centre)


def _progress(console: Console):
    def on_step(phase: str, step: int, loss: float | None = None, total: int | None = None, **_) -> None:
        console.progress(step, total, loss)

    return on_step


METHODS = {"svi": _svi, "mcmc": _mcmc}
