"""A mean-field guide from fixed draws: the draws, the ascent, the ELBO against the stochastic one's, and when it gives up."""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scribe_cli import load
from scribe_cli.cli.main import main
from scribe_cli.core.inference import arrow, ascent, deterministic, mode, standardised, svi
from scribe_cli.core.numerics import counts
from scribe_cli.run.fitting import findings, inference
from scribe_cli.run.recipe import config
from scribe_cli.run.reporting import verdict
from tests import fits
from tests.test_inference import problem, start_of

SHAPES = {"a": (1, 1, 50), "b": (1, 1, 50), "c": (1, 1, 1), "d": (1, 7, 1)}


@pytest.mark.parametrize("pairs", [4, 8, 32, 128])
def test_draws_have_the_moments_of_a_normal(pairs):
    size = standardised.magnitudes(pairs)
    assert (size > 0).all() and np.mean(size**2) == pytest.approx(1.0) and np.mean(size**4) == pytest.approx(3.0)
    z = standardised.draws(SHAPES, pairs, 0)
    for site, shape in SHAPES.items():
        assert z[site].shape == (pairs, *shape)
        np.testing.assert_allclose((z[site] ** 2).mean(0), 1.0)
    np.testing.assert_allclose((z["a"] * z["b"]).mean(0), 0.0, atol=1e-12)


def test_draws_of_two_elements_are_not_the_same():
    z = standardised.draws(SHAPES, 8, 0)["a"].reshape(8, -1)
    off = z.T @ z / 8 - np.eye(50)
    # of independent ones sd 1/sqrt(8); 2450 of them
    assert abs(off.mean()) < 0.03 and off.std() == pytest.approx(8**-0.5, rel=0.1)
    assert not np.array_equal(z, standardised.draws(SHAPES, 8, 1)["a"].reshape(8, -1))


def test_as_many_sites_of_a_shape_as_there_may_be():
    shapes = {f"s{i}": (1, 1, 3000) for i in range(4)}
    assert standardised.fewest(shapes) == 8
    z = np.stack(list(standardised.draws(shapes, 8, 3).values())).reshape(4, 8, -1)
    np.testing.assert_allclose(np.einsum("apn,bpn->nab", z, z) / 8, np.broadcast_to(np.eye(4), (3000, 4, 4)), atol=1e-10)


def quadratic(hessian):
    return lambda x: (-0.5 * x @ hessian @ x, -hessian @ x)


def test_a_flat_direction_that_lbfgs_has_not_seen_is_seen():
    """Its own decrement is 5e-3 there, the true one 500 times as much: not believed, and gone there."""
    hessian = np.diag([1e-3, 1.0, 0.9])
    x = np.array([100.0, 0.0, 0.0])
    slope = quadratic(hessian)(x)[1]
    assert slope @ slope / 2 == pytest.approx(5e-3)
    step, decrement = ascent.newton(quadratic(hessian), x, slope, ascent.Memory())
    assert decrement == pytest.approx(5.0, rel=1e-3)
    np.testing.assert_allclose(step, -x, atol=0.1)
    values = []
    ended = ascent.climb(quadratic(hessian), x, ascent.Memory(), 1e-2, False, lambda value, _: values.append(value), lambda: True)
    assert ended.converged and ended.value > -1e-2 and (np.diff([*values, ended.value]) > 0).all()
    rough = ascent.climb(quadratic(hessian), x, ascent.Memory(), 1e-2, True, lambda *_: None, lambda: True)
    assert rough.converged and rough.value == pytest.approx(-5.0)


def test_where_nothing_bends_down_it_has_not_converged():
    """A straight line: no decrement is small, and every step gains until no more is affordable."""
    left = iter(range(10))
    ended = ascent.climb(lambda x: (1e-6 * x.sum(), np.full(2, 1e-6)), np.zeros(2), ascent.Memory(), 1.0, False, lambda *_: None, lambda: next(left) < 9)
    assert not ended.converged and ended.decrement == np.inf


ARROW = {"a": (1, 1, 40), "b": (1, 1, 40), "c": (1, 30, 1), "d": (1, 1, 1), "e": (2, 1, 1)}


def arrowhead(rng) -> np.ndarray:
    """A positive Hessian over all locations, then all log sds, in which elements of a shape meet, and small shapes meet all."""
    of = [(site, e) for _ in range(2) for site, shape in ARROW.items() for e in range(int(np.prod(shape)))]
    shared = np.array([site in "de" for site, _ in of])
    element = np.array([{"a": 0, "b": 0, "c": 100}.get(site, -1000) + e for site, e in of])
    meet = (element[:, None] == element) | shared[:, None] | shared
    a = rng.normal(size=(len(of),) * 2) * meet
    a = 0.05 * (a + a.T) * meet
    return a + np.diag(np.exp(rng.normal(size=len(of))) + np.abs(a).sum(1))


