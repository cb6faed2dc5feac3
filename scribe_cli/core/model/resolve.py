"""From a recipe to the one description of a model: every default and every check, before data are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import BadRecipe, did_you_mean, listed
from ..axes import CELL, GENE, Axes
from . import default_priors, parameterizations
from .asked import BIOLOGY, Asked, ask
from .refusals import check
from .spec import ModelSpec, ParamSpec, Prior

AXES: dict[str, Axes] = {"prob": (), "capture": (CELL,)}  # by role; every other parameter is a gene's own
COORDINATE = {"positive": "log", "positive_softplus": "softplus^-1", "unit": "logit"}
FORM = {"beta": "Beta(a, b)", "beta_prime": "BetaPrime(a, b)", "library_size": "[log_M0, sigma_M]"}

# hyperparameters that may have any sign; all others are positive
SIGNED = ("loc", "log_M0")

# e^50 molecules are in no cell: a log_M0 beyond is the number itself
LARGEST_LOG_M0 = 50.0


def resolve(mapping: Mapping[str, Any]) -> ModelSpec:
    """The model that a recipe asks for.

    mapping: the recipe's keys, blocks nested, without those that stand at their default.
    Raises BadRecipe with the key it is about: an unknown name, a combination that makes no sense, a key that cannot
    act in this run, hyperparameters of the wrong number or domain, a feature that is not available yet.
    """
    asked = ask(mapping)
    check(asked)
    _check_prior_names(asked)
    _check_stored_names(asked)
    return ModelSpec(
        kernel=asked.shorthand.kernel,
        parameterization=asked.parameterization.name,
        params=_transformed(asked, tuple(_param(asked, *sample) for sample in asked.samples)),
        capture=asked.roles.get("capture"),
        gated=asked.shorthand.gated,
    )


def _param(asked: Asked, name: str, role: str, support: str) -> ParamSpec:
    axes = AXES.get(role, (GENE,))
    if name == "eta_capture":
        return ParamSpec(name, role, support, axes, _biology(asked))
    prior = default_priors.default(name, role, asked.unconstrained)
    key = f"priors.{name}"
    if key in asked.given:
        form = FORM.get(prior.family, f"the Normal(loc, scale) of {COORDINATE[support]} {name}")
        prior = _with_hyperparameters(prior, key, asked.given[key], form)
    return ParamSpec(name, role, support, axes, prior)


def _biology(asked: Asked) -> Prior:
    key = "priors.organism"
    if key not in asked.given:
        key = "priors.capture_efficiency"
        return _with_hyperparameters(default_priors.of_organism("human"), key, asked.given[key], FORM["library_size"])
    organism, known = asked.given[key], default_priors.ORGANISMS
    if not isinstance(organism, str) or organism not in known:
        close = did_you_mean(organism, known)
        fix = f"choose one of {listed(known)}, or write capture_efficiency: [log_M0, sigma_M]"
        raise BadRecipe(f'{key}: "{organism}" is no organism we know{close}; {fix}', key=key)
    return default_priors.of_organism(organism)


def _with_hyperparameters(prior: Prior, key: str, value: Any, form: str) -> Prior:
    """`prior` with the numbers of a recipe in place of its own."""
    numbers = value if isinstance(value, list | tuple) else [value]
    names = [name for name, default in prior.args.items() if not isinstance(default, str)]
    well = len(numbers) == len(names) and all(map(_domain_holds, names, numbers))
    if not well:
        wanted = ", ".join(n if n in SIGNED else f"{n} > 0" for n in names)
        raise BadRecipe(
            f"{key}: expected {form} as [{wanted}], found {value}; write {len(names)} such numbers", key=key
        )
    if names[0] == "log_M0" and numbers[0] > LARGEST_LOG_M0:
        raise BadRecipe(
            f"{key}: log_M0 is the natural logarithm of a number of molecules, found {numbers[0]}; "
            f"write {math.log(numbers[0]):.4g} if that is the number itself",
            key=key,
        )
    return replace(prior, args=prior.args | {n: float(v) for n, v in zip(names, numbers, strict=True)})


def _domain_holds(name: str, number: Any) -> bool:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        return False
    return name in SIGNED or number > 0


def _check_prior_names(asked: Asked) -> None:
    for key in asked.given:
        name = key.removeprefix("priors.")
        if key.startswith("priors.") and key not in BIOLOGY and name not in asked.names:
            close = did_you_mean(name, [*asked.names, "organism", "capture_efficiency"])
            raise BadRecipe(
                f"{key}: {asked.shorthand.name} with {asked.parameterization.name} samples no {name}{close}; "
                f"name one of {listed(asked.names)}, or remove {key}",
                key=key,
            )


def _transformed(asked: Asked, params: tuple[ParamSpec, ...]) -> tuple[ParamSpec, ...]:
    """The parameters with `positive_transform` in place."""
    key = "positive_transform"
    chosen = asked.get(key, {})
    able = [p.name for p in params if p.support == "positive" and p.prior.family == "normal"]
    if isinstance(chosen, str):
        names = [n for n in able if n not in ("mu", "r")]
        if chosen == "softplus" and not names:
            raise BadRecipe(
                f"{key}: mu and r keep exp unless named, and nothing else is positive; write {{r: softplus}}", key=key
            )
        chosen = dict.fromkeys(names, chosen)
    for name, transform in chosen.items():
        _check_transform(asked, name, transform, able)
    return tuple(_softplus(asked, p) if chosen.get(p.name) == "softplus" else p for p in params)


def _check_transform(asked: Asked, name: str, transform: str, able: list[str]) -> None:
    key = "positive_transform"
    if name not in able:
        close = did_you_mean(name, able)
        raise BadRecipe(
            f"{key}: {name} is no positive parameter with a Normal prior here{close}; name some of {listed(able)}",
            key=key,
        )
    if transform == "softplus" and name in ("mu", "r") and f"priors.{name}" not in asked.given:
        reason = f"under softplus the default prior of {name} would rule out every expressed gene"
        raise BadRecipe(f"{key}: {reason}; write priors.{name}: [loc, scale] of softplus^-1 {name} too", key=key)


def _softplus(asked: Asked, param: ParamSpec) -> ParamSpec:
    """softplus in place of exp. Hyperparameters of a recipe are those of softplus^-1 already."""
    given = f"priors.{param.name}" in asked.given
    return replace(
        param, support="positive_softplus", prior=param.prior if given else default_priors.through_softplus(param.prior)
    )


def _check_stored_names(asked: Asked) -> None:
    """`output.samples` may name what is stored."""
    chosen = asked.get("output.samples", "all")
    known = stored_names(asked)
    for name in () if isinstance(chosen, str) else chosen:
        if name not in known:
            close = did_you_mean(name, known)
            fix = f"name some of {listed(known)}"
            raise BadRecipe(
                f"output.samples: no draws of {name} are stored with this model{close}; {fix}", key="output.samples"
            )


def stored_names(asked: Asked) -> list[str]:
    """The parameters whose draws are kept: what any parameterization of the kernel samples, gate, capture.

    derive.py says the same of a spec, but loads jax, which a look at a recipe does without.
    """
    kernel = asked.shorthand.kernel
    core = {name for m in parameterizations.members().values() if m.kernel == kernel for name, _, _ in m.samples}
    capture = asked.roles.get("capture")
    kept = "p_capture" if capture == "eta_capture" else capture
    return sorted(core) + [name for name in (asked.roles.get("gate"), kept) if name]
