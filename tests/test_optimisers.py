"""The deterministic optimiser against long runs of Adam: minutes, so marked slow. `python -m tests.optimisers` prints the figures."""

from __future__ import annotations

import pytest

from tests import optimisers

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["nbdm", "nbvcp", "nbvcp with free r", "zinb", "nbdm+bnb", "p of genes", "mixture", "datasets"])
def test_no_long_run_is_better_by_a_nat_in_a_thousand_parameters(name):
    """And a scale that is wrong at the start is found: both within the errors of 256 draws that all share."""
    found = optimisers.compared(optimisers.FAMILIES[name]())
    optimisers.show(f"{name}, {found.fitted.optimiser}", optimisers.figures(found), 3)
    allowed = found.parameters / 1000
    assert found.fitted.optimiser == "lbfgs" and max(found.runs) - found.elbo < allowed
    assert found.wrong is None or abs(found.wrong - found.elbo) < allowed