def test_the_inverse_of_an_arrowhead_is_exact():
    rng = np.random.default_rng(2)
    hessian = arrowhead(rng)
    x, d = rng.normal(size=(2, len(hessian)))
    evaluate = quadratic(hessian)
    found = arrow.inverse(evaluate, x, evaluate(x)[1], ARROW)
    np.testing.assert_allclose(found(d), np.linalg.solve(hessian, d), rtol=1e-6, atol=1e-8)


def test_where_a_slope_nearby_is_not_finite_what_was_known_stays():
    def evaluate(x):
        return 0.0, np.where(x > 0.0, np.nan, -2.0 * x)

    inverse = lambda *at: arrow.inverse(*at, {"a": (1, 1, 40), "b": (1, 1, 1)})  # noqa: E731
    assert inverse(evaluate, np.zeros(82), np.zeros(82)) is None
    memory, d = ascent.Memory(inverse), np.arange(82.0)
    memory.look(evaluate, np.full(82, -1.0), np.full(82, 2.0))
    np.testing.assert_allclose(memory(d), d / 2.0)
    memory.look(evaluate, np.zeros(82), np.zeros(82))
    np.testing.assert_allclose(memory(d), d / 2.0)


def test_what_bends_up_is_taken_to_bend_down_as_much():
    evaluate = quadratic(np.diag(np.tile([-4.0, 2.0, *np.full(38, 1.0)], 2)))
    found = arrow.inverse(evaluate, np.zeros(80), np.zeros(80), {"a": (1, 1, 40)})
    np.testing.assert_allclose(found(np.ones(80))[:3], [0.25, 0.5, 1.0], rtol=1e-6)


def test_too_many_columns_are_left_in_their_blocks():
    shapes = {f"s{i}": (1, 1, 16) for i in range(3)}
    hessian = np.diag(np.arange(1.0, 97.0))
    found = arrow.inverse(quadratic(hessian), np.zeros(96), np.zeros(96), shapes)
    np.testing.assert_allclose(found(np.ones(96)), 1 / np.arange(1.0, 97.0), rtol=1e-6)


def test_the_curvature_where_the_ascent_is_makes_it_short():
    """Condition number 1e7: without it, not there after hundreds of steps."""
    scale = np.tile(10.0 ** np.linspace(-1.9, 5.1, 40), 2)
    inverse = lambda evaluate, x, slope: arrow.inverse(evaluate, x, slope, {"a": (1, 1, 40)})  # noqa: E731

    def steps(*more):
        seen = []
        on_step = lambda *told: seen.append(told)  # noqa: E731
        affordable = lambda: len(seen) < 300  # noqa: E731
        x = 1.0 / np.sqrt(scale)
        reached = ascent.climb(quadratic(np.diag(scale)), x, ascent.Memory(*more), 1e-6, True, on_step, affordable)
        return reached, len(seen)

    short, long = steps(inverse), steps()
    assert short[0].converged and short[1] <= ascent.FIRST + 3 < long[1]


@functools.cache
def at_mode(name: str):
    p = problem(name)
    return p, mode.find(p, start_of(p)).thetas


@pytest.mark.parametrize("name", ["nbdm-canonical", "nbvcp-mean_odds-eta", "zinbvcp-mean_disp"])
def test_value_and_slope_are_those_of_the_stochastic_elbo_with_the_same_draws(name):
    p, start = at_mode(name)
    object.__setattr__(p, "halves", None)  # draw by draw
    elbo = deterministic.Elbo(p, start)
    x = 0.1 * np.random.default_rng(0).normal(size=elbo.size)
    draws = elbo.draws(16, 5)
    value, slope = elbo(draws, x)
    assert len(draws) == 2 and elbo.gradients == len(start) + 32
    pairs = jax.tree.map(lambda *parts: jnp.concatenate(parts), *draws)

    def reference(x):
        params = elbo.params(x)
        each = jax.lax.map(lambda eps: svi._negative_elbo(p, svi.GUIDE, params, eps, p.facts, p.stats), pairs)
        return -each.mean()

    theirs, of_theirs = jax.jit(jax.value_and_grad(reference))(jnp.asarray(x))
    assert value == pytest.approx(float(theirs), rel=1e-12)
    np.testing.assert_allclose(slope, of_theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["nbdm-canonical", "nbvcp-mean_odds-eta"])
