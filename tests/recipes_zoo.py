"""Recipes that span the models, and small data for them: 12 cells x 7 genes, two datasets, some labelled cells.

Every kernel, parameterization, kind of capture, gate, mixture, hierarchy, dataset prior and anchor is in here, alone and
with others; HARDEST holds them all at once.
"""

from __future__ import annotations

import numpy as np

from scribe_cli.core.facts import Facts
from tests import joint_oracle, zoo

N_CELLS, N_GENES, N_DATASETS = zoo.N_CELLS, zoo.N_GENES, 2
# one count is large; the larger ones of tests/zoo.py lie beyond what the two-state kernel promises
COUNTS = np.minimum(zoo.COUNTS, 600)
DATASET_OF_CELL = np.arange(N_CELLS) % N_DATASETS
ANNOTATION = np.array([0, -1, 1, -1, 1, 0, -1, -1, 1, -1, 0, -1])
# a prior's library size counts genes that are not fitted, too
LIBRARY = np.maximum(1.0, COUNTS.sum(1) + 40.0)

FREE = {"unconstrained": True}
BNB = {"overdispersion": "bnb"} | FREE
HUMAN, MOUSE, YEAST, ECOLI = ({"priors": {"organism": name}} for name in ("human", "mouse", "yeast", "ecoli"))
EFFICIENCY = {"priors": {"capture_efficiency": [7.5, 0.2]}}
TWO, THREE = {"n_components": 2}, {"n_components": 3}
BATCH = {"dataset_key": "batch"}
LABELS = {"annotation_key": "type"}
ANCHOR = {"expression_anchor": True}


def of(model: str, parameterization: str | None = None, *more: dict, **keys) -> dict:
    """A recipe of a model, its parameterization (None: the default), and further keys."""
    recipe = {"model": model} | ({"parameterization": parameterization} if parameterization else {})
    for part in (*more, keys):
        recipe |= part
    return recipe


HARDEST = of(
    "zinbvcp",
    "mean_odds",
    BNB,
    TWO,
    BATCH,
    LABELS,
    ANCHOR,
    HUMAN,
    expression_prior="gaussian",
    expression_dataset_prior="horseshoe",
    prob_dataset_prior="neg",
    prob_dataset_mode="two_level",
    zero_inflation_prior="neg",
    zero_inflation_dataset_prior="gaussian",
    overdispersion_prior="horseshoe",
    overdispersion_dataset_prior="neg",
    capture_scaling_prior="gaussian",
)

