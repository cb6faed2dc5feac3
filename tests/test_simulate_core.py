"""Simulated counts against the law they come from, and their independence of how they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import vstack
from scipy.stats import binom, nbinom

import zoo
from scribe_cli.core import simulate
from scribe_cli.core.analysis import layers, sampling
from scribe_cli.core.facts import Facts
from scribe_cli.core.model import program
from scribe_cli.errors import NumericalError
from tests.test_predictive import plain

FLAGS = {"nbdm": (False, False), "nbvcp": (True, False), "zinb": (False, True), "zinbvcp": (True, True)}
N_CELLS, N_GENES = 3000, 7
FACTS = Facts({"cell": N_CELLS, "gene": N_GENES})
# r small enough for tails of thousands, and large enough for the kernel's own sampler
R = np.array([1e-3, 0.02, 0.3, 1.0, 5.0, 80.0, 2000.0])
GATE = np.array([0.5, 0.1, 0.02, 0.3, 0.1, 0.4, 0.9])


def values(model, rng):
    captured, gated = FLAGS[model]
    nu = rng.choice([0.02, 0.1, 0.7], N_CELLS)
    given = {"r": R, "p": 0.97} | ({"gate": GATE} if gated else {}) | ({"p_capture": nu} if captured else {})
    return given, nu if captured else np.ones(N_CELLS), GATE if gated else 0 * GATE


def collected(simulation, cells=2048, threads=1):
    return vstack([chunk for _, chunk in simulation.counts(cells, threads)], format="csr")


@pytest.mark.parametrize("model", FLAGS)
def test_counts_follow_the_pmf(model):
    """Randomised quantiles are uniform: their bins, gene by gene, within binomial error."""
    rng = np.random.default_rng(1)
    given, nu, gate = values(model, rng)
    u = collected(simulate.from_parameters(zoo.spec(model, "canonical"), FACTS, given, 11)).toarray()
    p_hat = (0.97 * nu / (1 - 0.97 * (1 - nu)))[:, None]
    cdf = lambda k: np.where(k < 0, 0.0, gate + (1 - gate) * nbinom.cdf(k, R, 1 - p_hat))  # noqa: E731
    quantile = cdf(u - 1) + rng.random(u.shape) * (cdf(u) - cdf(u - 1))
    for g in range(N_GENES):
        inside = np.histogram(quantile[:, g], 10, (0, 1))[0]
        tails = binom.cdf(inside, N_CELLS, 0.1), binom.sf(inside - 1, N_CELLS, 0.1)
        assert min(tails[0].min(), tails[1].min()) > 1e-5, (g, inside)
    mean = (1 - gate) * R * 0.97 / 0.03 * nu.mean()
    np.testing.assert_allclose(u.mean(0)[3:], mean[3:], rtol=0.15)


def test_chunks_and_threads_change_nothing_and_the_seed_everything():
    given, _, _ = values("zinbvcp", np.random.default_rng(1))
    spec = zoo.spec("zinbvcp", "canonical")
    simulation = simulate.from_parameters(spec, FACTS, given, 3)
    one, other = collected(simulation, 10_000), collected(simulation, 100)
    assert one.dtype == np.int32 and one.shape == (N_CELLS, N_GENES)
    assert (one != other).nnz == 0 and (one != collected(simulation, 1000, 3)).nnz == 0
    starts = [start for start, _ in simulation.counts(1000)]
    assert starts == [0, 1024, 2048]
    assert (one != collected(simulate.from_parameters(spec, FACTS, given, 4))).nnz > 1000


def test_counts_of_a_cell_do_not_depend_on_how_many_cells_follow():
    spec = zoo.spec("nbdm", "canonical")
    given = {"r": R, "p": 0.5}
    few, many = (simulate.from_parameters(spec, Facts({"cell": n, "gene": N_GENES}), given, 3) for n in (130, 400))
    assert (collected(few) != collected(many)[:130]).nnz == 0


@pytest.mark.parametrize("name", ["zinbvcp-canonical", "nbvcp-mean_odds-eta"])
def test_a_prior_draw_is_its_own_truth(name):
    spec = zoo.SPECS[name]
    facts = simulate.without_data(spec, 40, 6)
    simulation, again = simulate.from_priors(spec, facts, 5), simulate.from_priors(spec, facts, 5)
    truth = {n: t.value for n, t in simulation.truth().items()}
    np.testing.assert_allclose(truth["mu"], truth["r"] / truth["phi"], rtol=1e-9)
    np.testing.assert_allclose(-np.log(truth["p_capture"]), truth["eta_capture"], rtol=1e-9)
    assert truth["p_capture"].shape == (40,) and truth["r"].shape == (6,) and truth["p"].shape == ()
    x = {p.name: zoo.LIFT[p.support](truth[p.name].reshape(_rank3(p.axes))) for p in spec.params}
    natural = program.natural(spec, x)
    back = simulate.from_parameters(spec, facts, {p.name: truth[p.name] for p in spec.params}, 5).natural
    for one in (natural, back):
        np.testing.assert_allclose(one.core["log_r"], simulation.natural.core["log_r"], atol=1e-9)
        np.testing.assert_allclose(one.log_nu, simulation.natural.log_nu, rtol=1e-6)
    np.testing.assert_array_equal(again.natural.core["log_r"], simulation.natural.core["log_r"])


def test_prior_draws_follow_the_priors():
    spec = zoo.spec("nbdm", "mean_odds")
    facts = Facts({"cell": 2, "gene": 20_000})
    first, second = (np.log(simulate.from_priors(spec, facts, seed).truth()["mu"].value) for seed in (0, 1))
    assert abs(first.mean() - 0.5) < 0.1 and abs(first.std() - 3.0) < 0.1  # the zoo's N(0.5, 3)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_without_data_a_library_is_a_twentieth_of_m0():
    facts = simulate.without_data(zoo.spec("nbvcp", "mean_odds", capture="eta_capture"), 3, 2)
    np.testing.assert_allclose(np.exp(facts.arrays["log_library"]), 0.05 * np.exp(9.0))
    assert not simulate.without_data(zoo.spec("nbvcp"), 3, 2).arrays


def test_a_count_too_large_to_store_is_an_error():
    facts = Facts({"cell": 5, "gene": 2})
    given = {"mu": np.full(2, 1e12), "phi": 1e-6}
    simulation = simulate.from_parameters(zoo.spec("nbdm", "mean_odds"), facts, given, 0)
    with pytest.raises(NumericalError, match="the largest that can be stored"):
        collected(simulation)


def test_a_tail_of_rounding_ends():
    """A uniform number above the whole mass, as rounding can make it, still gives a count."""

    class Above:
        def random(self, n):
            return np.full(n, 1.0)

    log_a, logit_p = np.log(np.array([0.5, 1e-3, 3.0])), np.array([0.0, 4.0, -1.0])
    zero = -np.exp(log_a) * np.log1p(np.exp(logit_p))
    law = sampling.Law(zero, np.exp(log_a + logit_p), None, -np.log1p(np.exp(-logit_p)), [np.ones(1)], [log_a])
    counts = sampling._above_zero(None, law, Above())
    assert (counts >= 20).all() and (counts < 1e5).all()


@pytest.mark.parametrize("model", ["zinb", "zinbvcp"])
def test_expected_layer_is_the_mean_over_draws(model):
    rng = np.random.default_rng(0)
    captured, _ = FLAGS[model]
    log_nu = -rng.random((5, 9)) if captured else None
    nu = np.exp(log_nu)[..., None] if captured else np.ones((5, 9, 1))
    p = plain({"log_r": rng.normal(size=(5, 4)), "logit_p": rng.normal(size=(5, 1))}, rng.normal(size=(5, 4)), log_nu)
    gate = 1 / (1 + np.exp(-p.logit_gate))[:, 0]
    want = ((1 - gate) * np.exp(p.core["log_r"] + p.core["logit_p"])[:, 0] * nu).mean(0)
    got = dict(layers.expected_chunks(zoo.spec(model), p, 9, 4))
    assert list(got) == [0, 4, 8]
    np.testing.assert_allclose(np.concatenate(list(got.values())), want, rtol=1e-12)


def _rank3(axes):
    return (1, -1 if "cell" in axes else 1, -1 if "gene" in axes else 1)
