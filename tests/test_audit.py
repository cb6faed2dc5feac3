"""The engine's likelihood against the dense sum, after every fit: right nodes pass, too few of them are found out and said."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from scribe_cli.core.inference import svi
from scribe_cli.run.fitting import assemble, audit, findings
from tests import recovery


@functools.cache
def fitted():
    """(posterior at the mode, its counts), of a gated model with capture."""
    one = recovery.study("zinbvcp", cells=120, genes=30)
    problem = assemble.problem(one.collected, one.spec, "auto", None, share_rows=False)
    options = svi.Options(guide="laplace", n_samples=2)
    return svi.posterior(problem, svi.fit(problem, assemble.start(one.collected, problem), options), options), one.collected.counts


def test_the_error_of_a_right_engine_is_none_to_speak_of():
    posterior, counts = fitted()
    found = audit.errors(posterior, counts, "smooth", seed=0)
    assert 0 < found["engine_total_error"] < 1e-4 and found["engine_max_abs_error"] < found["engine_total_error"]
    assert findings.engine(found, audit.beyond(posterior, counts, "smooth")) == {} and audit.beyond(posterior, counts, "dense") == 0
    assert audit.errors(posterior, counts, "dense", seed=0) == {"engine_max_abs_error": 0.0, "engine_total_error": 0.0}


def test_too_few_nodes_are_found_out_and_said(monkeypatch):
    posterior, counts = fitted()
    monkeypatch.setattr(assemble.smooth, "node_count", lambda spec, half: 5)
    found = audit.errors(posterior, counts, "smooth", seed=0)
    assert found["engine_total_error"] > 1.0
    assert "engine: dense" in findings.engine(found, 0.0)["engine_differs"]


@pytest.mark.parametrize("total", [0.6, float("nan")])
def test_an_error_beyond_half_a_nat_or_none_at_all_is_said(total):
    assert "engine_differs" in findings.engine({"engine_max_abs_error": total, "engine_total_error": total}, 0.0)


def test_draws_beyond_the_nodes_are_counted_and_said(monkeypatch):
    posterior, counts = fitted()
    monkeypatch.setattr(audit.initial, "capture_range", lambda *_: (-100.0, float(np.median(np.log(recovery.NU)))))
    share = audit.beyond(posterior, counts, "smooth")
    assert 0.2 < share < 0.8
    assert f"{share:.2%} of the draws" in findings.engine({"engine_total_error": 0.0}, share)["engine_differs"]
