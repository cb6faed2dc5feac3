"""Asked: what a recipe asks for, with its names already looked up; what rules and priors are decided from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import BadRecipe, did_you_mean, listed
from . import parameterizations
from .parameterizations import Parameterization
from .shorthand import DEFAULT_PARAMETERIZATION, MODELS, NEGATIVE_BINOMIAL, TWO_STATE, Shorthand

BLOCKS = ("priors", "svi", "mcmc", "vae", "guide", "data", "output")

# a prior of capture that knows the number of molecules in a cell
BIOLOGY = ("priors.organism", "priors.capture_efficiency")

# the two-state parameterizations' names, until they have files of their own
TWO_STATE_NAMES = {
    "two_state_natural": ("natural",),
    "two_state_ratio": ("ratio",),
    "two_state_mean_fano": ("mean_fano", "fano"),
    "two_state_moment_delta": ("moment_delta", "delta"),
}


@dataclass(frozen=True)
class Asked:
    """given: {dotted key: value} of the keys set away from their defaults; samples: (name, role, support)."""

    given: Mapping[str, Any]
    shorthand: Shorthand
    parameterization: Parameterization
    samples: tuple[tuple[str, str, str], ...]

    def get(self, key: str, default: Any = None) -> Any:
        return self.given.get(key, default)

    @property
    def names(self) -> list[str]:
        """The sampled parameters."""
        return [name for name, _, _ in self.samples]

    @property
    def roles(self) -> dict[str, str]:
        """{role: name} of the sampled parameters."""
        return {role: name for name, role, _ in self.samples}

    @property
    def biology(self) -> bool:
        return any(key in self.given for key in BIOLOGY)

    @property
    def unconstrained(self) -> bool:
        return self.get("unconstrained", False)

    @property
    def mixed(self) -> bool:
        return self.get("n_components", 1) >= 2

    @property
    def method(self) -> str:
        return self.get("inference_method", "svi")

    @property
    def initialised(self) -> bool:
        """Whether mcmc starts from a fit."""
        return self.get("mcmc.svi_init", True)


def ask(mapping: Mapping[str, Any]) -> Asked:
    """What `mapping` asks for: a recipe's keys, nested, of which those at their default may be absent.

    Raises BadRecipe for an unknown model or parameterization, and one of the other kernel.
    """
    given = flat(mapping)
    shorthand = _model(given)
    parameterization = _parameterization(given, shorthand)
    samples = list(parameterization.samples)
    if shorthand.gated:
        samples.append(("gate", "gate", "unit"))
    if shorthand.capture:
        samples.append(_capture(given, parameterization))
    return Asked(given, shorthand, parameterization, tuple(samples))


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted key: value}, the blocks unfolded."""
    plain = {k: v for k, v in mapping.items() if k not in BLOCKS}
    return plain | {f"{b}.{k}": v for b in BLOCKS for k, v in mapping.get(b, {}).items()}


def parameterization_names() -> dict[str, list[str]]:
    """{kernel: its parameterizations' names, first spellings and aliases}."""
    known = parameterizations.members().values()
    ours = [n for m in known for n in (m.name, *m.aliases)]
    return {NEGATIVE_BINOMIAL: ours, TWO_STATE: [n for name, also in TWO_STATE_NAMES.items() for n in (name, *also)]}


def _model(given: Mapping[str, Any]) -> Shorthand:
    if "model" not in given:
        raise BadRecipe(
            f"model: not set, and there is no default; write model: NAME with one of {listed(MODELS)}", key="model"
        )
    name = given["model"]
    if name not in MODELS:
        raise BadRecipe(
            f'model: "{name}" is no model{did_you_mean(name, MODELS)}; choose one of {listed(MODELS)}', key="model"
        )
    row = MODELS[name]
    if row.kernel == TWO_STATE:
        available = [m.name for m in MODELS.values() if m.kernel != TWO_STATE]
        raise BadRecipe(f"model: {name} is not available yet; choose one of {listed(available)}", key="model")
    return row


def _parameterization(given: Mapping[str, Any], shorthand: Shorthand) -> Parameterization:
    name = given.get("parameterization") or DEFAULT_PARAMETERIZATION[shorthand.kernel]
    found = parameterizations.canonical_name(name)
    names = parameterization_names()
    if found is not None:
        return parameterizations.load(found)
    choose = f"choose one of {listed(names[shorthand.kernel])}"
    if name in names[TWO_STATE]:
        reason = f"{name} belongs to the two-state models, and {shorthand.name} is a negative binomial one"
    else:
        reason = f'"{name}" is no parameterization{did_you_mean(name, [n for ns in names.values() for n in ns])}'
    raise BadRecipe(f"parameterization: {reason}; {choose}", key="parameterization")


def _capture(given: Mapping[str, Any], parameterization: Parameterization) -> tuple[str, str, str]:
    if any(key in given for key in BIOLOGY):
        return ("eta_capture", "capture", "positive")
    name = parameterization.capture
    return (name, "capture", "unit" if name == "p_capture" else "positive")
