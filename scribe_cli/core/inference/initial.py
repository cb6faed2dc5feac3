"""Where inference starts: moments of the data, and each cell's own capture prior."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from ..axes import CELL, COMPONENT, GENE, shape3
from ..facts import Facts
from ..model import derive, priors
from ..model.capture import COORDINATES
from ..model.priors import library_size
from ..model.program import Context
from ..model.spec import ModelSpec, Prior
from ..model.supports import SUPPORTS
from ..padding import each, filled, of_kinds
from . import mode
from .problem import Problem

GATE_START = -2.0  # logit; the location of its default prior
OMEGA_START = -5.0  # log omega, likewise, and the least where the moments tell it
PAIRS_THAT_TELL = 10.0  # expected of Poisson counts, from which on a gene's excess is known well enough
SWITCHING_START = 3.0  # log k_off, likewise
LARGEST_LOG_NU = -0.05  # of a start: capture is below one
ODDS_RANGE = (1e-4, 1e4)  # of the pooled odds phi, where the moments say nothing
PSEUDO_COUNT = 5.0  # counts of its share in the whole that a part of the cells is given, so that rare genes start alike
PRIOR_SDS = 6.0  # of log capture given the library size, to which it may go
FREE_RANGE = 4.0  # of log capture to either side of a start, where no prior tells its scale
CERTAIN = 1e7  # nats by which a cell is of its component
NEAR = 10.0  # nats from a mode that is only a start
SPREAD = 0.5  # between components in the coordinate of a parameter, where their means are one


@dataclass(frozen=True)
class Totals:
    """What starts are made of. gene, pairs: (genes,) sums of u and of u(u-1); row: (rows,) a cell's counts;

    by_dataset: (datasets, genes) sums of u; by_component: (components, genes) the same of cells weighed by
    `responsibilities` (components, rows).
    """

    gene: np.ndarray
    pairs: np.ndarray
    row: np.ndarray
    by_dataset: np.ndarray | None = None
    by_component: np.ndarray | None = None
    responsibilities: np.ndarray | None = None


def moments(spec: ModelSpec, facts: Facts, totals: Totals, centred: bool = False) -> dict:
    """{site: value} near the data; centred: as in program.Context.

    E[u(u-1)] = mu^2 nu^2 (1 + 1/r) with r = mu phi gives the odds phi pooled over genes.
    """
    nu = _capture(spec, facts, np.asarray(totals.row, float))
    weight = np.broadcast_to(np.asarray(facts.weight, float), nu.shape)
    mu = (totals.gene + 0.5) / (weight * nu).sum()
    excess, log_omega = _excess(spec, totals, mu, (weight * nu).sum(), (weight * nu**2).sum())
    log_phi = float(np.log(np.clip(1.0 / max(excess, 1e-300), *ODDS_RANGE)))
    log_mean = np.log(mu)[None, None] + _of_datasets(facts, totals, mu, weight * nu) + _of_components(totals, mu, nu)
    core = CORE[spec.family](log_mean, log_phi)
    x = {name: formula(core) for name, (_, formula) in derive.REPORTED[spec.family].items()}
    x |= {"bnb_concentration": log_omega} | _beside_core(spec, totals, len(mu))
    if spec.capture:
        x[spec.capture] = each(COORDINATES[spec.capture].from_log_nu, np.log(nu)).reshape(1, -1, 1)
    return _sites(spec, facts, centred, _apart(spec, totals, {name: np.asarray(v, float) for name, v in x.items()}))


def _excess(spec: ModelSpec, totals: Totals, mu: np.ndarray, exposure: float, squares: float):
    """(1/phi pooled over genes, log omega (1, 1, genes)); exposure, squares: the sums of nu and of nu^2.

    With a shared p a gene's own excess is 1/phi + omega (1/phi + exposure/squares), and its median over the genes that tell
    is taken for that of the genes without omega. Where p is a gene's own, nothing tells the two apart.
    """
    shared = (totals.pairs.sum() / squares - (mu**2).sum()) / mu.sum()
    lowest = np.full(mu.shape, OMEGA_START)
    prob = spec.role("prob")
    if not spec.role("excess") or prob is None or GENE in prob.axes:
        return shared, lowest[None, None]
    of_gene = totals.pairs / (mu * squares) - mu
    told = mu**2 * squares >= PAIRS_THAT_TELL
    common = max(float(np.median(of_gene[told] if told.any() else of_gene)), 1.0 / ODDS_RANGE[1])
    omega = (of_gene - common) / (common + exposure / squares)
    return common, np.log(np.maximum(omega, np.exp(lowest)))[None, None]


def _negative_binomial(log_mean, log_phi):
    return {"log_r": log_mean + log_phi, "logit_p": np.full((1, 1, 1), -log_phi)}


def _two_state(log_mean, log_phi):
    """Bursts as large as the excess of the Fano factor, 1/phi, and k_off at its prior's location."""
    burst, k_off = np.full((1, 1, 1), -log_phi), np.full((1, 1, 1), SWITCHING_START)
    return {"log_alpha": log_mean - burst, "log_beta": k_off, "log_rate": np.logaddexp(log_mean, burst + k_off)}


CORE = {"negative_binomial": _negative_binomial, "two_state": _two_state}


def _of_datasets(facts: Facts, totals: Totals, mu: np.ndarray, exposure: np.ndarray):
    """(1, datasets, genes) the log of each dataset's mean over that of all; 0 where they are not told apart."""
    if totals.by_dataset is None:
        return np.zeros((1, 1, 1))
    of_each = np.bincount(facts.arrays["dataset_of_cell"], exposure, len(totals.by_dataset))
    return _ratio(totals.by_dataset, of_each, mu)[None]


