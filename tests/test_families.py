"""NUTS on a small data set of each family: minutes, so marked slow.

`python -m tests.families` prints the figures.
"""

from __future__ import annotations

import pytest

from tests import families


@pytest.mark.slow
@pytest.mark.parametrize("name", families.FAMILIES)
def test_chains_mix_and_agree_with_long_ones_in_another_parameterization(name):
    found = families.outcome(name)
    assert found.rhat < 1.01 and found.rhat_long < 1.01
    assert found.apart < 4.0, found.whose