def test_it_ends_where_many_fresh_draws_say_too(name):
    """The best guide for 512 other draws, which have an error of their own, is a few times what is allowed away."""
    p, start = at_mode(name)
    ended = deterministic.fit(p, start, 42)
    assert not ended.why and ended.decrement < deterministic.TOLERANCE
    elbo = deterministic.Elbo(p, start)
    allowed = standardised.bearable(elbo.size)
    assert ended.shortfall < allowed and len(ended.losses) < 100
    best = ascent.climb(functools.partial(elbo, elbo.draws(256, 7)), np.zeros(elbo.size), ascent.Memory(), 1e-3, False, lambda *_: None, lambda: True)
    apart = jax.tree.map(lambda a, b: np.asarray(a - b), ended.params, elbo.params(best.x))
    sds = jax.tree.map(np.exp, ended.params["log_sd"])
    assert best.converged
    # a nat lost is a distance of sqrt(2) sds in all
    lost = sum((0.5 * (apart["loc"][n] / sds[n]) ** 2 + apart["log_sd"][n] ** 2).sum() for n in sds)
    assert lost < 4 * allowed


def test_a_scale_that_is_wrong_by_e_ends_in_the_same_guide():
    p = problem("nbvcp-mean_odds-eta")
    start = start_of(p)
    wrong = start | {"mu_unconstrained": start["mu_unconstrained"] + 1.0, "phi_unconstrained": start["phi_unconstrained"] - 1.0}
    one, other = (svi.fit(p, at, svi.Options()).params for at in (start, wrong))
    for site, log_sd in one["log_sd"].items():
        np.testing.assert_allclose(one["loc"][site], other["loc"][site], atol=0.05 * np.exp(log_sd).max())
        np.testing.assert_allclose(log_sd, other["log_sd"][site], atol=0.05)


