"""The engine's likelihood against the dense sum, after every fit: right nodes pass, too few of them are found out and said."""

from __future__ import annotations

import dataclasses
import functools
import types

import jax
import numpy as np
import pytest

from scribe_cli.core.inference import svi
from scribe_cli.run.fitting import assemble, audit, findings, inference, interpolation
from tests import planted, recovery


@functools.cache
def fitted():
    """(posterior at the mode, its counts, nodes), of a gated model with capture."""
    one = recovery.study("zinbvcp", cells=120, genes=30)
    problem = assemble.problem(one.collected, one.spec, "auto", None, fill=False)
    options = svi.Options(guide="laplace", n_samples=2)
    found = svi.posterior(problem, svi.fit(problem, assemble.start(one.collected, problem), options), options)
    return found, one.collected.counts, interpolation.Nodes(interpolation.of(problem), 0.25)


def test_the_error_of_a_right_engine_is_none_to_speak_of():
    posterior, counts, nodes = fitted()
    found = audit.errors(posterior, counts, "smooth", 0, nodes)
    assert 0 < found["engine_total_error"] < 1e-4 and found["engine_max_abs_error"] < found["engine_total_error"]
    assert found["engine_interpolation_error"] == 0.25
    assert findings.engine(found, audit.beyond(posterior, counts, "smooth")) == {} and audit.beyond(posterior, counts, "dense") == 0
    assert audit.errors(posterior, counts, "dense", seed=0) == dict.fromkeys(found, 0.0)


def test_too_few_nodes_are_found_out_and_said(monkeypatch):
    posterior, counts, _ = fitted()
    monkeypatch.setattr(interpolation.chebyshev, "needed", lambda half, strip: 5)
    parts = interpolation.parts(posterior.spec, posterior.facts, counts.total)
    found = audit.errors(posterior, counts, "smooth", 0, interpolation.Nodes(parts))
    assert found["engine_total_error"] > 1.0
    assert "engine: dense" in findings.engine(found, 0.0)["engine_differs"]


@pytest.mark.parametrize("total", [0.6, float("nan")])
def test_an_error_beyond_half_a_nat_or_none_at_all_is_said(total):
    assert "engine_differs" in findings.engine({"engine_total_error": total, "engine_interpolation_error": 0.0}, 0.0)
    assert "nodes" in findings.engine({"engine_total_error": 0.0, "engine_interpolation_error": total}, 0.0)["engine_differs"]


@pytest.mark.parametrize("recipe", ["zinbvcp", pytest.param("twostatevcp", marks=pytest.mark.slow)])
def test_a_fit_goes_on_where_its_nodes_were_too_few(recipe, monkeypatch):
    """To where one ends that had enough from the start."""
    one, options, said = study(recipe), svi.Options(guide="laplace", n_samples=2), []
    right = assemble.problem(one.collected, one.spec, "auto", None, fill=False)
    with monkeypatch.context() as few:
        few.setattr(interpolation.chebyshev, "needed", lambda half, strip: 6)
        wrong = assemble.problem(one.collected, one.spec, "auto", None, fill=False)
    ends = {}
    for name, problem in (("right", right), ("wrong", wrong)):
        fitted = svi.fit(problem, assemble.start(one.collected, problem), options)
        console = types.SimpleNamespace(notice=said.append, progress=lambda *_: None)
        before = interpolation.lost(problem, assemble.point(problem, fitted.params["loc"]))
        _, after, lost = inference._between_enough_nodes(one.collected, problem, fitted, options, console)
        assert lost <= interpolation.ENOUGH and (before > interpolation.ENOUGH) == (name == "wrong") == bool(said)
        ends[name] = after
    assert ends["wrong"].mode.value == pytest.approx(ends["right"].mode.value, abs=1e-2)


def study(recipe):
    if recipe == "zinbvcp":
        return recovery.study(recipe, cells=120, genes=30)
    whole, rng = planted.bursting("two_state_natural", cells=60, genes=12), np.random.default_rng(0)
    seen = rng.binomial(whole.collected.counts.csr.toarray(), rng.uniform(0.03, 0.6, (60, 1)))
    return planted.Study(whole.truth, *recovery.read({"model": recipe, "priors": {"p_capture": [1.0, 2.0]}}, seen))


def test_what_is_lost_between_nodes_is_no_less_than_what_is_wrong():
    """The last coefficients against the lane of many nodes, at the start of a gated model."""
    one = recovery.study("zinbvcp", cells=120, genes=30)
    problem = assemble.problem(one.collected, one.spec, "auto", None, fill=False)
    sites = assemble.moments(one.collected, problem)
    log_joint = jax.jit(problem.log_joint)
    exact = float(log_joint(sites, problem.facts, problem.stats))
    for k in (6, 10, 16):
        (part,) = interpolation.parts(one.spec, problem.facts, one.collected.counts.total, strip=np.pi)
        middle, half = part.nodes["centre"], part.nodes["half"]
        nodes = interpolation.chebyshev.nodes(middle - half, middle + half, k)
        coarse = assemble.stats(problem.lane, one.spec, one.collected, False, (interpolation.Part(part.genes, nodes),))
        found = dataclasses.replace(problem, stats=coarse)
        wrong = abs(float(log_joint(sites, found.facts, coarse)) - exact)
        lost = interpolation.lost(found, assemble.point(found, sites))
        assert wrong < lost < 1e4 * wrong


def test_draws_beyond_the_nodes_are_counted_and_said(monkeypatch):
    posterior, counts, _ = fitted()
    monkeypatch.setattr(audit.initial, "capture_range", lambda *_: (-100.0, float(np.median(np.log(recovery.NU)))))
    share = audit.beyond(posterior, counts, "smooth")
    assert 0.2 < share < 0.8
    assert f"{share:.2%} of the draws" in findings.engine({"engine_total_error": 0.0, "engine_interpolation_error": 0.0}, share)["engine_differs"]
