"""Mode, curvature and the variational fit, against scipy, grids and their own definitions."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree
from scipy.special import logsumexp

from scribe_cli.core.facts import Facts
from scribe_cli.core.inference import batches, curvature, initial, mode, svi
from scribe_cli.core.inference.plan import Plan, WINDOW
from scribe_cli.core.inference.problem import Minibatch, Problem
from scribe_cli.core.numerics import choose, lanes
from scribe_cli.errors import NumericalError
from tests import zoo


def totals(u) -> initial.Totals:
    return initial.Totals(gene=u.sum(0), pairs=(u * (u - 1.0)).sum(0), row=u.sum(1))


def device(tree):
    return jax.tree.map(jnp.asarray, tree)


def small_counts() -> np.ndarray:
    return np.random.default_rng(1).negative_binomial(2.0, 0.25, (zoo.N_CELLS, zoo.N_GENES))


def problem(name: str, u=None, lane=None, **changes) -> Problem:
    u = small_counts() if u is None else u
    spec, facts = zoo.SPECS[name], device(zoo.facts())
    lane = lanes.load()[lane] if lane else choose.choose(spec)
    return Problem(spec, lane, facts, device(zoo.stats(u)), facts, **changes)


def start_of(p: Problem, u=None) -> dict:
    return device(initial.moments(p.spec, p.facts, totals(small_counts() if u is None else u)))


def minibatched(name: str, u, size: int) -> Problem:
    return dataclasses.replace(problem(name, u, "dense"), stats={}, minibatch=Minibatch(size, lambda rows: u[rows]))


@pytest.mark.parametrize("name", ["nbdm-canonical", "nbvcp-mean_odds-eta", "zinbvcp-mean_disp"])
def test_the_mode_is_where_scipy_finds_it(name):
    p = problem(name)
    found = mode.find(p, start_of(p))
    flat, unravel = ravel_pytree(found.thetas)
    loss = jax.jit(jax.value_and_grad(lambda v: -p.log_joint(unravel(v), p.facts, p.stats)))
    theirs = scipy.optimize.minimize(lambda v: tuple(np.asarray(x, float) for x in loss(v)), flat + 0.3, jac=True, method="BFGS", options={"gtol": 1e-7})
    assert found.converged and found.decrement < mode.TOLERANCE
    assert -found.value == pytest.approx(theirs.fun, abs=1e-3)
    assert -found.value <= theirs.fun + 1e-6
    np.testing.assert_allclose(flat, theirs.x, atol=2e-2)


def test_the_mode_is_the_same_from_a_scale_wrong_by_e():
    p = problem("nbvcp-mean_odds-eta")
    start = start_of(p)
    wrong = start | {"mu_unconstrained": start["mu_unconstrained"] + 1.0, "phi_unconstrained": start["phi_unconstrained"] - 1.0}
    assert mode.find(p, wrong).value == pytest.approx(mode.find(p, start).value, abs=1e-4)


def test_a_start_that_is_not_finite_is_said():
    p = problem("nbdm-canonical")
    with pytest.raises(NumericalError, match="step 0"):
        mode.find(p, start_of(p) | {"r_unconstrained": jnp.full((1, 1, zoo.N_GENES), jnp.nan)})


@pytest.mark.parametrize("name", ["nbvcp-mean_odds-eta", "zinbvcp-mean_disp"])
def test_curvature_is_the_diagonal_of_the_hessian(name):
    p = problem(name)
    thetas = start_of(p)
    flat, unravel = ravel_pytree(thetas)
    dense = -np.diag(jax.jit(jax.hessian(lambda v: p.log_joint(unravel(v), p.facts, p.stats)))(flat))
    mine = ravel_pytree(curvature.diagonal(curvature.products(p, thetas, p.facts, p.stats)))[0]
    np.testing.assert_allclose(mine, dense, rtol=1e-8, atol=1e-8)


def test_curvature_adds_up_over_minibatches():
    u = small_counts()
    p, parts = problem("zinbvcp-mean_disp", u), minibatched("zinbvcp-mean_disp", u, 5)
    thetas = start_of(p)
    whole = curvature.diagonal(curvature.products(p, thetas, p.facts, p.stats))
    for name, h in svi._diagonal(parts, thetas).items():
        np.testing.assert_allclose(h, whole[name], rtol=1e-9, atol=1e-9)


def test_minibatch_gradients_are_unbiased():
    """With the noise of each cell held fixed, the mean over all batches of one cell is the full gradient."""
    u = small_counts()
    whole, parts = problem("zinbvcp-mean_disp", u), minibatched("zinbvcp-mean_disp", u, 1)
    params = {"loc": start_of(whole), "log_sd": {n: jnp.full(v.shape, -1.0) for n, v in start_of(whole).items()}}
    eps = svi._noise(whole, jax.random.PRNGKey(0), None)
    full = jax.grad(lambda q: svi._negative_elbo(whole, svi.GUIDE, q, eps, whole.facts, whole.stats))(params)

    @jax.jit
    def of_cell(q, rows, counts):
        some = {group: svi._take(parts, values, rows) for group, values in q.items()}
        facts = parts.facts.rows(rows, jnp.full(1, float(zoo.N_CELLS)))
        return svi._negative_elbo(parts, svi.GUIDE, some, svi._take(parts, eps, rows), facts, {"counts": counts})

    each = [jax.grad(of_cell)(params, jnp.array([c]), jnp.asarray(u[[c]])) for c in range(zoo.N_CELLS)]
    mean = jax.tree.map(lambda *g: sum(g) / zoo.N_CELLS, *each)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), mean, full)


def test_every_cell_is_in_one_batch_and_weighs_the_same():
    index, weight = batches.partition(3, 23, 5)
    seen = np.zeros(23)
    np.add.at(seen, index, weight)
    assert index.shape == (5, 5) and np.all(seen == 5.0)
    parts = minibatched("zinbvcp-mean_disp", small_counts(), 5)
    epoch = batches.steps(parts, 3, 0, 3)
    assert sorted(epoch["batch"]) == [0, 1, 2]
    np.testing.assert_array_equal(epoch["counts"], small_counts()[epoch["index"]])


def test_equal_cells_may_share_a_row():
    """Mode and guide of rows with multiplicities are those of the cells apart."""
    u = small_counts()[:4].repeat([3, 1, 2, 1], 0)
    name, spec = "nbvcp-mean_odds-eta", zoo.SPECS["nbvcp-mean_odds-eta"]
    lane = choose.choose(spec)

    def facts(n, library, weight=1.0):
        return device(Facts({"cell": n, "gene": zoo.N_GENES}, {"log_library": library}, weight))

    row = np.array([0, 0, 0, 1, 2, 2, 3])
    library = np.log(u.sum(1) + 1.0)
    apart = Problem(spec, lane, facts(7, library), device(zoo.stats(u)), facts(7, library))
    first = np.array([0, 3, 4, 6])
    stats = zoo.stats(u) | {"row_total": u[first].sum(1).astype(float)}
    rows = facts(4, library[first], np.array([3.0, 1.0, 2.0, 1.0]))
    shared = Problem(spec, lane, rows, device(stats), apart.facts, row_of_cell=row)
    a, b = mode.find(apart, start_of(apart, u)), mode.find(shared, start_of(shared, u[first]) | {"mu_unconstrained": start_of(apart, u)["mu_unconstrained"]})
    assert a.value == pytest.approx(b.value, abs=1e-6)
    spread = shared.by_cell(b.thetas)
    for site in a.thetas:
        np.testing.assert_allclose(spread[site], a.thetas[site], atol=1e-3)
    one = curvature.guide_log_sd(apart, svi._diagonal(apart, a.thetas))
    other = shared.by_cell(curvature.guide_log_sd(shared, svi._diagonal(shared, b.thetas)))
    for site in one:
        np.testing.assert_allclose(other[site], one[site], atol=1e-3)
    assert name in zoo.SPECS


def grid_evidence(p: Problem, found: mode.Mode) -> float:
    """log of the integral of the joint over its two coordinates, by a grid around the mode."""
    flat, unravel = ravel_pytree(found.thetas)
    sd = ravel_pytree(curvature.scale(svi._diagonal(p, found.thetas)))[0]
    axis = np.linspace(-12.0, 12.0, 161)
    points = flat[None, None] + np.stack(np.meshgrid(axis, axis, indexing="ij"), -1) * np.asarray(sd)[None, None]
    density = jax.jit(jax.vmap(lambda v: p.log_joint(unravel(v), p.facts, p.stats)))(jnp.asarray(points.reshape(-1, 2)))
    return float(logsumexp(np.asarray(density)) + 2 * np.log(axis[1] - axis[0]) + np.log(np.asarray(sd)).sum())


def test_the_elbo_is_just_below_the_evidence():
    """One gene, two coordinates: a mean-field guide loses the correlation and no more."""
    u = np.random.default_rng(5).negative_binomial(3.0, 0.2, (400, 1))
    spec = zoo.SPECS["nbdm-mean_odds"]
    facts = device(Facts({"cell": 400, "gene": 1}))
    p = Problem(spec, choose.choose(spec), facts, device(zoo.stats(u)), facts)
    options = svi.Options()
    fitted = svi.fit(p, start_of(p, u), options)
    posterior = svi.posterior(p, fitted, options)
    evidence = grid_evidence(p, fitted.mode)
    elbo, noise = posterior.diagnostics["elbo"], posterior.diagnostics["elbo_sd"]
    assert fitted.converged and posterior.diagnostics["converged"]
    assert evidence - 0.5 < elbo < evidence + 4 * noise
    assert posterior.map_kind == "joint_mode"
    assert posterior.draws["mu"].shape == (500, 1, 1, 1)


def run(p: Problem, start=None, **changes) -> svi.Fitted:
    return svi.fit(p, start_of(p) if start is None else start, svi.Options(**changes))


def test_told_to_run_all_steps_it_does():
    p = problem("nbdm-canonical")
    fitted = run(p, n_steps=730, early_stopping=False)
    assert len(fitted.losses) == 730
    assert fitted.rates[-1] < 0.02 * fitted.rates[0]
    assert len(run(p, n_steps=90).losses) == 90 and not run(p, n_steps=90).converged


def test_a_plan_ends_when_the_gain_is_lost_in_the_noise():
    rng = np.random.default_rng(0)

    def steps(slope):
        plan = Plan(5000, 0.1, True, 1)
        while not plan.done():
            step = plan.step + np.arange(50)
            plan.add(1000.0 - slope * step + rng.normal(size=50), np.zeros(50, int), plan.rate(), {})
        return plan

    assert steps(0.0).converged() and steps(0.0).step <= 12 * WINDOW
    assert not steps(0.1).converged() and steps(0.1).step == 5000


def test_batches_are_compared_each_with_itself():
    """Two batches far apart, and a gain far below their distance."""
    plan = Plan(None, None, True, 2)
    for epoch in range(plan.window):
        order = np.array([0, 1] if epoch % 3 else [1, 0])
        plan.add(np.where(order == 0, 1e6, 2e6) - 0.01 * epoch, order, 0.1, {})
    gain, noise = plan.gain()
    assert gain == pytest.approx(0.01 * plan.window / 2, rel=1e-6) and noise < 0.01 * gain


def test_the_learning_rate_is_used():
    p = problem("nbdm-canonical")
    slow, fast = (run(p, n_steps=100, early_stopping=False, learning_rate=rate) for rate in (1e-9, 0.1))
    assert slow.rates[0] == 1e-9
    start = {"loc": slow.mode.thetas, "log_sd": curvature.guide_log_sd(p, svi._diagonal(p, slow.mode.thetas))}
    moved = [sum(float(jnp.abs(a - b).sum()) for a, b in zip(jax.tree.leaves(f.params), jax.tree.leaves(start), strict=True)) for f in (slow, fast)]
    assert moved[0] < 1e-5 and moved[1] > 0.1


def test_the_same_seed_gives_the_same_bits():
    p = problem("nbvcp-mean_odds-eta")
    one, two, other = run(p, n_steps=100), run(p, n_steps=100), run(p, n_steps=100, seed=1)
    assert np.array_equal(one.losses, two.losses) and not np.array_equal(one.losses, other.losses)
    draws = [svi.draw({"family": "mean_field", "params": f.params}, 42, np.arange(5)) for f in (one, two)]
    for site in draws[0]:
        assert np.array_equal(draws[0][site], draws[1][site])


def test_minibatches_reach_the_full_fit():
    u = np.random.default_rng(2).negative_binomial(2.0, 0.25, (zoo.N_CELLS, zoo.N_GENES))
    whole, parts = problem("nbdm-mean_prob", u, "dense"), minibatched("nbdm-mean_prob", u, 4)
    a = run(whole, start_of(whole, u))
    b = svi.fit(parts, start_of(whole, u), svi.Options(n_steps=3000, early_stopping=False))
    for site, loc in a.params["loc"].items():
        sd = np.exp(np.asarray(a.params["log_sd"][site]))
        assert np.all(np.abs(np.asarray(b.params["loc"][site]) - np.asarray(loc)) < 0.25 * sd), site
    assert b.mode is None
    assert svi.posterior(parts, b, svi.Options()).map_kind == "guide_location"


def test_a_loss_that_is_not_finite_stops_the_fit():
    u = small_counts()
    parts = minibatched("nbdm-mean_prob", u, 4)
    broken = dataclasses.replace(parts, minibatch=Minibatch(4, lambda rows: np.where(rows[:, None] == 2, np.nan, u[rows])))
    start = start_of(parts, u)
    base = {"loc": start, "log_sd": {n: jnp.full(v.shape, -1.0) for n, v in start.items()}}
    with pytest.raises(NumericalError, match=r"not finite at step \d+"):
        svi._optimise(broken, base, None, svi.Options(), lambda **_: None)


def test_starts_are_near_the_data():
    """Moments of a large simulation land on the truth."""
    rng = np.random.default_rng(0)
    mu, phi = np.exp(rng.normal(2.0, 1.0, zoo.N_GENES)), 0.4
    u = rng.poisson(rng.gamma(mu * phi, 1.0, (4000, zoo.N_GENES)) / phi)
    spec = zoo.SPECS["nbdm-mean_odds"]
    found = initial.moments(spec, Facts({"cell": 4000, "gene": zoo.N_GENES}), totals(u))
    np.testing.assert_allclose(found["mu_unconstrained"].ravel(), np.log(mu), atol=0.1)
    assert found["phi_unconstrained"].item() == pytest.approx(np.log(phi), abs=0.2)
