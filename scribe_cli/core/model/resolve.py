"""From a recipe to the one description of a model: every default and every check, before data are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import BadRecipe, did_you_mean, listed
from ..axes import CELL, COMPONENT, DATASET, GENE, Axes, union
from . import default_priors, hierarchies, parameterizations
from .asked import BIOLOGY, Asked, ask
from .refusals import check
from .shorthand import BETA_NEGATIVE_BINOMIAL
from .spec import ModelSpec, ParamSpec, Prior

# by role; every other parameter is a gene's own
AXES: dict[str, Axes] = {"prob": (), "scaling": (), "capture": (CELL,), "weights": (COMPONENT,)}
COORDINATE = {"positive": "log", "positive_softplus": "softplus^-1", "unit": "logit"}
FORM = {
    "beta": "Beta(a, b)",
    "beta_prime": "BetaPrime(a, b)",
    "library_size": "[log_M0, sigma_M]",
    "dirichlet": "Dirichlet(a, ..., a)",
}
OF_DATA = ("log_library",)  # arguments that no recipe sets

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
        kernel=BETA_NEGATIVE_BINOMIAL if asked.bnb else asked.shorthand.kernel,
        parameterization=asked.parameterization.name,
        params=_transformed(asked, tuple(_param(asked, *sample) for sample in asked.samples)),
        capture=asked.roles.get("capture"),
        gated=asked.shorthand.gated,
        mixed=asked.mixed,
        annotation_confidence=float(asked.get("annotation_confidence", 3.0)) if "annotation_key" in asked.given else 0.0,
    )


def _param(asked: Asked, name: str, role: str, support: str) -> ParamSpec:
    prior = hierarchies.prior(asked, role, _own_prior(asked, name, role, support))
    return ParamSpec(name, role, support, _axes(asked, name, role), prior)


def _axes(asked: Asked, name: str, role: str) -> Axes:
    axes = hierarchies.axes(asked, role, AXES.get(role, (GENE,)))
    own_mixing = role == "weights" and "dataset_key" in asked.given and asked.get("dataset_mixing") is not False
    return union(axes, (COMPONENT,) if name in asked.components else (), (DATASET,) if own_mixing else ())


def _own_prior(asked: Asked, name: str, role: str, support: str) -> Prior:
    """The parameter's prior, or of a hierarchy with the parameter's own location that location's."""
    if role == "scaling":
        return default_priors.normal(_biology(asked).args["log_M0"], 1.0)
    if name == "eta_capture":
        known = _biology(asked)
        scaled = "scaling" in asked.roles
        return replace(known, args=known.args | {"log_M0": asked.roles["scaling"]}) if scaled else known
    if role == "excess" or hierarchies.replaced(asked, role):
        return default_priors.normal(0.0, 1.0)  # the hierarchy brings its own
    if role == "mean" and asked.get("expression_anchor"):
        return default_priors.normal(default_priors.MEAN_OF_DATA, float(asked.get("expression_anchor_sigma", 0.3)))
    prior = default_priors.default(name, role, asked.unconstrained, asked.two_state, asked.biology)
    key = f"priors.{name}"
    if key not in asked.given:
        return prior
    form = FORM.get(prior.family) or f"the Normal(loc, scale) of {COORDINATE[support]} {name}"
    return _with_hyperparameters(prior, key, asked.given[key], form)


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
    names = [name for name in prior.args if name not in OF_DATA]
    well = len(numbers) == len(names) and all(map(_domain_holds, names, numbers))
    if not well:
        wanted = ", ".join(n if n in SIGNED else f"{n} > 0" for n in names)
        such = "one such number" if len(names) == 1 else f"{len(names)} such numbers"
        raise BadRecipe(f"{key}: expected {form} as [{wanted}], found {value}; write {such}", key=key)
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
    able = [p.name for p in params if _has_transform(asked, p)]
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


def _has_transform(asked: Asked, param: ParamSpec) -> bool:
    """A Normal through a transform. Omega is taken on the log scale alone, and so is an anchored mean."""
    anchored = param.role == "mean" and asked.get("expression_anchor", False)
    normal = param.prior.innermost.family == "normal"
    return param.support == "positive" and normal and param.role != "excess" and not anchored


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
    prior = param.prior if given else _of_innermost(param.prior, default_priors.through_softplus)
    return replace(param, support="positive_softplus", prior=prior)


def _of_innermost(prior: Prior, change: Callable[[Prior], Prior]) -> Prior:
    return change(prior) if prior.base is None else replace(prior, base=_of_innermost(prior.base, change))


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
    """The parameters whose draws are kept: what any parameterization of the kernel samples, gate, omega, capture, weights.

    derive.py says the same of a spec, but loads jax, which a look at a recipe does without.
    """
    kernel, roles = asked.shorthand.kernel, asked.roles
    core = {name for m in parameterizations.members().values() if m.kernel == kernel for name, _, _ in m.samples}
    capture = roles.get("capture")
    kept = ["p_capture" if capture == "eta_capture" else capture, *(roles.get(r) for r in ("gate", "scaling", "weights"))]
    return sorted(core) + [name for name in (*kept, *(("bnb_concentration", "omega") if asked.bnb else ())) if name]
