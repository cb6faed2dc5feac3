"""The names of models: each one a row, a point in kernel x capture x gate."""

from __future__ import annotations

from dataclasses import dataclass

NEGATIVE_BINOMIAL, TWO_STATE = "negative_binomial", "two_state"
BETA_NEGATIVE_BINOMIAL = "beta_negative_binomial"  # what `overdispersion: bnb` makes of the first


@dataclass(frozen=True)
class Shorthand:
    """What a model's name stands for (MODELS.md 1)."""

    name: str
    kernel: str
    capture: bool = False
    gated: bool = False


MODELS = {
    row.name: row
    for row in (
        Shorthand("nbdm", NEGATIVE_BINOMIAL),
        Shorthand("nbvcp", NEGATIVE_BINOMIAL, capture=True),
        Shorthand("zinb", NEGATIVE_BINOMIAL, gated=True),
        Shorthand("zinbvcp", NEGATIVE_BINOMIAL, capture=True, gated=True),
        Shorthand("twostate", TWO_STATE),
        Shorthand("twostatevcp", TWO_STATE, capture=True),
    )
}

DEFAULT_PARAMETERIZATION = {NEGATIVE_BINOMIAL: "canonical", TWO_STATE: "two_state_natural"}
