"""The Laplace guide from a recipe to its results: the same draws again, spreads as its laws say, a better place than the mode."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
import xarray

from scribe_cli import load
from scribe_cli.cli.main import main
from scribe_cli.core.inference import standardised, svi, whitening
from scribe_cli.errors import NumericalError
from scribe_cli.run.fitting import findings
from tests import fits
from tests.test_whitening import at_mode, problem_of

LAPLACE = svi.Options(guide="laplace")


class Problem:
    """What the guide asks of one, but for its log joint: no data, no padding."""

    facts, stats = None, None

    @staticmethod
    def weights(values):
        return jax.tree.map(np.ones_like, values)


@functools.cache
def fitted(name):
    problem, start = problem_of(name)
    return problem, svi.fit(problem, start, LAPLACE)


def elbo(problem, params) -> float:
    ended = svi.Fitted(params, None, np.zeros(1), np.zeros(1), True, 0.0, 0.0)
    return svi._elbo(problem, ended, LAPLACE)[0]


@pytest.mark.parametrize("name", ["nbvcp_mean_odds_human", "zinb_mean_odds_free"])
def test_its_middle_is_better_than_the_mode_and_its_form_than_independence(name):
    problem, found = fitted(name)
    params = found.params
    assert found.converged and found.gain < 1.0 and found.mode.decrement < 1e-3 and len(found.losses) == found.mode.steps
    at_mode_itself = params | {"loc": found.mode.thetas}
    alone = {"loc": params["loc"], "log_sd": jax.tree.map(lambda v: v, params["log_sd"])}
    assert elbo(problem, params) > elbo(problem, at_mode_itself) - 0.02
    if name.startswith("zinb"):  # gates and means are told apart badly
        assert elbo(problem, params) > elbo(problem, alone)


def test_the_middle_stays_where_the_posterior_is_normal():
    """A log density without third derivatives: its mode is its mean."""
    problem, params, hessian = at_mode("nbdm_anchor_mean_disp")
    flat = {site: np.zeros_like(v) for site, v in params["loc"].items()}
    order = sorted(flat)

    class Quadratic(Problem):
        @staticmethod
        def log_joint(thetas, facts, stats):
            x = jax.numpy.concatenate([(thetas[site] - params["loc"][site]).ravel() for site in order])
            return -0.5 * x @ hessian @ x

    found = whitening.centred(Quadratic, params)
    assert found.left < whitening.MIDDLE and found.lost < 1e-9 and max(v.max() for v in found.misfit.values()) < svi.FAR
    for site in order:
        np.testing.assert_allclose(found.params["loc"][site], params["loc"][site], atol=1e-9)


def falling(steepness):
    """(a problem, its Laplace guide): elements flat to one side, that fall off to the other as steeply as each is told."""

    class Falling(Problem):
        @staticmethod
        def log_joint(thetas, facts, stats):
            x = thetas["x"].ravel()
            return -jax.numpy.sum(x**2 / 8.0 + jax.numpy.exp(-steepness * x))

    x = np.zeros(len(steepness))
    for _ in range(100):
        fall = np.exp(-steepness * x)
        bend = 0.25 + steepness**2 * fall
        x = x + (steepness * fall - x / 4.0) / bend
    at = lambda v: {"x": jax.numpy.asarray(v).reshape(1, 1, -1)}  # noqa: E731
    return Falling, {"loc": at(x), "log_sd": at(-0.5 * np.log(bend))}


def test_an_element_that_falls_off_steeply_does_not_hold_the_others_back():
    """Around its mode its curvature is, on average, hundreds of times that at the mode, for which the guide has its spread."""
    plain = np.linspace(0.3, 1.5, 40)
    steep = plain.copy()
    steep[7] = 4.5
    found, alone = (whitening.centred(*falling(v)) for v in (steep, plain))
    assert found.left < whitening.MIDDLE and alone.left < whitening.MIDDLE
    others, sd = np.arange(40) != 7, np.exp(alone.params["log_sd"]["x"].ravel())
    moved = np.abs(found.params["loc"]["x"] - alone.params["loc"]["x"]).ravel() / sd
    assert moved[others].max() < 0.1
    assert found.misfit["x"].argmax() == 7 and found.misfit["x"].max() > svi.FAR  # no Normal with the curvature of the mode will do for it


def falling_together(steepness):
    """(a problem, its Laplace guide, variance of the sums): each element is three sites, whose sum falls off to one side."""
    names = ("x", "y", "z")

    class Falling(Problem):
        @staticmethod
        def log_joint(thetas, facts, stats):
            each = jax.numpy.concatenate([thetas[name].reshape(1, -1) for name in names])
            return -jax.numpy.sum(each**2) / 8.0 - jax.numpy.sum(jax.numpy.exp(-steepness * each.sum(0)))

    mode = highest_sum(steepness, 0.0)
    bend = np.eye(3) / 4.0 + (steepness**2 * np.exp(-steepness * mode))[:, None, None]
    at = lambda v: jax.numpy.asarray(v).reshape(1, 1, -1)  # noqa: E731
    products = {name: np.stack([at(bend[:, i, j]) for j in range(3)]) for i, name in enumerate(names)}
    return Falling, {"loc": {name: at(mode / 3.0) for name in names}} | whitening.blocks(products), np.linalg.inv(bend).sum((1, 2))


def highest_sum(steepness, variance):
    """Of -t^2 / 24 - E[e^(-steepness (t + z))], z of this variance."""
    t = np.zeros(len(steepness))
    for _ in range(200):
        fall = np.exp(-steepness * t + steepness**2 * variance / 2.0)
        t = t + (steepness * fall - t / 12.0) / (1.0 / 12.0 + steepness**2 * fall)
    return t


@pytest.mark.parametrize("costly", [True, False])
def test_what_is_lost_for_want_of_draws_is_told_and_more_are_taken_where_they_cost_little(monkeypatch, costly):
    """Against the ELBO itself, whose E[e^(-s x)] is e^(-s m + s^2 v / 2)."""
    monkeypatch.setattr(whitening, "MOST", 0 if costly else 60_000)
    steepness = np.linspace(0.3, 1.0, 300)
    problem, params, variance = falling_together(steepness)
    found = whitening.centred(problem, params)
    elbo = lambda m: -(m**2).sum() / 8.0 - np.exp(-steepness * m.sum(0) + steepness**2 * variance / 2.0).sum()  # noqa: E731
    middle = np.stack([np.ravel(v) for v in found.params["loc"].values()])
    lost = elbo(np.tile(highest_sum(steepness, variance) / 3.0, (3, 1))) - elbo(middle)
    assert 0.5 < found.lost / lost < 2.0 and found.left < whitening.MIDDLE
    assert (found.draws == 16 and lost > standardised.bearable(900)) if costly else (found.draws > 16 and lost < standardised.bearable(900))


def test_what_is_far_from_a_normal_is_named():
    found = {"converged": True, "not_normal_k_off": 62, "not_normal_burst_size": 6, "not_normal_mu": 0}
    assert "k_off of 62 genes and burst_size of 6 genes;" in findings.of_svi(found, 200)["guide_not_normal"]
    assert not findings.of_svi(found, 2000) and not findings.of_svi({"converged": True}, 200)


def test_a_density_that_is_not_finite_around_the_mode_is_an_error():
    _, params, _ = at_mode("nbdm_anchor_mean_disp")

    class Nowhere(Problem):
        @staticmethod
        def log_joint(thetas, facts, stats):
            return sum(v.sum() for v in thetas.values()) * np.nan

    with pytest.raises(NumericalError, match="mean_field"):
        whitening.centred(Nowhere, params)


def test_from_a_recipe_to_its_results(tmp_path, capsys):
    source, out = fits.h5ad(tmp_path), tmp_path / "out"
    settings = ["guide.family=laplace", "svi.n_samples=40", "output.ppc_samples=2", "output.unconstrained=true"]
    gate = ["--fail-on", "not_normal_gate>99"]
    words = ["fit", source.path, "--recipe", "zinb", "-o", out, *gate, *(w for s in settings for w in ("--set", s))]
    assert main([*map(str, words)]) == 0
    result = load(out)
    assert result.stored.guide["family"] == "laplace" and result.metrics["optimiser"] == "newton"
    assert result.metrics["converged"] and result.metrics["n_steps"] == result.metrics["mode_steps"]
    assert {"not_normal_gate", "not_normal_mu"} == {name for name in result.metrics if name.startswith("not_normal_")}
    assert main(["sample", str(out), "-n", "40", "-o", str(tmp_path / "s.zarr"), "-q"]) == 0
    with xarray.open_datatree(tmp_path / "s.zarr", engine="zarr") as again, xarray.open_datatree(out / "posterior.zarr", engine="zarr") as own:
        for name in ("mu", "gate", "phi"):
            np.testing.assert_allclose(again["posterior"][name], own["posterior"][name], rtol=1e-6)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "moving the guide on from where it is would gain" in page and "steps of the guide" not in page
    assert "search for the mode" in page and "last quarter" not in page
    laws, draws = result.get_distributions(), result.get_posterior_samples(4000)
    theta = np.log(draws["mu"])
    np.testing.assert_allclose(theta.std(0), np.asarray(laws["mu"].base_dist.scale), rtol=0.1)