KERNELS = {
    "nbdm": of("nbdm"),
    "nbdm_mean_prob": of("nbdm", "mean_prob"),
    "nbdm_mean_odds_free": of("nbdm", "mean_odds", FREE),
    "nbdm_mean_disp": of("nbdm", "mean_disp"),
    "nbvcp": of("nbvcp"),
    "nbvcp_mean_disp_free": of("nbvcp", "mean_disp", FREE),
    "nbvcp_mean_odds_human": of("nbvcp", "mean_odds", HUMAN),
    "nbvcp_mean_prob_efficiency": of("nbvcp", "mean_prob", FREE, EFFICIENCY),
    "zinb_mean_prob": of("zinb", "mean_prob"),
    "zinb_mean_odds_free": of("zinb", "mean_odds", FREE),
    "zinbvcp_mean_odds": of("zinbvcp", "mean_odds"),
    "zinbvcp_canonical_mouse": of("zinbvcp", "canonical", FREE, MOUSE),
    "twostate": of("twostate"),
    "twostate_ratio_free": of("twostate", "ratio", FREE),
    "twostate_fano": of("twostate", "mean_fano"),
    "twostate_delta": of("twostate", "moment_delta"),
    "twostate_delta_free": of("twostate", "delta", FREE),
    "twostatevcp_natural": of("twostatevcp", "natural"),
    "twostatevcp_ratio_ecoli": of("twostatevcp", "two_state_ratio", ECOLI),
    "twostatevcp_fano_efficiency": of("twostatevcp", "two_state_mean_fano", FREE, EFFICIENCY),
    "twostatevcp_delta_ecoli": of("twostatevcp", "two_state_moment_delta", FREE, ECOLI),
}
OVERDISPERSED = {
    "nbdm_bnb": of("nbdm", "canonical", BNB),
    "zinb_bnb_neg": of("zinb", "mean_prob", BNB, overdispersion_prior="neg"),
    "nbvcp_bnb_human": of("nbvcp", "mean_odds", BNB, HUMAN, overdispersion_prior="horseshoe", horseshoe_tau0=0.3),
    "zinbvcp_bnb": of("zinbvcp", "mean_disp", BNB),
    "nbdm_bnb_datasets": of("nbdm", "mean_disp", BNB, BATCH, overdispersion_dataset_prior="gaussian"),
    "nbvcp_bnb_nested": of(
        "nbvcp", "canonical", BNB, BATCH, overdispersion_prior="horseshoe", overdispersion_dataset_prior="neg"
    ),
    "zinb_bnb_datasets": of("zinb", "mean_odds", BNB, BATCH, overdispersion_dataset_prior="horseshoe"),
    "nbdm_bnb_two": of("nbdm", "canonical", BNB, TWO, mixture_params=["r", "bnb_concentration"]),
}
BY_GENE = {
    "nbdm_prob_gaussian": of("nbdm", "mean_prob", FREE, prob_prior="gaussian"),
    "nbdm_prob_horseshoe": of(
        "nbdm", "mean_odds", FREE, prob_prior="horseshoe", horseshoe_tau0=0.5, horseshoe_slab_df=5, horseshoe_slab_scale=1.5
    ),
    "nbvcp_prob_neg_human": of("nbvcp", "canonical", FREE, HUMAN, prob_prior="neg", neg_u=1.5, neg_a=0.8, neg_tau=2.0),
    "zinb_gate_gaussian": of("zinb", "canonical", FREE, zero_inflation_prior="gaussian"),
    "zinb_gate_neg": of("zinb", "mean_disp", FREE, zero_inflation_prior="neg"),
    "zinbvcp_gate_and_prob": of(
        "zinbvcp", "mean_odds", FREE, ECOLI, zero_inflation_prior="horseshoe", prob_prior="gaussian"
    ),
}
MIXTURES = {
    "nbdm_two": of("nbdm", "canonical", TWO),
    "nbvcp_three_mean": of("nbvcp", "mean_odds", THREE, HUMAN, mixture_params="mean"),
    "zinb_two_biological": of("zinb", "mean_prob", FREE, TWO, mixture_params="biological"),
    "zinb_two_gate": of("zinb", "mean_odds", TWO, mixture_params="gate"),
    "nbdm_two_prob": of("nbdm", "mean_prob", TWO, mixture_params="prob", priors={"mixing_weights": 5.0}),
    "zinbvcp_two_listed": of("zinbvcp", "mean_prob", TWO, mixture_params=["mu", "gate"]),
    "zinbvcp_two_mean_disp": of("zinbvcp", "mean_disp", FREE, TWO),
    "twostate_two": of("twostate", "natural", TWO),
    "twostatevcp_two_mean": of("twostatevcp", "ratio", TWO, ECOLI, mixture_params="mean"),
    # names of the other parameterizations, by their slot: excess_fano and inv_concentration are meant
    "twostate_three_by_slot": of("twostate", "delta", FREE, THREE, mixture_params=["burst_size", "k_off"]),
    "nbdm_two_labelled": of("nbdm", "mean_prob", TWO, LABELS),
    "zinb_three_labelled_batches": of("zinb", "mean_odds", THREE, LABELS, BATCH, annotation_confidence=1.5),
    "nbvcp_two_one_mixing": of("nbvcp", "mean_odds", TWO, BATCH, dataset_mixing=False),
    "nbvcp_two_expression_gaussian": of("nbvcp", "mean_odds", FREE, TWO, HUMAN, expression_prior="gaussian"),
    "nbdm_three_expression_horseshoe": of(
        "nbdm", "canonical", FREE, THREE, expression_prior="horseshoe", mixture_params="mean"
    ),
    "twostate_two_expression_neg": of("twostate", "fano", FREE, TWO, expression_prior="neg"),
    "nbdm_two_prob_horseshoe": of("nbdm", "mean_odds", FREE, TWO, prob_prior="horseshoe"),
}
DATASETS = {
    "nbdm_batch_labels_only": of("nbdm", "canonical", BATCH),
    "nbdm_batch_expression_gaussian": of("nbdm", "mean_prob", FREE, BATCH, expression_dataset_prior="gaussian"),
    "nbvcp_batch_expression_horseshoe": of(
        "nbvcp", "mean_odds", FREE, BATCH, HUMAN, expression_dataset_prior="horseshoe"
    ),
    "zinb_batch_expression_neg": of("zinb", "canonical", FREE, BATCH, expression_dataset_prior="neg"),
    "twostate_batch_expression": of("twostate", "ratio", FREE, BATCH, expression_dataset_prior="gaussian"),
    "nbdm_batch_prob_scalar": of(
        "nbdm", "mean_prob", FREE, BATCH, prob_dataset_prior="gaussian", prob_dataset_mode="scalar"
    ),
    "nbvcp_batch_prob_scalar_horseshoe": of(
        "nbvcp", "mean_odds", FREE, BATCH, YEAST, prob_dataset_prior="horseshoe", prob_dataset_mode="scalar"
    ),
    "zinb_batch_prob_scalar_neg": of(
        "zinb", "canonical", FREE, BATCH, prob_dataset_prior="neg", prob_dataset_mode="scalar"
    ),
    "nbdm_batch_prob_gene": of("nbdm", "mean_odds", FREE, BATCH, prob_dataset_prior="gaussian"),
    "nbdm_batch_prob_nested": of("nbdm", "mean_prob", FREE, BATCH, prob_prior="neg", prob_dataset_prior="horseshoe"),
    "nbdm_batch_two_level_gaussian": of(
        "nbdm", "mean_prob", FREE, BATCH, prob_dataset_prior="gaussian", prob_dataset_mode="two_level"
    ),
    "nbvcp_batch_two_level_horseshoe": of(
        "nbvcp", "mean_odds", FREE, BATCH, ECOLI, prob_dataset_prior="horseshoe", prob_dataset_mode="two_level"
    ),
    "zinb_batch_two_level_neg": of(
        "zinb", "canonical", FREE, BATCH, prob_dataset_prior="neg", prob_dataset_mode="two_level"
    ),
    "zinb_batch_gate": of("zinb", "mean_prob", FREE, BATCH, zero_inflation_dataset_prior="gaussian"),
    "zinbvcp_batch_gate_nested": of(
        "zinbvcp", "mean_odds", FREE, BATCH, zero_inflation_prior="horseshoe", zero_inflation_dataset_prior="neg"
    ),
    "nbvcp_batch_scaling": of("nbvcp", "mean_prob", FREE, BATCH, ECOLI, capture_scaling_prior="gaussian"),
    "nbvcp_batch_scaling_expression": of(
        "nbvcp",
        "mean_odds",
        FREE,
        BATCH,
        HUMAN,
        capture_scaling_prior="horseshoe",
        expression_dataset_prior="gaussian",
    ),
    "twostatevcp_batch_scaling": of("twostatevcp", "natural", FREE, BATCH, EFFICIENCY, capture_scaling_prior="neg"),
}
BOTH = {
    "nbdm_two_batch_nested": of(
        "nbdm", "mean_odds", FREE, TWO, BATCH, expression_prior="gaussian", expression_dataset_prior="neg"
    ),
    "nbvcp_bnb_two_batch_nested": of(
        "nbvcp",
        "mean_prob",
        BNB,
        TWO,
        BATCH,
        HUMAN,
        expression_prior="horseshoe",
        expression_dataset_prior="horseshoe",
        overdispersion_dataset_prior="gaussian",
        mixture_params="mean",
    ),
    "twostatevcp_two_batch": of(
        "twostatevcp", "delta", FREE, TWO, BATCH, ECOLI, LABELS, expression_prior="neg", expression_dataset_prior="gaussian"
    ),
    "nbdm_two_batch_scalar": of(
        "nbdm", "mean_prob", FREE, TWO, BATCH, prob_dataset_prior="neg", prob_dataset_mode="scalar"
    ),
    "nbdm_two_batch_two_level": of(
        "nbdm", "mean_odds", FREE, TWO, BATCH, prob_dataset_prior="horseshoe", prob_dataset_mode="two_level"
    ),
    "zinb_three_batch_gate": of(
        "zinb", "mean_disp", FREE, THREE, BATCH, zero_inflation_dataset_prior="horseshoe", dataset_mixing=False
    ),
    "hardest": HARDEST,
}
ANCHORED = {
    "nbdm_anchor": of("nbdm", "canonical", ANCHOR),
    "nbdm_anchor_mean_disp": of("nbdm", "mean_disp", FREE, ANCHOR, expression_anchor_sigma=0.5),
    "zinbvcp_anchor_human": of("zinbvcp", "mean_odds", FREE, ANCHOR, HUMAN),
    "nbvcp_anchor_canonical_batch": of(
        "nbvcp", "canonical", FREE, ANCHOR, ECOLI, BATCH, expression_dataset_prior="horseshoe"
    ),
    "nbdm_anchor_two": of("nbdm", "canonical", FREE, ANCHOR, TWO, expression_prior="gaussian"),
    "twostate_anchor": of("twostate", "mean_fano", ANCHOR),
    "twostatevcp_anchor": of("twostatevcp", "natural", FREE, ANCHOR, EFFICIENCY),
    "nbvcp_bnb_anchor": of("nbvcp", "mean_prob", BNB, ANCHOR, EFFICIENCY),
}
TRANSFORMED = {
    "nbvcp_softplus": of("nbvcp", "mean_odds", FREE, HUMAN, positive_transform="softplus"),
    "twostate_softplus_burst": of("twostate", "natural", FREE, positive_transform={"burst_size": "softplus"}),
    "nbdm_softplus_mu": of(
        "nbdm", "mean_odds", FREE, positive_transform={"mu": "softplus", "phi": "softplus"}, priors={"mu": [40.0, 30.0]}
    ),
    "nbdm_softplus_prob_gaussian": of("nbdm", "mean_odds", FREE, positive_transform="softplus", prob_prior="gaussian"),
}
REPLACED = {
    "zinbvcp_priors": of("zinbvcp", "mean_prob", priors={"mu": [1.0, 2.0], "p": [2, 3], "gate": [2, 7], "p_capture": [2, 5]}),
    "zinbvcp_priors_free": of("zinbvcp", "mean_odds", FREE, priors={"phi": [0.5, 2], "gate": [-1, 2], "phi_capture": [2, 5]}),
    "twostate_priors": of("twostate", "delta", priors={"mu": [1, 2], "excess_fano": [1, 1], "inv_concentration": [2, 9]}),
    "nbdm_batch_priors": of(
        "nbdm", "mean_odds", FREE, BATCH, expression_dataset_prior="gaussian", priors={"mu": [1.5, 2.0]}
    ),
}