def test_there_is_no_chance_in_it():
    p, _ = at_mode("nbdm-canonical")
    one, two = (svi.fit(p, start_of(p), svi.Options()) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    assert one.optimiser == "lbfgs" and np.isfinite(one.losses).all()


def test_where_it_gives_up_adam_goes_on_from_there(monkeypatch):
    """To the place that it reaches alone."""
    p, _ = at_mode("nbdm-canonical")
    monkeypatch.setattr(deterministic, "_affordable", lambda problem: 1)
    fallen, asked = (svi.fit(p, start_of(p), svi.Options(stochastic=s)) for s in (False, True))
    assert fallen.optimiser == "lbfgs, then adam" and "gradients" in fallen.given_up
    assert asked.optimiser == "adam" and not asked.given_up and not asked.figures
    for site, log_sd in asked.params["log_sd"].items():
        assert (np.abs(fallen.params["loc"][site] - asked.params["loc"][site]) < 0.1 * np.exp(log_sd)).all()
        np.testing.assert_allclose(fallen.params["log_sd"][site], log_sd, atol=0.1)


def test_adam_is_given_what_has_been_reached(monkeypatch):
    p, _ = at_mode("nbdm-canonical")
    reached, given = deterministic.fit(p, start_of(p), 3), []
    monkeypatch.setattr(deterministic, "fit", lambda *_: dataclasses.replace(reached, why="few draws"))
    monkeypatch.setattr(svi, "_optimise", lambda problem, base, *_: given.append(base) or svi.Fitted(base, None, *np.zeros((2, 1)), True, 0, 0))
    assert svi.fit(p, start_of(p), svi.Options()).given_up == "few draws" and given == [reached.params]


@pytest.mark.parametrize("adam_moves", [True, False])
def test_the_better_of_both_ends_is_kept(monkeypatch, adam_moves):
    p, _ = at_mode("nbdm-canonical")
    good = deterministic.fit(p, start_of(p), 3)
    spoiled = good.params | {"loc": {site: v + 0.5 for site, v in good.params["loc"].items()}}
    ended, end_of_adam = (good.params, spoiled) if adam_moves else (spoiled, good.params)
    monkeypatch.setattr(deterministic, "fit", lambda *_: dataclasses.replace(good, params=ended, why="few draws"))
    monkeypatch.setattr(svi, "_optimise", lambda *_: svi.Fitted(end_of_adam, None, *np.zeros((2, 1)), True, 0, 0))
    found = svi.fit(p, start_of(p), svi.Options())
    assert found.params is good.params and found.given_up == "few draws" and found.converged
    # what is told is of the guide that is kept
    if adam_moves:
        assert found.optimiser == "lbfgs" and found.gain == good.decrement and found.losses is good.losses
    else:
        assert found.optimiser == "lbfgs, then adam" and len(found.losses) == 1


def test_where_no_more_draws_are_to_be_had_the_last_nats_are_still_gained(monkeypatch):
    """Only then is it told what is lost for want of draws; with an allowance that lets no more be taken."""
    p, _ = at_mode("nbdm-canonical")
    climb, seen = deterministic.ascent.climb, []
    monkeypatch.setattr(deterministic.ascent, "climb", lambda *args: seen.append(args[3:5]) or climb(*args))
    monkeypatch.setattr(deterministic, "_shortfall", lambda *_: 9.0 if len(seen) == 1 else lost)
    monkeypatch.setattr(type(p.spec), "hierarchical", True)
    monkeypatch.setattr(deterministic, "STEPS", 10**6)
    for lost, why in ((0.0, ""), (8.0, "too few")):
        seen.clear()
        found = deterministic.fit(p, start_of(p), 3)
        assert [rough for _, rough in seen] == [True, False] and why in found.why and bool(found.why) == bool(why)
        assert found.shortfall == lost and seen[1][0] == deterministic.TOLERANCE


def test_what_fills_up_is_not_read():
    p, _ = at_mode("nbdm-canonical")
    filled = p.stats["tails"]["factors"]["n"]
    assert counts.filling(p.stats["tails"]) == 5 * (filled == 0).sum() > 0
    assert counts.filling(None) == 0


def test_gradients_are_bounded_by_what_their_sums_read():
    of = lambda halves=None, **stats: deterministic._affordable(SimpleNamespace(stats=stats, halves=halves))  # noqa: E731
    assert of(a=np.zeros(5)) == deterministic.MOST
    assert of(a=np.zeros(10), b=np.broadcast_to(0.0, (10**5, 10**5))) == deterministic.FEWEST
    counts = np.broadcast_to(0.0, (10**5,))
    assert of(a=counts) == 5_000 and of("two", a=counts) == deterministic.MOST
    assert of("two", b=np.broadcast_to(0.0, (10**5, 10**5))) == deterministic.FEWEST_OF_HALVES


def test_an_elbo_that_is_not_finite_at_the_start_is_given_up(monkeypatch):
    p, start = at_mode("nbdm-canonical")
    monkeypatch.setattr(deterministic, "_add", lambda problem, unravel, x, *_: (jnp.nan, jnp.full_like(x, jnp.nan)))
    assert "not finite" in deterministic.fit(p, start, 0).why


@pytest.mark.parametrize(
    "key, value, adam",
    [
        ("svi.n_steps", 500, True),
        ("svi.batch_size", 10**6, True),
        ("svi.learning_rate", 0.1, True),
        ("svi.n_samples", 20, False),
        ("seed", 1, False),
    ],
)
def test_three_keys_of_a_recipe_choose_the_stochastic_optimiser(key, value, adam):
    assert inference.svi_options(config.load("nbvcp", {key: value})).by_adam == adam


def test_giving_up_is_said_and_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(deterministic, "_affordable", lambda problem: 1)
    source, out = fits.h5ad(tmp_path), tmp_path / "out"
    settings = ["svi.n_samples=40", "output.ppc_samples=2"]
    assert main(["fit", str(source.path), "--recipe", "nbdm", "-o", str(out), *(w for s in settings for w in ("--set", s))]) == 0
    assert "the deterministic optimiser has given up" in capsys.readouterr().err
    metrics = load(out).metrics
    assert metrics["optimiser"] == "lbfgs, then adam" and metrics["guide_gradients"] > 1 and metrics["n_steps"] >= 1000
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "the stochastic optimiser" in page and "Over the last quarter" in page


FOUND = {"converged": True, "optimiser": "lbfgs", "n_steps": 13, "mode_steps": 6, "mode_decrement": 3.0}
FOUND |= {"guide_draws": 16, "guide_decrement": 0.004, "guide_shortfall": 0.12}


def test_the_report_says_what_is_left_and_what_is_lost():
    said = verdict._svi(FOUND)
    assert "in 6 steps" in said and "in 13 steps on the ELBO of 16 fixed draws" in said and "0.004" in said and "0.12" in said
    assert not findings.of_svi(FOUND, 10)
    assert "mode has not been found after 6 steps (3 nats" in findings.of_svi(FOUND | {"converged": False}, 10)["not_converged"]
    hierarchy = {name: v for name, v in FOUND.items() if not name.startswith("mode_")}
    for found in (FOUND | {"mode_decrement": 1e-6}, hierarchy):
        said = findings.of_svi(found | {"converged": False}, 10)["not_converged"]
        assert "0.004 nats are left, 0.12 are lost" in said and "Adam's steps from there gained nothing" in said
