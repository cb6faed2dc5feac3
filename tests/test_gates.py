"""--fail-on: what is a gate, what is refused, what fails."""

from __future__ import annotations

import pytest

from scribe_cli.errors import UsageError
from scribe_cli.run.fitting import gates

KNOWN = ("rhat", "divergences", "converged")


@pytest.mark.parametrize(
    "text, value, fails",
    [
        ("rhat>1.05", 1.06, True),
        ("rhat > 1.05", 1.05, False),
        ("rhat>=1.05", 1.05, True),
        ("divergences!=0", 0, False),
        ("divergences==0", 0, True),
        ("converged<1", False, True),
        ("converged<=0", True, False),
        ("rhat>1e3", float("nan"), True),
        ("rhat<1e3", None, True),
    ],
)
def test_gate(text, value, fails):
    gate = gates.parse(text, KNOWN)
    expected = [f"{gate.name} = {value} ({text})"] if fails else []
    assert gates.failures([gate], {gate.name: value}) == expected


def test_a_metric_that_this_run_has_not_fails_its_gate():
    """mode_steps, where minibatches have no mode."""
    gate = gates.parse("rhat>1", KNOWN)
    assert gates.failures([gate], {}) == ["rhat = None (rhat>1)"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("rhat", "NAME OP NUMBER"),
        ("rhat>x", "NAME OP NUMBER"),
        ("rhat=>1", "NAME OP NUMBER"),
        ("rhatt>1", 'did you mean "rhat"'),
        ("ebfmi<0.3", "there are rhat, divergences, converged"),
    ],
)
def test_refused(text, said):
    with pytest.raises(UsageError, match=said):
        gates.parse(text, KNOWN)
