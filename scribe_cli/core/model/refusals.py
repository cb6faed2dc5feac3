"""Combinations of recipe keys that make no sense, or are not available yet: one row each (MODELS.md 4, 5, 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import BadRecipe, listed
from .asked import Asked
from .conditions import (
    ACROSS_DATASETS,
    HIERARCHIES,
    anchor_has_one_mean,
    anchor_is_identified,
    anything,
    biology,
    bnb,
    enough_draws,
    hierarchical,
    labels_fit,
    laplace_without,
    mcmc,
    mean_is_mixed,
    mixed,
    mixture_params_exist,
    never,
    none_of,
    not_mcmc,
    not_two_state,
    not_vae,
    one_of,
    optimises,
    samples,
    uses,
    vae,
)


@dataclass(frozen=True)
class Rule:
    """`key` set away from its default needs `holds`; a key of a block stands for all its keys.

    reason and fix complete "KEY: reason; fix"; {model}, {parameterization}, {mixable} are filled in.
    """

    key: str
    holds: Callable[[Asked], bool]
    reason: str
    fix: str


NO_CAPTURE = "{model} has no capture"
OVERDISPERSION = ("overdispersion", "overdispersion_prior", "overdispersion_dataset_prior")
CAPTURE_FIX = "choose nbvcp, zinbvcp or twostatevcp"
NO_GATE = "{model} has no gate"
GATE_FIX = "choose zinb or zinbvcp"
NO_PROB = "{parameterization} samples neither p nor phi"
PROB_FIX = "choose canonical, mean_prob or mean_odds, of a negative binomial model"
UNCONSTRAINED_FIX = "set unconstrained: true"
DECODED = "the decoder of inference_method: vae replaces this prior"
VAE_FIX = "choose inference_method: svi or mcmc"

MODEL_RULES = (
    Rule("priors.organism", lambda a: a.shorthand.capture, NO_CAPTURE, CAPTURE_FIX),
    Rule("priors.capture_efficiency", lambda a: a.shorthand.capture, NO_CAPTURE, CAPTURE_FIX),
    Rule("priors.p_capture", lambda a: a.shorthand.capture, NO_CAPTURE, CAPTURE_FIX),
    Rule("priors.phi_capture", lambda a: a.shorthand.capture, NO_CAPTURE, CAPTURE_FIX),
    Rule("priors.gate", samples("gate"), NO_GATE, GATE_FIX),
    Rule(
        "priors.capture_efficiency",
        none_of("priors.organism"),
        "organism sets log M_0 and sigma_M too",
        "keep one of the two",
    ),
    *(
        Rule(
            f"priors.{name}",
            lambda a: not a.biology,
            "organism and capture_efficiency are priors of capture too",
            "keep one",
        )
        for name in ("p_capture", "phi_capture")
    ),
    Rule(
        "priors.eta_capture",
        never,
        "its prior is made of the library sizes, log M_0 and sigma_M",
        "write capture_efficiency: [log_M0, sigma_M], or organism",
    ),
    Rule(
        "data.library_size",
        biology,
        "only priors.organism and priors.capture_efficiency read library sizes",
        "set one",
    ),
    Rule(
        "positive_transform",
        lambda a: a.unconstrained,
        "the constrained priors have transforms of their own",
        UNCONSTRAINED_FIX,
    ),
    *(
        Rule(key, not_two_state, "{model} is overdispersed by its promoter already", "choose a negative binomial model")
        for key in OVERDISPERSION
    ),
    Rule("overdispersion", lambda a: a.unconstrained, "bnb's prior is a hierarchy of log omega", UNCONSTRAINED_FIX),
)

HIERARCHY_RULES = (
    Rule("prob_prior", samples("prob"), NO_PROB, PROB_FIX),
    Rule("prob_dataset_prior", samples("prob"), NO_PROB, PROB_FIX),
    Rule("zero_inflation_prior", samples("gate"), NO_GATE, GATE_FIX),
    Rule("zero_inflation_dataset_prior", samples("gate"), NO_GATE, GATE_FIX),
    Rule("overdispersion_prior", bnb, "there is no omega without overdispersion: bnb", "set overdispersion: bnb"),
    Rule(
        "overdispersion_dataset_prior", bnb, "there is no omega without overdispersion: bnb", "set overdispersion: bnb"
    ),
    Rule(
        "overdispersion_prior",
        lambda a: a.given["overdispersion_prior"] != "gaussian",
        "a gaussian cannot leave most genes without overdispersion",
        "choose horseshoe or neg",
    ),
    Rule("expression_prior", mixed, "it is a hierarchy across components", "set n_components to 2 or more"),
    Rule(
        "expression_prior",
        mean_is_mixed,
        "mixture_params leaves the mean without components",
        "add the mean to mixture_params",
    ),
    *(
        Rule(key, one_of("dataset_key"), "it is a hierarchy across datasets", "set dataset_key")
        for key in ACROSS_DATASETS
    ),
    Rule("capture_scaling_prior", lambda a: a.shorthand.capture, NO_CAPTURE, CAPTURE_FIX),
    Rule("capture_scaling_prior", biology, "it acts on log M_0", "set priors.organism or priors.capture_efficiency"),
    Rule(
        "prob_prior",
        lambda a: "prob_dataset_prior" not in a.given or a.get("prob_dataset_mode", "gene_specific") == "gene_specific",
        "prob_dataset_mode scalar and two_level have the genes' spread in themselves",
        "set prob_dataset_mode: gene_specific",
    ),
    *(
        Rule(key, lambda a: a.unconstrained, "a hierarchy needs coordinates on the real line", UNCONSTRAINED_FIX)
        for key in HIERARCHIES
    ),
    Rule(
        "prob_dataset_mode",
        one_of("prob_dataset_prior"),
        "it says how prob_dataset_prior acts",
        "set prob_dataset_prior",
    ),
    *(
        Rule(f"horseshoe_{k}", uses("horseshoe"), "no prior of this recipe is a horseshoe", "name one horseshoe")
        for k in ("tau0", "slab_df", "slab_scale")
    ),
    *(Rule(f"neg_{k}", uses("neg"), "no prior of this recipe is neg", "name one neg") for k in ("u", "a", "tau")),
    Rule("expression_anchor_sigma", one_of("expression_anchor"), "there is no anchor", "set expression_anchor: true"),
    Rule(
        "expression_anchor",
        anchor_is_identified,
        "with free capture the observed means do not say what mu is",
        "set priors.organism or priors.capture_efficiency",
    ),
    Rule(
        "expression_anchor",
        anchor_has_one_mean,
        "the observed mean is one number for all components",
        "set expression_prior, whose location it then is",
    ),
    Rule(
        "priors.gate",
        none_of("zero_inflation_prior", "zero_inflation_dataset_prior"),
        "the hierarchy on the gate replaces it",
        "keep one",
    ),
    *(
        Rule(
            f"priors.{name}",
            none_of("prob_prior", "prob_dataset_prior"),
            f"the hierarchy on {name} replaces it",
            "keep one",
        )
        for name in ("p", "phi")
    ),
    Rule("priors.mu", none_of("expression_anchor"), "expression_anchor replaces the prior of the mean", "keep one"),
)

REPLACED_RULES = (
    *(
        Rule(f"priors.{name}", never, "omega has a hierarchy with bnb, whose location is N(-5, 1)", "set overdispersion_prior")
        for name in ("bnb_concentration", "omega")
    ),
    Rule("priors.mu_eta", never, "capture_scaling_prior is its prior, around log M_0", "write capture_efficiency: [log_M0, sigma_M]"),
)

MIXTURE_RULES = (
    *(
        Rule(key, mixed, "there is one component", "set n_components to 2 or more")
        for key in ("mixture_params", "annotation_key", "dataset_mixing", "priors.mixing_weights")
    ),
    Rule(
        "mixture_params",
        mixture_params_exist,
        "it names what has no component axis here",
        "name some of {mixable}",
    ),
    Rule("dataset_mixing", one_of("dataset_key"), "there are no datasets", "set dataset_key"),
    *(
        Rule(f"annotation_{key}", one_of("annotation_key"), "there are no labels", "set annotation_key")
        for key in ("confidence", "min_cells", "component_order")
    ),
    Rule(
        "annotation_component_order", labels_fit, "it has more labels than there are components", "raise n_components"
    ),
)

RUN_RULES = (
    Rule("inference_method", lambda a: not (vae(a) and a.two_state), "a vae decodes a negative binomial's mean", VAE_FIX),
    Rule("n_components", not_vae, "with vae, z already carries how cells differ", VAE_FIX),
    *(
        Rule(key, not_vae, DECODED, VAE_FIX)
        for key in (
            "expression_prior",
            "expression_dataset_prior",
            "expression_anchor",
            "zero_inflation_prior",
            "zero_inflation_dataset_prior",
            "priors.gate",
        )
    ),
    *(
        Rule(f"priors.{name}", lambda a, name=name: not (vae(a) and a.roles["mean"] == name), DECODED, VAE_FIX)
        for name in ("mu", "r")
    ),
    Rule("mcmc", mcmc, "only inference_method: mcmc reads it", "set inference_method: mcmc"),
    Rule("vae", vae, "only inference_method: vae reads it", "set inference_method: vae"),
    Rule("svi", optimises, "mcmc without svi_init does not optimise", "set mcmc.svi_init: true"),
    Rule("guide", optimises, "mcmc without svi_init has no guide", "set mcmc.svi_init: true"),
    *(
        Rule("guide.family", holds, f"of laplace, {reason}", "choose mean_field")
        for holds, reason in (
            (laplace_without(hierarchical), "the joint mode of a hierarchy is no estimate, and the nested form is not built yet"),
            (laplace_without(mixed), "components make of the posterior more than one bump, and that is not built yet"),
            (laplace_without(mcmc), "chains start at the mode without it"),
        )
    ),
    *(
        Rule(f"svi.{key}", laplace_without(anything), "with guide.family: laplace there are no such steps", "choose mean_field")
        for key in ("n_steps", "batch_size", "learning_rate", "early_stopping")
    ),
    Rule("svi.n_samples", not_mcmc, "with mcmc the draws are the chains'", "set mcmc.n_samples"),
    Rule("svi.early_stopping", one_of("svi.n_steps"), "without early stopping the run needs an end", "set svi.n_steps"),
    Rule("output.unconstrained", not_mcmc, "mcmc always stores the unconstrained draws", "leave it false"),
    Rule(
        "output.ppc_samples", enough_draws, "it asks for more draws than the fit has", "raise n_samples of svi or mcmc"
    ),
)

RULES = (*MODEL_RULES, *HIERARCHY_RULES, *REPLACED_RULES, *MIXTURE_RULES, *RUN_RULES)

# every key of a feature that is still to come; of the other keys, the values that are
NOT_YET = ("vae", "guide.rank", "guide.joint_params", "guide.dense_params", "guide.flow", "guide.amortize_capture")
VALUES_NOT_YET = {"inference_method": ("vae",), "guide.family": ("low_rank", "flow"), "output.layers": ("denoised", "rqr")}


def check(asked: Asked) -> None:
    """Raise BadRecipe, naming the key, for the first combination that cannot be."""
    for rule in RULES:
        for key in _set(asked, rule.key):
            if not rule.holds(asked):
                _refuse(asked, key, rule)
    for block in NOT_YET:
        for key in _set(asked, block):
            _not_yet(key, asked.given[key])
    for key, later in VALUES_NOT_YET.items():
        value = asked.get(key, ())
        for one in [value] if isinstance(value, str) else value:
            if one in later:
                _not_yet(key, one)


def _set(asked: Asked, key: str) -> list[str]:
    return [k for k in asked.given if k == key or k.startswith(f"{key}.")]


def _refuse(asked: Asked, key: str, rule: Rule) -> None:
    words = {
        "model": f"model {asked.shorthand.name}",
        "parameterization": f"parameterization {asked.parameterization.name}",
        "mixable": listed(asked.mixable),
    }
    raise BadRecipe(f"{key}: {rule.reason.format(**words)}; {rule.fix.format(**words)}, or remove {key}", key=key)


def _not_yet(key: str, value: object) -> None:
    raise BadRecipe(f"{key}: {value} is not available yet; remove it", key=key)
