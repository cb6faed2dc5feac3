"""Asked: what a recipe asks for, with its names already looked up; what rules and priors are decided from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import BadRecipe, did_you_mean, listed
from . import parameterizations
from .parameterizations import Parameterization
from .shorthand import DEFAULT_PARAMETERIZATION, MODELS, NEGATIVE_BINOMIAL, TWO_STATE, Shorthand
from .spec import CORE_ROLES

BLOCKS = ("priors", "svi", "mcmc", "vae", "guide", "data", "output")

# a prior of capture that knows the number of molecules in a cell
BIOLOGY = ("priors.organism", "priors.capture_efficiency")

# the roles that a word of mixture_params stands for
COMPONENT_ROLES = {
    "all": (*CORE_ROLES, "gate", "excess"),
    "biological": CORE_ROLES,
    "mean": ("mean",),
    "prob": ("prob",),
    "gate": ("gate",),
}

# what the same slot of a two-state model is called in its parameterizations: a list of mixture_params may use any
SLOTS = {"burst": ("burst_size", "excess_fano"), "switching": ("k_off", "switching_ratio", "concentration", "inv_concentration")}


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
    def two_state(self) -> bool:
        return self.shorthand.kernel == TWO_STATE

    @property
    def bnb(self) -> bool:
        return self.get("overdispersion", "none") == "bnb"

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
    def mixable(self) -> list[str]:
        """The sampled parameters that may differ between components."""
        return [name for name, role, _ in self.samples if role in COMPONENT_ROLES["all"]]

    @property
    def components(self) -> list[str]:
        """The sampled parameters that differ between components."""
        chosen = self.get("mixture_params", "all")
        if not self.mixed:
            return []
        if isinstance(chosen, str):
            return [self.roles[role] for role in COMPONENT_ROLES[chosen] if role in self.roles]
        return [self.in_its_slot(name) for name in chosen]

    def in_its_slot(self, name: str) -> str:
        """The sampled parameter that a name of the same slot stands for (MODELS.md 1)."""
        return next((self.roles[role] for role, also in SLOTS.items() if name in also and role in self.roles), name)

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
    if given.get("overdispersion", "none") == "bnb":
        samples.append(("bnb_concentration", "excess", "positive"))
    if shorthand.gated:
        samples.append(("gate", "gate", "unit"))
    if given.get("capture_scaling_prior"):
        samples.append(("mu_eta", "scaling", "real"))
    if shorthand.capture:
        samples.append(_capture(given, parameterization))
    if given.get("n_components", 1) >= 2:
        samples.append(("mixing_weights", "weights", "simplex"))
    return Asked(given, shorthand, parameterization, tuple(samples))


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted key: value}, the blocks unfolded."""
    plain = {k: v for k, v in mapping.items() if k not in BLOCKS}
    return plain | {f"{b}.{k}": v for b in BLOCKS for k, v in mapping.get(b, {}).items()}


def parameterization_names() -> dict[str, list[str]]:
    """{kernel: its parameterizations' names, first spellings and aliases}."""
    found: dict[str, list[str]] = {NEGATIVE_BINOMIAL: [], TWO_STATE: []}
    for m in parameterizations.members().values():
        found[m.kernel] += [m.name, *m.aliases]
    return found


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
    return MODELS[name]


def _parameterization(given: Mapping[str, Any], shorthand: Shorthand) -> Parameterization:
    name = given.get("parameterization") or DEFAULT_PARAMETERIZATION[shorthand.kernel]
    found = parameterizations.canonical_name(name)
    names = parameterization_names()
    if found is not None and parameterizations.load(found).kernel == shorthand.kernel:
        return parameterizations.load(_anchored(given, found))
    if found is not None:
        reason = f"{name} belongs to the {_words(parameterizations.load(found).kernel)} models, and {shorthand.name} is none"
    else:
        reason = f'"{name}" is no parameterization{did_you_mean(name, [n for ns in names.values() for n in ns])}'
    choose = f"choose one of {listed(names[shorthand.kernel])}"
    raise BadRecipe(f"parameterization: {reason}; {choose}", key="parameterization")


def _words(kernel: str) -> str:
    return kernel.replace("two_state", "two-state").replace("_", " ")


def _anchored(given: Mapping[str, Any], name: str) -> str:
    """An anchor is a prior of mu: canonical then samples mu and derives r, which is mean_prob (MODELS.md 4)."""
    return "mean_prob" if name == "canonical" and given.get("expression_anchor") else name


def _capture(given: Mapping[str, Any], parameterization: Parameterization) -> tuple[str, str, str]:
    if any(key in given for key in BIOLOGY):
        return ("eta_capture", "capture", "positive")
    name = parameterization.capture
    return (name, "capture", "unit" if name == "p_capture" else "positive")