RECIPES: dict[str, dict] = (
    KERNELS | OVERDISPERSED | BY_GENE | MIXTURES | DATASETS | BOTH | ANCHORED | TRANSFORMED | REPLACED
)


MODELS = {name: joint_oracle.Model(recipe) for name, recipe in RECIPES.items()}
DATA = joint_oracle.Data(COUNTS, DATASET_OF_CELL, ANNOTATION, np.log(LIBRARY), N_DATASETS, np.arange(N_CELLS), np.ones(N_CELLS))


def facts(name: str, spec, weight=1.0) -> Facts:
    """The small data as the resolved recipe of this name sees them."""
    sizes = {"cell": N_CELLS, "gene": N_GENES}
    sizes |= {"component": MODELS[name].n_components} if spec.mixed else {}
    sizes |= {"dataset": N_DATASETS} if spec.by_dataset else {}
    arrays = {"log_library": DATA.log_library, "log_mu_hat": joint_oracle.log_mu_hat(MODELS[name], DATA)}
    arrays |= {"dataset_of_cell": DATASET_OF_CELL} if spec.by_dataset else {}
    arrays |= {"annotation": ANNOTATION} if spec.annotation_confidence else {}
    return Facts(sizes, arrays, weight)


# where sensible values of a base site lie, and how far they spread
CENTRES = {
    "p": 1.0,
    "phi": -1.0,
    "r": 0.0,
    "gate": -2.0,
    "bnb_concentration": -2.0,
    "burst_size": 2.0,
    "excess_fano": 2.0,
    "k_off": 1.5,
    "switching_ratio": 1.0,
    "concentration": 1.0,
    "inv_concentration": -1.0,
    "p_capture": -1.0,
    "phi_capture": 1.0,
    "mixing_weights": 0.3,
}
PIECES = {"scale": (-1.5, 0.3), "tau": (-1.0, 0.4), "lambda": (0.2, 0.4), "c2": (1.0, 0.3), "zeta": (0.5, 0.4), "psi": (-1.5, 0.5)}


def thetas(name: str, seed=0) -> dict[str, np.ndarray]:
    """{site: theta}, random where fits of these counts would lie; no two elements are equal."""
    model, rng = MODELS[name], np.random.default_rng(seed)
    found = {}
    for site, shape in joint_oracle.shapes(model, DATA).items():
        centre, spread = _around(model, site)
        found[site] = centre + spread * rng.normal(size=shape)
    return found


def _around(model: joint_oracle.Model, site: str):
    """(centre, spread) of a site."""
    param = next(q for q in model.params.values() if site in q.sites())
    if site != param.base_site:
        return PIECES.get(site.rsplit("_", 1)[1], (0.0, 0.7))
    if param.name == model.core[0]:
        log_mean = joint_oracle.log_mu_hat(model, DATA) - (1.0 if param.name == "r" else 0.0)
        return np.log(np.expm1(np.exp(log_mean))) if param.support == "softplus" else log_mean, 0.3
    if param.name == "mu_eta":
        return model.informed[0], 0.3
    if param.name == "eta_capture":
        return np.log(np.maximum(0.3, model.informed[0] - DATA.log_library)).reshape(1, -1, 1), 0.1
    return CENTRES[param.name], 0.4
