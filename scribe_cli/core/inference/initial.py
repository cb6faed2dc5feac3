"""Where inference starts: moments of the data, and each cell's own capture prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from ..axes import CELL
from ..facts import Facts
from ..model import derive
from ..model.capture import COORDINATES
from ..model.priors import library_size
from ..model.program import Context
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS
from . import mode
from .problem import Problem

GATE_START = -2.0  # logit; the location of its default prior
LARGEST_LOG_NU = -0.05  # of a start: capture is below one
ODDS_RANGE = (1e-4, 1e4)  # of the pooled odds phi, where the moments say nothing


def moments(spec: ModelSpec, facts: Facts, totals: dict) -> dict:
    """{site: theta} near the data.

    totals: gene (genes,) sums of counts; pairs (genes,) sums of u(u-1); row (rows,) sums of counts of a cell.
    E[u(u-1)] = mu^2 nu^2 (1 + 1/r) with r = mu phi gives the odds phi pooled over genes.
    """
    nu = _capture(spec, facts, np.asarray(totals["row"], float))
    weight = np.broadcast_to(np.asarray(facts.weight, float), nu.shape)
    mu = (totals["gene"] + 0.5) / (weight * nu).sum()
    excess = (totals["pairs"].sum() / (weight * nu**2).sum() - (mu**2).sum()) / mu.sum()
    log_phi = float(np.log(np.clip(1.0 / max(excess, 1e-300), *ODDS_RANGE)))
    core = {"log_r": np.log(mu)[None, None] + log_phi, "logit_p": np.full((1, 1, 1), -log_phi)}
    x = {name: formula(core) for name, (_, formula) in derive.REPORTED[spec.kernel].items()}
    x["gate"] = np.full((1, 1, len(mu)), GATE_START)
    if spec.capture:
        x[spec.capture] = COORDINATES[spec.capture].from_log_nu(np.log(nu).reshape(1, -1, 1))
    return {f"{p.name}_unconstrained": np.asarray(SUPPORTS[p.support].from_log(x[p.name]), float) for p in spec.params}


def refined(problem: Problem, start: dict, row_total, seed: int, on_step: Callable) -> dict:
    """A start for minibatches: the mode of as many cells as one holds, its genes and globals kept.

    A cell's log capture there is its log total and a common offset, which the other cells then get with their own
    totals: likelihood and prior both have slope one in the log total.
    """
    some = np.sort(np.random.default_rng([seed, 0]).choice(len(row_total), problem.minibatch.size, replace=False))
    facts = problem.facts.rows(some, 1.0)
    part = replace(problem, facts=facts, cells=facts, stats={"counts": jnp.asarray(problem.minibatch.read(some))}, minibatch=None)
    of_some = {name: (v[:, some] if problem.has_cells(name) else v) for name, v in start.items()}
    found = mode.find(part, of_some, on_step).thetas
    shared = {name: v for name, v in found.items() if not problem.has_cells(name)}
    if problem.spec.capture is None:
        return start | shared
    param, coordinate = problem.spec[problem.spec.capture], COORDINATES[problem.spec.capture]
    site, support = f"{param.name}_unconstrained", SUPPORTS[param.support]
    log_total = jnp.log(jnp.maximum(jnp.asarray(row_total, float), 0.5)).reshape(1, -1, 1)
    offset = jnp.median(coordinate.to_log_nu(support.to_log(found[site])) - log_total[:, some])
    log_nu = jnp.minimum(log_total + offset, LARGEST_LOG_NU)
    return start | shared | {site: support.from_log(coordinate.from_log_nu(log_nu))}


def _capture(spec: ModelSpec, facts: Facts, row_total) -> np.ndarray:
    """nu (rows,): the mean of each cell's truncated prior; with free capture, in proportion to the counts."""
    if spec.capture is None:
        return np.ones(facts.sizes[CELL])
    prior = spec[spec.capture].prior
    if prior.family == "library_size":
        law = library_size.law(Context(facts), prior, (1, facts.sizes[CELL], 1))
        return np.exp(-np.asarray(law.mean_eta()).ravel())
    weight = np.broadcast_to(np.asarray(facts.weight, float), row_total.shape)
    depth = np.maximum(row_total, 0.5) / max((weight * row_total).sum() / weight.sum(), 0.5)
    odds = prior.args["a"] / prior.args["b"] * depth  # nu/(1-nu) at the prior mean, for Beta and BetaPrime alike
    return odds / (1.0 + odds)
