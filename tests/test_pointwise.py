"""Log-likelihoods at given parameters, against scipy and mpmath, and the ways parameters can be given."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import nbinom

from tests import zoo
from scribe_cli.core.analysis import parameters, pointwise
from scribe_cli.core.facts import Facts
from scribe_cli.core.model import program
from scribe_cli.errors import BadData

N_CELLS, N_GENES = 23, 12
FACTS = Facts({"cell": N_CELLS, "gene": N_GENES}, {"log_library": np.full(N_CELLS, 7.0)})
FLAGS = {"nbdm": (False, False), "nbvcp": (True, False), "zinb": (False, True), "zinbvcp": (True, True)}


def extreme_values(seed=0):
    """r 1e-3..1e6, p and gate to their edges, nu to 1, counts to 1e5."""
    rng = np.random.default_rng(seed)
    r = 10.0 ** np.linspace(-3, 6, N_GENES)
    gate = np.concatenate([[1e-12, 1 - 1e-6, 1e-6], rng.uniform(0.01, 0.9, N_GENES - 3)])
    nu = np.append(rng.uniform(1e-3, 1.0, N_CELLS - 1), 1.0)
    u = rng.negative_binomial(0.3, 0.05, (N_CELLS, N_GENES))
    u[0], u[1, ::3], u[2] = 0, 100_000, 1
    return r, gate, nu, u


def oracle(r, p, gate, nu, u):
    """mpmath, one entry at a time, written from MODELS.md 1."""
    mp.mp.dps = 50
    out = np.zeros(u.shape)
    for (c, g), k in np.ndenumerate(u):
        a, q, v = mp.mpf(r[g]), mp.mpf(p), mp.mpf(nu[c])
        q = q * v / (1 - q * (1 - v))
        k = int(k)
        log_f = mp.loggamma(a + k) - mp.loggamma(a) - mp.loggamma(k + 1) + k * mp.log(q) + a * mp.log(1 - q)
        inflation = mp.mpf(gate[g])
        out[c, g] = mp.log(inflation * (k == 0) + (1 - inflation) * mp.exp(log_f))
    return out


def chunks(u, sizes):
    stops = np.cumsum(sizes)
    return [(int(b - n), sp.csr_array(u[b - n : b])) for b, n in zip(stops, sizes, strict=True)]


def given(r, p, gate, nu, *, captured, gated):
    return {"r": r, "p": p} | ({"p_capture": nu} if captured else {}) | ({"gate": gate} if gated else {})


@pytest.mark.parametrize("p", [1e-6, 0.3, 1 - 1e-6])
@pytest.mark.parametrize("model", FLAGS)
def test_score_is_the_exact_log_pmf_at_extreme_values(model, p, monkeypatch):
    monkeypatch.setattr(pointwise, "ENTRIES", 8 * N_GENES)  # several blocks, the last one padded
    captured, gated = FLAGS[model]
    r, gate, nu, u = extreme_values()
    spec = zoo.spec(model, "canonical")
    natural = parameters.natural_of(spec, given(r, p, gate, nu, captured=captured, gated=gated), FACTS)
    scores = pointwise.score(spec, natural, FACTS, chunks(u, [16, 7]))
    want = oracle(r, p, gate if gated else 0 * gate, nu if captured else 0 * nu + 1, u)
    for got, exact in ((scores.cell, want.sum(1)), (scores.gene, want.sum(0)), (scores.total, want.sum())):
        np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-9)


def test_chunks_in_any_order_and_size_give_the_same_score():
    r, gate, nu, u = extreme_values(1)
    spec = zoo.spec("zinbvcp", "canonical")
    natural = parameters.natural_of(spec, given(r, 0.4, gate, nu, captured=True, gated=True), FACTS)
    one = pointwise.score(spec, natural, FACTS, chunks(u, [23]))
    many = pointwise.score(spec, natural, FACTS, chunks(u, [1, 2, 20])[::-1])
    np.testing.assert_array_equal(one.cell, many.cell)
    np.testing.assert_allclose(one.gene, many.gene, rtol=1e-13)


def test_score_agrees_with_scipy_for_a_p_of_each_gene():
    r, _, _, u = extreme_values(2)
    u = np.minimum(u, 50)
    mu = np.linspace(0.1, 20, N_GENES)
    spec = zoo.spec("nbdm", "mean_disp")
    scores = pointwise.score(spec, parameters.natural_of(spec, {"mu": mu, "r": r}, FACTS), FACTS, chunks(u, [23]))
    modest = r <= 1e5
    want = nbinom.logpmf(u, r, r / (mu + r)).sum(0)
    np.testing.assert_allclose(scores.gene[modest], want[modest], rtol=1e-9)


CORES = {"canonical": ("r", "p"), "mean_prob": ("mu", "p"), "mean_odds": ("mu", "phi"), "mean_disp": ("mu", "r")}


@pytest.mark.parametrize("names", CORES.values(), ids=CORES)
@pytest.mark.parametrize("capture", ["p_capture", "phi_capture", "eta_capture"])
@pytest.mark.parametrize("model", ["canonical", "mean_odds"])
def test_every_set_of_names_is_the_same_point(model, names, capture):
    r, gate, nu, _ = extreme_values()
    r, p = np.minimum(r, 1e3), 0.7
    everything = {"r": r, "p": p, "mu": r * p / (1 - p), "phi": (1 - p) / p, "gate": gate}
    everything |= {"p_capture": nu, "phi_capture": 1 / nu - 1, "eta_capture": -np.log(nu)}
    spec = zoo.spec("zinbvcp", model)
    given = {n: everything[n] for n in (*names, "gate", capture)}
    natural = parameters.natural_of(spec, given, FACTS)
    np.testing.assert_allclose(np.exp(natural.core["log_r"][0, 0]), r, rtol=1e-12)
    assert natural.core["logit_p"].shape == (1, 1, 1)
    np.testing.assert_allclose(natural.core["logit_p"], np.log(p / (1 - p)), rtol=1e-12)
    np.testing.assert_allclose(natural.log_nu[0, :, 0], np.log(nu), rtol=1e-12, atol=1e-300)
    back = program.natural(spec, parameters.sampled_of(spec, given, FACTS))
    np.testing.assert_allclose(back.core["log_r"], natural.core["log_r"], rtol=1e-12)
    np.testing.assert_allclose(back.log_nu, natural.log_nu, rtol=1e-12, atol=1e-300)


def test_redundant_names_are_accepted_where_they_agree_and_refused_where_not():
    r, p = np.linspace(0.1, 3, N_GENES), 0.4
    spec = zoo.spec("nbdm", "mean_odds")
    both = {"r": r, "p": np.float32(p), "mu": (r * p / (1 - p)).astype("f4"), "phi": (1 - p) / p}
    natural = parameters.natural_of(spec, both, FACTS)
    np.testing.assert_allclose(np.exp(natural.core["log_r"][0, 0]), r, rtol=1e-6)
    with pytest.raises(BadData, match="r contradicts the others"):
        parameters.natural_of(spec, both | {"r": 2 * r}, FACTS)


GOOD = {"r": np.ones(N_GENES), "p": 0.5, "gate": np.full(N_GENES, 0.1), "p_capture": np.full(N_CELLS, 0.2)}
BAD = {
    "missing core": ({"p": None}, "needed are r, p; or mu, r"),
    "missing gate": ({"gate": None}, "gate is missing"),
    "missing capture": ({"p_capture": None}, "capture parameter .* is missing"),
    "unknown name": ({"gat": GOOD["gate"]}, r'none of that name \(did you mean "gate"'),
    "wrong shape": ({"r": np.ones(N_GENES - 1)}, r"shape \(11,\); this model and these data need \(gene\) = \(12,\)"),
    "scalar wanted": ({"p": np.full(N_GENES, 0.5)}, "need a single number"),
    "negative": ({"r": np.where(np.arange(N_GENES) == 3, -1.0, 1.0)}, r"r\[3\] is -1.0, outside \(0, inf\) \(1 of 12"),
    "infinite": ({"r": np.full(N_GENES, np.inf)}, r"r\[0\] is inf"),
    "not a number": ({"p": float("nan")}, r"p is nan, outside \(0, 1\)"),
    "one": ({"p": 1.0}, r"p is 1.0, outside \(0, 1\)"),
    "text": ({"p": "half"}, "p is not an array of numbers: half"),
    "two captures": ({"phi_capture": np.full(N_CELLS, 9.0)}, "phi_capture contradicts p_capture"),
}


@pytest.mark.parametrize("change, message", BAD.values(), ids=BAD)
def test_bad_parameters_are_refused(change, message):
    values = {k: v for k, v in (GOOD | change).items() if v is not None}
    with pytest.raises(BadData, match=message):
        parameters.natural_of(zoo.spec("zinbvcp", "canonical"), values, FACTS)


def test_a_p_of_each_gene_is_refused_by_a_model_that_shares_it():
    with pytest.raises(BadData, match="imply a p of each gene's own"):
        values = {"mu": np.linspace(1, 2, N_GENES), "r": np.ones(N_GENES)}
        parameters.natural_of(zoo.spec("nbdm", "canonical"), values, FACTS)


def test_no_inflation_and_no_loss_are_legal_ends():
    values = GOOD | {"gate": np.zeros(N_GENES), "p_capture": np.ones(N_CELLS)}
    _, _, _, u = extreme_values()
    spec = zoo.spec("zinbvcp", "canonical")
    scores = pointwise.score(spec, parameters.natural_of(spec, values, FACTS), FACTS, chunks(u, [23]))
    np.testing.assert_allclose(scores.gene, nbinom.logpmf(u, 1.0, 0.5).sum(0), rtol=1e-12)
