"""What a refusal may ask of a recipe: conditions on what is set, by name."""

from __future__ import annotations

from collections.abc import Callable

from .asked import Asked

ACROSS_DATASETS = (
    "expression_dataset_prior",
    "prob_dataset_prior",
    "zero_inflation_dataset_prior",
    "overdispersion_dataset_prior",
    "capture_scaling_prior",
)
HIERARCHIES = ("prob_prior", "expression_prior", "zero_inflation_prior", "overdispersion_prior", *ACROSS_DATASETS)


def never(asked: Asked) -> bool:
    return False


def none_of(*keys: str) -> Callable[[Asked], bool]:
    return lambda asked: not any(key in asked.given for key in keys)


def one_of(*keys: str) -> Callable[[Asked], bool]:
    return lambda asked: any(key in asked.given for key in keys)


def samples(role: str) -> Callable[[Asked], bool]:
    return lambda asked: role in asked.roles


def mixed(asked: Asked) -> bool:
    return asked.mixed


def biology(asked: Asked) -> bool:
    return asked.biology


def bnb(asked: Asked) -> bool:
    return asked.bnb


def not_two_state(asked: Asked) -> bool:
    return not asked.two_state


def vae(asked: Asked) -> bool:
    return asked.method == "vae"


def not_vae(asked: Asked) -> bool:
    return asked.method != "vae"


def mcmc(asked: Asked) -> bool:
    return asked.method == "mcmc"


def not_mcmc(asked: Asked) -> bool:
    return asked.method != "mcmc"


def optimises(asked: Asked) -> bool:
    return asked.method != "mcmc" or asked.initialised


def uses(family: str) -> Callable[[Asked], bool]:
    """Some hierarchy is of `family`; bnb without a named prior has the horseshoe."""
    return lambda asked: (
        any(asked.get(key) == family for key in HIERARCHIES)
        or (
            family == "horseshoe"
            and bnb(asked)
            and none_of("overdispersion_prior", "overdispersion_dataset_prior")(asked)
        )
    )


def hierarchical(asked: Asked) -> bool:
    return bnb(asked) or one_of(*HIERARCHIES)(asked)


def anything(asked: Asked) -> bool:
    return True


def laplace_without(trait: Callable[[Asked], bool]) -> Callable[[Asked], bool]:
    return lambda asked: asked.get("guide.family") != "laplace" or not trait(asked)


def mean_is_mixed(asked: Asked) -> bool:
    return asked.roles["mean"] in asked.components


def mixture_params_exist(asked: Asked) -> bool:
    """A word stands for some parameter here; a list names sampled ones that may differ between components."""
    return bool(asked.components) and all(name in asked.mixable for name in asked.components)


def anchor_is_identified(asked: Asked) -> bool:
    return not asked.shorthand.capture or asked.biology


def anchor_has_one_mean(asked: Asked) -> bool:
    return not mean_is_mixed(asked) or "expression_prior" in asked.given


def labels_fit(asked: Asked) -> bool:
    return len(asked.given["annotation_component_order"]) <= asked.get("n_components", 1)


def enough_draws(asked: Asked) -> bool:
    if asked.method == "mcmc":
        draws = asked.get("mcmc.n_samples", 1000) * asked.get("mcmc.n_chains", 4)
    else:
        draws = asked.get("svi.n_samples", 500)
    return asked.given["output.ppc_samples"] <= draws
