"""Variational inference: the mode, then a guide from there, and what is reported of it.

A mean-field guide is found without chance (deterministic.py) where all cells are taken at once. Where they are not, where the
recipe asks for steps, and where that does not converge, by Adam on the ELBO in a chunked scan, until the smoothed ELBO stands
still. Its draws come in antithetic pairs: for a log density that is nearly quadratic under the guide, the noise of the
gradient of a location then cancels. Steps are in units of the guide's own starting spread, so one learning rate
serves a gene with ten counts and one with a million.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ...errors import NumericalError
from ..axes import GENE
from ..model import derive
from ..padding import cut, on_ladder
from . import NOT_NORMAL, batches, curvature, deterministic, guides, initial, mode, settling, whitening
from .plan import Plan
from .posterior import Posterior, blocks, lifted
from .problem import Problem, normals, purpose_key

STILL_TO_GAIN = 1.0  # nats, by moving a Laplace guide on, of one that is where it should be
FAR = 1.0  # misfit of an element of a Laplace guide: its slope is wrong by as much as it is large
SCALE_UNIT = 0.1  # of the log of a hierarchy's scale, at least
CHUNK = 50  # steps between two looks at the host
ELBO_PAIRS, FEW_PAIRS = 128, 32  # of draws for the ELBO that is reported; few where a sum takes a tenth of a second
GUIDE = guides.load("mean_field")  # of the steps
# A mean-field guide of z and location knows nothing of their sum, which is what the data tell: its location was 20 times
# too certain. Of the values themselves it has the data's own.
CENTRED = True


@dataclass(frozen=True)
class Options:
    """n_steps None: until converged; learning_rate None: 0.1, in units of the guide's starting spread; guide: its family.

    stochastic: whether Adam is asked for, as it is too by the first two.
    """

    n_steps: int | None = None
    learning_rate: float | None = None
    early_stopping: bool = True
    n_samples: int = 500
    seed: int = 42
    guide: str = "mean_field"
    stochastic: bool = False

    @property
    def by_adam(self) -> bool:
        return self.stochastic or self.n_steps is not None or self.learning_rate is not None


@dataclass(frozen=True)
class Fitted:
    """Where a fit ended: guide parameters {group: {site: array}} on rows, the mode if it was sought, the way there.

    losses, rates: (steps,); gain, noise: nats won by the last window over the one before, and its standard error; of a guide
    that is found without chance gain is what it would still win, and losses of a Laplace guide are the search's for the mode.
    optimiser: its name in metrics.json; figures: more numbers for there; given_up: why it is Adam's after all, else empty.
    """

    params: dict
    mode: mode.Mode | None
    losses: np.ndarray
    rates: np.ndarray
    converged: bool
    gain: float
    noise: float
    optimiser: str = "adam"
    figures: Mapping[str, float] = field(default_factory=dict)
    given_up: str = ""


def fit(problem: Problem, start: dict, options: Options, on_step: Callable = lambda **_: None) -> Fitted:
    """Mode (where the whole log joint is affordable and is an estimate), then the guide from there.

    start: {site: theta}; on_step(phase, step, loss, ...) is called after each chunk. Raises NumericalError where a
    loss is not finite.
    """
    found, seen = None, []

    def watched(**told):
        seen.append(told["loss"])
        on_step(**told)

    if problem.minibatch is None:
        # of a hierarchy a mode is no estimate, but with the scales held it is a place to start from
        only_a_start = problem.spec.hierarchical
        held = [site for site in start if derive.is_scale(site)]
        start = settling.settle(problem, start, on_step)
        reached = mode.find(problem, start, watched, initial.NEAR if only_a_start else mode.TOLERANCE, held)
        found, start = None if only_a_start else reached, reached.thetas
    if options.guide == "laplace":
        return _laplace(problem, found, seen, options.seed, on_step)
    if problem.minibatch is not None or options.by_adam:
        log_sds = curvature.guide_log_sd(problem, _diagonal(problem, start))
        return _optimise(problem, {"loc": dict(start), "log_sd": log_sds}, found, options, on_step)
    ended = deterministic.fit(problem, start, options.seed, on_step)
    rates, figures = np.zeros(len(ended.losses)), _figures(ended)
    before = Fitted(ended.params, found, ended.losses, rates, True, ended.decrement, 0.0, "lbfgs", figures, ended.why)
    if not ended.why:
        return before
    after = replace(_optimise(problem, ended.params, found, options, on_step), figures=figures, given_up=ended.why)
    after = replace(after, optimiser="lbfgs, then adam")
    if _elbo(problem, before, options)[0] > _elbo(problem, after, options)[0]:
        # where few draws were too few Adam's steps may lose more than they gain; if these had ended, there was no more to gain
        return replace(before, converged=after.converged)
    return after


def _figures(ended: deterministic.Ended) -> dict[str, float]:
    return {
        "guide_decrement": ended.decrement,
        "guide_shortfall": ended.shortfall,
        "guide_draws": 2 * ended.pairs,
        "guide_gradients": ended.gradients,
    }


def _laplace(problem: Problem, found: mode.Mode, losses: list[float], seed: int, on_step: Callable) -> Fitted:
    """The curvature at the mode. `spec.hierarchical` and components have none that tells of the posterior (refusals.py)."""
    if problem.minibatch is not None or not problem.apart:
        raise ValueError("a Laplace guide needs every cell in a row of its own, all of them at once (DESIGN.md 1.3)")
    middle = whitening.centred(problem, whitening.around(problem, found.thetas, seed), seed, on_step)
    converged = found.converged and middle.left < STILL_TO_GAIN
    figures = {
        "guide_decrement": middle.left,
        "guide_shortfall": middle.lost,
        "guide_draws": middle.draws,
        "guide_gradients": middle.gradients,
        **_not_normal(problem, middle.misfit),
    }
    rates = np.zeros(len(losses))
    return Fitted(middle.params, found, np.array(losses), rates, converged, middle.left, 0.0, "newton", figures)


def _not_normal(problem: Problem, misfit: Mapping) -> dict[str, int]:
    """{not_normal_<parameter>: of how many genes the posterior is far from the guide}, the most first."""
    far = {site: (np.asarray(v) > FAR) & (problem.weight_of(site) > 0) for site, v in misfit.items()}
    of_genes = {site: int(v.sum()) for site, v in far.items() if GENE in problem.sites[site].axes}
    found = {f"{NOT_NORMAL}{site.removesuffix('_unconstrained')}": n for site, n in of_genes.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def posterior(problem: Problem, fitted: Fitted, options: Options) -> Posterior:
    """Draws from the guide, cell by cell, and the MAP (MODELS.md 6)."""
    params = {group: problem.by_cell(values) for group, values in fitted.params.items()}
    guide = {"family": options.guide, "params": {group: _host(values) for group, values in params.items()}}
    sites = draw(guide, options.seed, np.arange(options.n_samples))
    draws, pieces = lifted(problem.spec, problem.cells, sites, 1, problem.centred)
    found = fitted.mode
    elbo, elbo_sd = _elbo(problem, fitted, options)
    diagnostics = {
        "converged": fitted.converged and (found is None or found.converged),
        "n_steps": len(fitted.losses),
        "elbo": elbo,
        "elbo_sd": elbo_sd,
        "elbo_gain_last_window": fitted.gain,
        "elbo_noise_last_window": fitted.noise,
        "optimiser": fitted.optimiser,
        **fitted.figures,
    }
    if found:
        diagnostics |= {"mode_log_joint": found.value, "mode_decrement": found.decrement, "mode_steps": found.steps}
    return Posterior(
        spec=problem.spec,
        facts=problem.cells,
        sample_dims=("sample",),
        draws=draws,
        **_point(problem, params["loc"], found, draws),
        pieces=pieces,
        guide=guide,
        history={"loss": fitted.losses, "learning_rate": fitted.rates},
        diagnostics=diagnostics,
    )


def _point(problem: Problem, loc: dict, found: mode.Mode | None, draws: dict) -> dict:
    """{point, map_kind}: the joint mode; of a hierarchy, where it is none, the mean of the lifted values (MODELS.md 6)."""
    if problem.spec.hierarchical:
        return {"point": {name: v.mean(0) for name, v in draws.items()}, "map_kind": "lifted_mean"}
    sites = problem.by_cell(found.thetas) if found else loc
    point, _ = lifted(problem.spec, problem.cells, {n: np.asarray(v)[None] for n, v in sites.items()}, 1, problem.centred)
    return {"point": {name: v[0] for name, v in point.items()}, "map_kind": "joint_mode" if found else "guide_location"}


def draw(guide: Mapping, seed: int, numbers: np.ndarray) -> dict:
    """{site: (numbers, ...)} draws from a guide {family, params}: a seed and a number are one draw, always. Some at a time."""
    family, shapes = guides.load(guide["family"]), {site: np.shape(v) for site, v in guide["params"]["loc"].items()}
    params = {group: {site: on_ladder(v) for site, v in values.items()} for group, values in guide["params"].items()}
    sample, out = jax.jit(family.sample), {site: np.empty((len(numbers), *shape)) for site, shape in shapes.items()}
    for part in blocks(out):
        for site, v in sample(params, purpose_key(seed, "draw"), numbers[part]).items():
            out[site][part] = cut(v, shapes[site])
    return out


def _host(values: dict) -> dict:
    return {name: np.asarray(value) for name, value in values.items()}


def _diagonal(problem: Problem, thetas: dict) -> dict:
    if problem.minibatch is None:
        return curvature.diagonal(curvature.products(problem, thetas, problem.facts, problem.stats))
    total = {n: np.zeros(v.shape) for n, v in thetas.items()}
    n_cells, size = problem.facts.sizes["cell"], problem.minibatch.size
    for first in range(0, n_cells, size):
        # the last batch is moved back to keep one shape; its cells seen twice are set, not added
        index = np.arange(first, first + size) - max(0, first + size - n_cells)
        fresh = index >= first
        facts = problem.facts.rows(index, fresh.astype(float))
        counts = {"counts": problem.minibatch.read(index)}
        part = curvature.diagonal(curvature.products(problem, _take(problem, thetas, index), facts, counts))
        for name, h in part.items():
            if problem.has_cells(name):
                total[name][:, index[fresh]] = np.asarray(h)[:, fresh]
            else:
                total[name] += np.asarray(h)
    return _prior_once(problem, thetas, total)


def _prior_once(problem: Problem, thetas: dict, total: dict) -> dict:
    """Each batch brought the priors of genes and globals along; they count once."""
    n_batches = math.ceil(problem.facts.sizes["cell"] / problem.minibatch.size)
    empty = problem.facts.rows(np.arange(1), np.zeros(1))
    counts = {"counts": np.zeros((1, problem.facts.sizes["gene"]))}
    prior = curvature.diagonal(curvature.products(problem, _take(problem, thetas, np.arange(1)), empty, counts))
    return {
        n: (h if problem.has_cells(n) else h - (n_batches - 1) * np.asarray(prior[n])) for n, h in total.items()
    }


def _take(problem: Problem, values: dict, index) -> dict:
    """Site arrays on some rows."""
    return {n: (v[:, index] if problem.has_cells(n) else v) for n, v in values.items()}


def _negative_elbo(problem: Problem, guide: guides.Guide, params, eps, facts, stats):
    """Minus the ELBO from the antithetic pair (eps, -eps)."""
    weights = {n: jnp.broadcast_to(facts.weight_of(problem.sites[n].axes), v.shape) for n, v in params["loc"].items()}
    pair = {n: jnp.stack([e, -e]) for n, e in eps.items()}
    # one after the other: products of sparse matrices take no batches
    density = jax.lax.map(lambda e: problem.log_joint(guide.points(params, e), facts, stats), pair)
    return -(density.mean() + guide.entropy(params, weights))


def _noise(problem: Problem, key, rows: int | None):
    """Standard normal draws for each site; a minibatch has `rows` rows of the cell axis."""
    shapes = {name: list(site.shape) for name, site in problem.sites.items()}
    for name in shapes if rows is not None else ():
        if problem.has_cells(name):
            shapes[name][1] = rows
    return normals(key, {name: tuple(shape) for name, shape in shapes.items()})


def _chunk(problem: Problem, optimiser):
    """jit f((moves, optimiser state), (base, unit), key, rate, xs, (facts, stats)): one scan over the steps in xs.

    Guide parameters are base + unit * moves.
    """

    def run(carry, scale, key, rate, xs, data):
        (base, unit), (facts, stats) = scale, data

        def at(moves):
            return jax.tree.map(lambda b, u, m: b + u * m, base, unit, moves)

        def loss(moves, x):
            params, batch, counts = at(moves), facts, stats
            if problem.minibatch is not None:
                rows = x["index"]
                params = {group: _take(problem, values, rows) for group, values in params.items()}
                batch = facts.rows(rows, x["weight"])
                counts = {"counts": x["counts"]}
            eps = _noise(problem, jax.random.fold_in(key, x["step"]), batch.sizes.get("cell"))
            return _negative_elbo(problem, GUIDE, params, eps, batch, counts)

        def one(carry, x):
            moves, state = carry
            value, gradient = jax.value_and_grad(loss)(moves, x)
            update, state = optimiser.update(gradient, state)
            moves = jax.tree.map(lambda m, u: m - rate * u, moves, update)
            return (moves, state), value

        carry, losses = jax.lax.scan(one, carry, xs)
        return carry, losses, at(carry[0])

    return jax.jit(run)


def _optimise(problem: Problem, base, found, options: Options, on_step) -> Fitted:
    optimiser = optax.scale_by_adam()
    run = _chunk(problem, optimiser)
    unit = {group: jax.tree.map(jnp.ones_like, values) for group, values in base.items()}
    unit["loc"] = {site: _unit(site, log_sd) for site, log_sd in base["log_sd"].items()}
    moves = jax.tree.map(jnp.zeros_like, base)
    carry, key = (moves, optimiser.init(moves)), purpose_key(options.seed, "svi")
    plan = Plan(options.n_steps, options.learning_rate, options.early_stopping, batches.number(problem))
    chunk, params = CHUNK if problem.minibatch is None else 1, base
    while not plan.done():
        n, rate = min(chunk, plan.last - plan.step), plan.rate()
        xs = batches.steps(problem, options.seed, plan.step, n)
        carry, losses, params = run(carry, (base, unit), key, rate, xs, (problem.facts, problem.stats))
        losses = np.asarray(losses)
        if not np.isfinite(losses).all():
            raise NumericalError(_autopsy(params, plan.step + int(np.argmin(np.isfinite(losses)))))
        plan.add(losses, np.asarray(xs["batch"]), rate, _shared_place(problem, carry[0]))
        on_step(phase="fit", step=plan.step, loss=plan.recent(), total=options.n_steps)
    gain, noise = plan.gain()
    return Fitted(params, found, np.asarray(plan.losses), np.asarray(plan.rates), plan.converged(), gain, noise)


def _unit(site: str, log_sd):
    """Of the steps of a location: its spread. The scale of a hierarchy goes along ridges that are far longer than wide."""
    return jnp.maximum(jnp.exp(log_sd), SCALE_UNIT) if derive.is_scale(site) else jnp.exp(log_sd)


def _shared_place(problem: Problem, moves: dict) -> dict:
    """{site: location, in units of its starting spread} of what all minibatches share."""
    if problem.minibatch is None:
        return {}
    return {name: np.asarray(v) for name, v in moves["loc"].items() if not problem.has_cells(name)}


def _autopsy(params: dict, step: int) -> str:
    bad = [n for values in params.values() for n, v in values.items() if not bool(jnp.isfinite(v).all())]
    site = f"the guide of {bad[0]} is not finite" if bad else "the guide is finite, the log density is not"
    return f"the ELBO is not finite at step {step}: {site}; try a smaller svi.learning_rate, or look at the counts"


def _elbo(problem: Problem, ended: Fitted, options: Options) -> tuple[float, float]:
    """(ELBO, standard error): at the end point where the whole is affordable, else the mean of the last window."""
    if problem.minibatch is not None:
        tail = ended.losses[-batches.number(problem) :]
        return -float(tail.mean()), abs(ended.noise)

    guide = guides.load(options.guide)

    def one(params, key, facts, stats):
        return _negative_elbo(problem, guide, params, _noise(problem, key, None), facts, stats)

    pairs = ELBO_PAIRS if problem.lane.exact else FEW_PAIRS
    keys = jax.random.split(purpose_key(options.seed, "elbo"), pairs)
    of_keys = jax.jit(lambda keys, p, f, s: jax.lax.map(lambda k: one(p, k, f, s), keys))  # keys of another seed, no other program
    value = of_keys(keys, ended.params, problem.facts, problem.stats)
    return -float(value.mean()), float(value.std() / math.sqrt(pairs))