def _of_components(totals: Totals, mu: np.ndarray, nu: np.ndarray):
    """(components, 1, genes), likewise."""
    if totals.by_component is None:
        return np.zeros((1, 1, 1))
    return _ratio(totals.by_component, totals.responsibilities @ nu, mu)[:, None]


def _ratio(part: np.ndarray, exposure: np.ndarray, mu: np.ndarray) -> np.ndarray:
    return np.log(part + PSEUDO_COUNT) - np.log(mu[None] * exposure[:, None] + PSEUDO_COUNT)


def _beside_core(spec: ModelSpec, totals: Totals, n_genes: int) -> dict:
    """Log-scale values of the parameters that no parameterization makes."""
    found = {"gate": np.full((1, 1, n_genes), GATE_START)}
    if spec.role("scaling"):
        found["mu_eta"] = np.full((1, 1, 1), spec.log_M0)
    if spec.mixed:
        share = totals.responsibilities.sum(1) + 1.0
        found["mixing_weights"] = np.log(share / share.sum()).reshape(-1, 1, 1)
    return found


def _apart(spec: ModelSpec, totals: Totals, x: dict) -> dict:
    """Components that share their means have to start apart in what they do not share."""
    mean = spec.role("mean")
    if not spec.mixed or COMPONENT in mean.axes:
        return x
    order = np.argsort(np.argsort(-(totals.responsibilities @ totals.row) / totals.responsibilities.sum(1)))
    offset = SPREAD * (order - order.mean()).reshape(-1, 1, 1)
    others = [p.name for p in spec.params if COMPONENT in p.axes and p.role != "weights"]
    return x | {name: x[name] + offset for name in others}


def _sites(spec: ModelSpec, facts: Facts, centred: bool, x: dict) -> dict:
    """{site: value} at which the model draws log-scale values x, cut to the axes that the parameters have."""
    found = {}
    for p in spec.params:
        theta = np.asarray(SUPPORTS[p.support].from_log(x[p.name]), float)
        shape = shape3(p.axes, facts.sizes)
        if p.support == "simplex":
            shape = (shape[0] - 1, *shape[1:])
        missing = tuple(i for i in range(3) if shape[i] == 1 and theta.shape[i] > 1)
        theta = np.broadcast_to(theta.mean(missing, keepdims=True), shape)
        found |= priors.start(p.name, p.prior, p.axes, f"{p.name}_unconstrained", theta, centred)
    return {name: np.array(v, float) for name, v in found.items()}


def told_apart(problem: Problem, start: dict, component: np.ndarray, on_step: Callable) -> dict:
    """A start for a mixture: the mode with each cell held at its component, (rows,).

    Means alone do not tell components apart where counts are many: with a dispersion and captures that are of no component
    yet, cells go to the one whose variance is largest, and do not come back.
    """
    spec = replace(problem.spec, annotation_confidence=CERTAIN)

    def labelled(facts: Facts) -> Facts:
        return replace(facts, arrays={**facts.arrays, "annotation": jnp.asarray(filled(label, facts.sizes[CELL]))})

    label = np.asarray(component, np.int32)
    held = [site for site in start if derive.is_scale(site) or site.startswith(f"{spec.role('weights').name}_")]
    apart = replace(problem, spec=spec, facts=labelled(problem.facts), cells=labelled(problem.cells))
    return mode.find(apart, start, on_step, NEAR, held).thetas


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


def capture_range(spec: ModelSpec, facts: Facts, row_total) -> tuple[float, float]:
    """(lowest, highest) log capture that inference may meet: those of a start, and far beyond what their priors allow."""
    log_nu = np.log(_capture(spec, facts, np.asarray(row_total, float)))
    beyond = FREE_RANGE
    if spec.capture and spec[spec.capture].prior.family == "library_size":
        beyond = PRIOR_SDS * spec[spec.capture].prior.args["sigma_M"] + (FREE_RANGE if spec.role("scaling") else 0.0)
    return float(log_nu.min() - beyond), float(min(log_nu.max() + beyond, 0.0))


def _mean_eta(spec: ModelSpec, prior: Prior, facts: Facts):
    context = Context(facts)
    context.drawn["mu_eta"] = jnp.full((1, 1, 1), spec.log_M0)
    return library_size.law(context, prior, (1, facts.sizes[CELL], 1)).mean_eta()


def _capture(spec: ModelSpec, facts: Facts, row_total) -> np.ndarray:
    """nu (rows,): the mean of each cell's truncated prior; with free capture, in proportion to the counts."""
    if spec.capture is None:
        return np.ones(facts.sizes[CELL])
    prior = spec[spec.capture].prior
    if prior.family == "library_size":
        mean_eta = jax.jit(lambda facts: _mean_eta(spec, prior, facts))(facts.filled(of_kinds))
        return np.exp(-np.asarray(mean_eta).ravel()[: facts.sizes[CELL]])
    weight = np.broadcast_to(np.asarray(facts.weight, float), row_total.shape)
    depth = np.maximum(row_total, 0.5) / max((weight * row_total).sum() / weight.sum(), 0.5)
    odds = prior.args["a"] / prior.args["b"] * depth  # nu/(1-nu) at the prior mean, for Beta and BetaPrime alike
    return odds / (1.0 + odds)
