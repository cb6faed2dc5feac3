"""NUTS against what is known exactly, in coordinates of its own and on the program of a model."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from scribe_cli.core.facts import Facts
from scribe_cli.core.inference import diagnostics, nuts
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.numerics import lanes
from scribe_cli.core.numerics.counts import pack_tails
from scribe_cli.errors import NumericalError
from tests import zoo

CENTRE, COVARIANCE = np.array([1.0, -2.0, 30.0]), np.array([[1.0, 0.6, 0.0], [0.6, 0.5, -0.2], [0.0, -0.2, 4.0]])
SHORT = nuts.Options(n_warmup=30, n_samples=40, n_chains=2)


def gaussian(thetas, centre, precision):
    x = jnp.concatenate([thetas["a"].ravel(), thetas["b"].ravel()]) - centre
    return -0.5 * x @ precision @ x


def affine(whitened=False):
    return nuts.Affine(
        {"a": jnp.array([[[1.0, -2.0]]]), "b": jnp.array([[[30.0]]])},
        {"a": jnp.array([[[1.0, 0.7]]]), "b": jnp.array([[[2.0]]])},
        whitened=whitened,
    )


def draw(options, on_step=lambda **_: None, log_joint=gaussian, coordinates=None):
    return nuts.sample(log_joint, coordinates or affine(), (CENTRE, np.linalg.inv(COVARIANCE)), options, on_step)


def assert_agree(draws, mean, sd):
    """Mean and spread of draws (chain, draw, ...) within 4 Monte Carlo standard errors, the chains mixed."""
    found = diagnostics.convergence(draws)
    assert found.rhat.max() < 1.01
    assert (np.abs(draws.mean((0, 1)) - mean) < 4 * found.mcse_mean).all()
    squares = (draws - mean) ** 2
    assert (np.abs(squares.mean((0, 1)) - sd**2) < 4 * diagnostics.convergence(squares).mcse_mean).all()


def test_a_gaussian_with_correlation():
    chains = draw(nuts.Options(n_warmup=300, n_samples=1000, n_chains=4))
    assert chains.draws["a"].shape == (4, 1000, 1, 1, 2) and chains.draws["a"].dtype == np.float64
    x = np.concatenate([chains.draws["a"], chains.draws["b"]], -1)[:, :, 0, 0]
    assert_agree(x, CENTRE, np.sqrt(np.diag(COVARIANCE)))
    products = (x[..., 0] - CENTRE[0]) * (x[..., 1] - CENTRE[1])
    assert abs(products.mean() - 0.6) < 4 * diagnostics.convergence(products).mcse_mean


def test_statistics_of_the_sampler():
    chains = draw(SHORT)
    x = np.concatenate([chains.draws["a"], chains.draws["b"]], -1)[:, :, 0, 0] - CENTRE
    s = chains.sample_stats
    np.testing.assert_allclose(s["lp"], -0.5 * np.einsum("...i,ij,...j", x, np.linalg.inv(COVARIANCE), x), rtol=1e-10)
    assert (s["energy"] > -s["lp"]).all() and s["diverging"].dtype == bool and not s["reached_max_treedepth"].any()
    assert (2 ** (s["tree_depth"] - 1) <= s["n_steps"]).all() and (s["n_steps"] < 2 ** s["tree_depth"]).all()
    assert (np.ptp(s["step_size"], axis=1) == 0).all() and len(set(s["step_size"][:, 0])) == 2
    assert set(s) == {
        *("lp", "energy", "acceptance_rate", "n_steps", "tree_depth", "step_size", "diverging", "reached_max_treedepth")
    }


def test_draws_follow_from_the_seed_and_do_not_depend_on_how_many_there_are():
    told = []
    few = draw(nuts.Options(n_warmup=30, n_samples=7, n_chains=1), lambda **step: told.append(step))
    many = draw(SHORT)
    other = draw(nuts.Options(n_warmup=30, n_samples=7, n_chains=1, seed=1))
    np.testing.assert_array_equal(few.draws["a"][0], many.draws["a"][0, :7])
    np.testing.assert_array_equal(few.sample_stats["lp"][0], many.sample_stats["lp"][0, :7])
    assert (few.draws["a"] != other.draws["a"]).all() and (many.draws["a"][0] != many.draws["a"][1]).all()
    assert [(t["phase"], t["chain"], t["draw"], t["step"], t["total"]) for t in told] == [
        ("warm-up", 0, 25, 25, 37),
        ("sample", 0, 37, 37, 37),
    ]
    assert all(0 <= t["accept"] <= 1 and t["divergences"] == 0 for t in told)


def test_chains_share_one_program():
    def traces(n_chains):
        seen = []

        def counted(thetas, *data):
            seen.append(thetas)
            return gaussian(thetas, *data)

        draw(nuts.Options(n_warmup=30, n_samples=40, n_chains=n_chains), log_joint=counted)
        return len(seen)

    assert traces(1) == traces(3)


@functools.partial(jax.tree_util.register_dataclass, data_fields=("scale",), meta_fields=("whitened",))
@dataclass(frozen=True)
class Bent:
    """theta = scale sinh y."""

    scale: jax.Array
    whitened: bool = True

    @property
    def size(self):
        return self.scale.size

    def thetas(self, y):
        return {"a": self.scale * jnp.sinh(y)}, jnp.log(jnp.cosh(y)).sum()


def test_other_coordinates_give_the_same_law():
    told = []
    normal = lambda thetas: -0.5 * (thetas["a"] ** 2).sum()  # noqa: E731
    options = nuts.Options(n_samples=1000, n_chains=2)
    chains = nuts.sample(normal, Bent(jnp.array([1.0, 2.0])), (), options, lambda **step: told.append(step))
    assert_agree(chains.draws["a"], np.zeros(2), np.ones(2))
    np.testing.assert_allclose(chains.sample_stats["lp"], -0.5 * (chains.draws["a"] ** 2).sum(-1), atol=1e-9)
    assert told[0]["total"] == 2 * (300 + 1000)  # what whitened coordinates need by default


def test_a_density_that_is_not_finite_is_named():
    def no_gradient(thetas, *data):
        return gaussian(thetas, *data) + jnp.sqrt(-jnp.abs(thetas["b"])).sum()

    with pytest.raises(NumericalError, match="nan at the start of chain 0: the gradient of b is not finite in 1 of 1"):
        draw(SHORT, log_joint=no_gradient)

    def no_value(thetas, *data):
        return gaussian(thetas, *data) + jnp.log(-jnp.abs(thetas["b"])).sum()

    with pytest.raises(NumericalError, match="is nan at the start of chain 0: every gradient is finite, with a from -"):
        draw(SHORT, log_joint=no_value)

    def without_bound(thetas, *data):
        return jnp.where(thetas["a"][0, 0, 0] > 2.5, jnp.inf, gaussian(thetas, *data))

    with pytest.raises(NumericalError, match=r"log density is inf at draw \d+ of chain \d, warm-up counted"):
        draw(nuts.Options(n_warmup=200, n_samples=200, n_chains=2), log_joint=without_bound)


def test_the_posterior_of_p_given_r_is_its_beta():
    """p ~ Beta(2, 5) and NB(r, p) counts, r known: Beta(2 + sum of counts, 5 + cells x sum of r)."""
    u = np.random.default_rng(5).negative_binomial(2.0, 0.4, (12, 7))
    r = np.linspace(0.5, 4.0, 7)
    fixed = {"r_unconstrained": np.log(r).reshape(1, 1, 7)}
    joint = zoo.joint("nbdm-canonical", "histogram")
    one = jnp.zeros((1, 1, 1))
    coordinates = nuts.Affine({"p_unconstrained": one}, {"p_unconstrained": one + 0.2})
    chains = nuts.sample(
        lambda thetas, facts, stats: joint(thetas | fixed, facts, stats),
        coordinates,
        (zoo.facts(), {"tails": pack_tails(*zoo.histogram(u), *u.shape)}),
        nuts.Options(n_warmup=300, n_samples=1000, n_chains=4),
    )
    law = stats.beta(2 + u.sum(), 5 + 12 * r.sum())
    assert_agree(expit(chains.draws["p_unconstrained"]), law.mean(), law.std())


@functools.cache
def one_gene():
    """(problem, counts) of one gene: mean_odds, nothing but its mean and its odds."""
    u = np.random.default_rng(2).negative_binomial(1.2, 0.3, (60, 1))
    facts = Facts({"cell": 60, "gene": 1}, {})
    stats_ = jax.tree.map(jnp.asarray, {"tails": pack_tails(*zoo.histogram(u), *u.shape)})
    return Problem(zoo.SPECS["nbdm-mean_odds"], lanes.load()["histogram"], facts, stats_, facts), u


def by_grid(u):
    """Means and sds of log mu and log phi, from a grid: mu ~ LogNormal(.5, 3), phi = (1-p)/p with p ~ Beta(2, 5)."""
    log_mu, log_phi = np.meshgrid(np.linspace(-1, 4, 200), np.linspace(-4, 4, 200), indexing="ij")
    r, p = np.exp(log_mu + log_phi), expit(-log_phi)
    value, n = np.unique(u, return_counts=True)
    log_w = (stats.nbinom.logpmf(value, r[..., None], 1 - p[..., None]) * n).sum(-1)
    log_w += stats.norm(0.5, 3).logpdf(log_mu) + stats.beta(2, 5).logpdf(p) + np.log(p) + np.log1p(-p)
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    means = [(w * x).sum() for x in (log_mu, log_phi)]
    return means, [np.sqrt((w * (x - m) ** 2).sum()) for x, m in zip((log_mu, log_phi), means, strict=True)]


def test_one_gene_against_a_grid():
    problem, u = one_gene()
    start = {f"{name}_unconstrained": jnp.zeros((1, 1, 1)) for name in ("mu", "phi")}
    phases = []
    chains = nuts.fit(problem, start, nuts.Options(n_samples=4000), lambda phase, **_: phases.append(phase))
    assert phases[0] == "mode" and {"warm-up", "sample"} < set(phases)
    means, sds = by_grid(u)
    for name, mean, sd in zip(("mu", "phi"), means, sds, strict=True):
        assert_agree(chains.draws[f"{name}_unconstrained"], mean, sd)
    posterior, found = nuts.posterior(problem, chains)
    assert posterior.sample_dims == ("chain", "draw") and posterior.map_kind == "lifted_mean"
    assert posterior.point["mu"].item() == pytest.approx(chains.draws["mu_unconstrained"].mean())
    assert set(found) == {"r", "p", "mu", "phi"} and found["r"].rhat.shape == (1,) and found["r"].axes == ("gene",)
    assert posterior.diagnostics["converged"]
    assert posterior.diagnostics["rhat"] == max(c.rhat.max() for c in found.values())
    ratio = diagnostics.prior_ratio(posterior)
    assert ratio["mu"] == pytest.approx(sds[0] / 3.0, rel=0.1)


def test_without_svi_init_the_chains_start_around_the_start():
    problem, u = one_gene()
    phases = []
    start = {f"{name}_unconstrained": jnp.full((1, 1, 1), 0.5) for name in ("mu", "phi")}
    options = nuts.Options(n_samples=1000, n_chains=1, svi_init=False)
    chains = nuts.fit(problem, start, options, lambda phase, **_: phases.append(phase))
    assert set(phases) == {"warm-up", "sample"}
    assert_agree(chains.draws["mu_unconstrained"], *(x[0] for x in by_grid(u)))


def test_cells_that_share_rows_are_refused():
    problem, _ = one_gene()
    shared = Problem(problem.spec, problem.lane, problem.facts, problem.stats, problem.cells, np.zeros(60, int))
    with pytest.raises(ValueError, match="row of its own"):
        nuts.fit(shared, {}, SHORT)
