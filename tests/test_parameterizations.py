"""Parameterizations: there and back, one likelihood for all, and formulas that read what they say."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from scribe_cli.core.model import derive, parameterizations
from scribe_cli.core.model.capture import COORDINATES
from scribe_cli.core.numerics import kernels
from scribe_cli.core.model.supports import SUPPORTS
from tests import zoo

MEMBERS = parameterizations.members()
each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)

R = 10.0 ** np.linspace(-3, 6, zoo.N_GENES).reshape(1, 1, -1)
P = np.array([1e-6, 0.02, 0.3, 0.5, 0.8, 0.99, 1 - 1e-6]).reshape(1, 1, -1)
ALPHA = 10.0 ** np.linspace(-4, 1.3, zoo.N_GENES).reshape(1, 1, -1)
BETA = np.array([2.0, 0.02, 1e3, 0.5, 1e5, 30.0, 0.02]).reshape(1, 1, -1)
RATE = np.array([0.01, 3e4, 40.0, 7.0, 1e4, 2e3, 0.3]).reshape(1, 1, -1)
LIFT = {"unit": lambda v: np.log(v) - np.log1p(-v), "positive": np.log}

MEAN, BURST = ("mu", "mean", "positive"), ("burst_size", "burst", "positive")
FANO = ("excess_fano", "burst", "positive")
TWO_STATE = {
    "two_state_natural": (MEAN, BURST, ("k_off", "switching", "positive")),
    "two_state_ratio": (MEAN, BURST, ("switching_ratio", "switching", "positive")),
    "two_state_mean_fano": (MEAN, FANO, ("concentration", "switching", "positive")),
    "two_state_moment_delta": (MEAN, FANO, ("inv_concentration", "switching", "unit")),
}


def two_state_values(alpha, beta, rate) -> dict:
    """Every parameter of a two-state model in its natural domain, from MODELS.md 2."""
    total = alpha + beta
    return {
        "mu": rate * alpha / total,
        "alpha": alpha,
        "beta": beta,
        "r_hat": rate,
        "k_on": alpha,
        "k_off": beta,
        "burst_size": rate / total,
        "switching_ratio": beta / alpha,
        "concentration": total,
        "inv_concentration": 1 / (total + 1),
        "excess_fano": rate * beta / (total * (total + 1)),
    }


# kernel: (named values at one point, natural coordinates of it), by the table of MODELS.md 2
POINTS = {
    "negative_binomial": (
        zoo.named_values(R, P, gate=P, nu=P),
        {"log_r": np.log(R), "logit_p": LIFT["unit"](P)},
    ),
    "two_state": (
        two_state_values(ALPHA, BETA, RATE),
        {"log_alpha": np.log(ALPHA), "log_beta": np.log(BETA), "log_rate": np.log(RATE)},
    ),
}


def log_scale(member):
    """{sampled name: log-scale value} at the one point of the kernel."""
    values, _ = POINTS[member.kernel]
    return {name: jnp.asarray(LIFT[support](values[name])) for name, _, support in member.samples}


def test_the_table_is_that_of_the_models():
    two_state = {name: (samples, "p_capture") for name, samples in TWO_STATE.items()}
    assert {n: (m.samples, m.capture) for n, m in MEMBERS.items()} == zoo.PARAMETERIZATIONS | two_state
    assert {n for n, m in MEMBERS.items() if m.kernel == "two_state"} == set(two_state)
    aliases = {"standard": "canonical", "linked": "mean_prob", "odds_ratio": "mean_odds"}
    aliases |= {n.removeprefix("two_state_"): n for n in TWO_STATE}
    aliases |= {"fano": "two_state_mean_fano", "delta": "two_state_moment_delta"}
    assert {a: m.name for m in MEMBERS.values() for a in m.aliases} == aliases
    for spelling, name in (aliases | {n: n for n in MEMBERS}).items():
        assert parameterizations.canonical_name(spelling) == name
    assert parameterizations.canonical_name("mean") is None


@each_member
def test_natural_coordinates_of_the_one_point(member):
    """Whatever is sampled, the kernel sees the same point: so all are one likelihood."""
    x, (_, point) = log_scale(member), POINTS[member.kernel]
    assert set(member.natural) == set(kernels.load(member.kernel).coords)
    for coordinate, expected in point.items():
        np.testing.assert_allclose(member.natural[coordinate](x), expected, rtol=1e-9, atol=1e-9)


@each_member
def test_inverse_is_identity(member):
    x = log_scale(member)
    point = {coordinate: formula(x) for coordinate, formula in member.natural.items()}
    for name, _, support in member.samples:
        stated, formula = derive.REPORTED[member.kernel][name]
        assert stated == support
        np.testing.assert_allclose(formula(point), x[name], rtol=1e-12, atol=1e-12)


@each_member
def test_formulas_read_exactly_their_inputs(member):
    x = log_scale(member)
    for formula in member.natural.values():
        assert set(formula.inputs) <= set(x)
        for name in formula.inputs:
            moved = formula(x | {name: x[name] + 0.1})
            assert (np.asarray(moved) != np.asarray(formula(x))).all()
        only = {name: x[name] for name in formula.inputs}
        np.testing.assert_array_equal(formula(only), formula(x))


@pytest.mark.parametrize("kernel", derive.REPORTED)
def test_reported_formulas_read_exactly_their_inputs(kernel):
    point = {c: jnp.array([0.3, -2.0]) for c in kernels.load(kernel).coords}
    for _, formula in derive.REPORTED[kernel].values():
        assert set(formula.inputs) <= set(point)
        for name in formula.inputs:
            assert (np.asarray(formula(point | {name: point[name] + 0.1})) != np.asarray(formula(point))).all()


@pytest.mark.parametrize("name", zoo.SPECS)
def test_reported_values_are_those_of_the_table(name):
    """derive.values at one point, sampled and derived alike, with the axes of their inputs."""
    thetas, expected, spec = zoo.thetas(name), zoo.values(name), zoo.SPECS[name]
    found = derive.values(spec, zoo.log_values(name, thetas))
    rows = {row.name: row for row in derive.reported(spec)}
    assert set(rows) == set(found)
    captured = {"p_capture", "phi_capture", "eta_capture"} if spec.capture else set()
    assert set(rows) == {"r", "p", "mu", "phi"} | captured | ({"gate"} if spec.gated else set())
    for key, row in rows.items():
        assert np.shape(found[key]) == tuple(zoo.SIZES.get(a, 1) for a in _slots(row.axes))
        np.testing.assert_allclose(*np.broadcast_arrays(found[key], expected[key]), rtol=1e-9)
        assert row.sampled == (key in {q.name for q in spec.params})
        if row.sampled:
            lifted = SUPPORTS[row.support].from_log(zoo.log_values(name, thetas)[key])
            np.testing.assert_allclose(lifted, thetas[f"{key}_unconstrained"], rtol=1e-12)


def _slots(axes):
    return (None, "cell" if "cell" in axes else None, "gene" if "gene" in axes else None)


def test_draws_are_kept_of_one_capture_coordinate():
    """The sampled one, and p_capture where that is eta_capture (CONTRACT 3)."""
    sampled = {"nbvcp-canonical": "p_capture", "nbvcp-mean_odds": "phi_capture", "nbvcp-mean_odds-eta": "p_capture"}
    for name, kept in sampled.items():
        rows = [row for row in derive.reported(zoo.SPECS[name]) if row.name.endswith("_capture")]
        assert {row.name: row.stored for row in rows} == {n: n == kept for n in COORDINATES}


NU = np.array([1e-12, 1e-5, 0.013, 0.4, 0.9, 1 - 1e-6])
CAPTURE = {
    "p_capture": LIFT["unit"](NU),
    "phi_capture": np.log((1 - NU) / NU),
    "eta_capture": np.log(-np.log(NU)),
}


@pytest.mark.parametrize("name", CAPTURE)
def test_capture_coordinates_are_one_number(name):
    coordinate = COORDINATES[name]
    np.testing.assert_allclose(coordinate.to_log_nu(jnp.asarray(CAPTURE[name])), np.log(NU), rtol=1e-9)
    np.testing.assert_allclose(coordinate.from_log_nu(jnp.asarray(np.log(NU))), CAPTURE[name], rtol=1e-9)
    far = jnp.array([-300.0, -40.0, 5.0, 40.0])
    there = np.asarray(coordinate.to_log_nu(far))
    assert np.isfinite(there).all() and (there <= 0).all()


@pytest.mark.parametrize("name", SUPPORTS)
def test_supports_go_there_and_back(name):
    support = SUPPORTS[name]
    theta = jnp.linspace(-8.0, 8.0, 24).reshape(2, 3, 4)
    x = support.to_log(theta)
    np.testing.assert_allclose(support.from_log(x), theta, rtol=1e-10)
    np.testing.assert_allclose(support.from_value(support.value(x)), x, rtol=1e-10, atol=1e-12)


def test_supports_by_numpy():
    theta = jnp.linspace(-6.0, 6.0, 13)
    names = ("positive", "positive_softplus", "unit", "real")
    value = {n: np.asarray(SUPPORTS[n].value(SUPPORTS[n].to_log(theta))) for n in names}
    np.testing.assert_allclose(value["positive"], np.exp(theta), rtol=1e-14)
    np.testing.assert_allclose(value["positive_softplus"], np.log1p(np.exp(theta)), rtol=1e-14)
    np.testing.assert_allclose(value["unit"], expit(theta), rtol=1e-14)
    np.testing.assert_array_equal(value["real"], theta)
    log_ratio = np.log([[0.2 / 0.5], [0.3 / 0.5]]).reshape(2, 1, 1)
    weights = SUPPORTS["simplex"].value(SUPPORTS["simplex"].to_log(jnp.asarray(log_ratio)))
    np.testing.assert_allclose(np.ravel(weights), [0.2, 0.3, 0.5], rtol=1e-14)


@pytest.mark.parametrize("theta", [-700.0, -60.0, -30.0, 30.0, 700.0])
def test_softplus_keeps_its_digits_at_both_ends(theta):
    """log softplus(theta) is theta far left, log theta far right; the way back as exactly as the value allows."""
    support = SUPPORTS["positive_softplus"]
    expected = theta - 0.5 * np.exp(theta) if theta < 0 else np.log(theta)
    np.testing.assert_allclose(support.to_log(jnp.array(theta)), expected, rtol=1e-12)
    np.testing.assert_allclose(support.from_log(support.to_log(jnp.array(theta))), theta, rtol=1e-10)


def test_every_name_of_the_contract_has_its_names():
    names = (
        "r p mu phi gate p_capture phi_capture eta_capture bnb_concentration mixing_weights z burst_size k_off k_on "
        "switching_ratio excess_fano concentration inv_concentration alpha beta r_hat omega mu_eta"
    ).split()
    assert set(derive.NAMES) == set(names)
    descriptive = {
        "r": "dispersion", "p": "prob", "mu": "expression", "phi": "odds", "gate": "zero_inflation",
        "p_capture": "capture_prob", "phi_capture": "capture_odds", "eta_capture": "capture_log_ratio",
        "bnb_concentration": "overdispersion", "mu_eta": "capture_scaling",
    }  # fmt: skip
    assert {n: v.descriptive for n, v in derive.NAMES.items()} == {n: descriptive.get(n, n) for n in names}
