"""The hierarchies and anchors of MODELS.md 4, row by row, against the traced program.

The table is written out here from MODELS.md, with scipy's laws; nothing is taken from the package. A row's
hyperparameters are set in the recipe to other numbers than the defaults, so that one that is ignored is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from scribe_cli.core.model import program
from scribe_cli.errors import BadRecipe
from scribe_cli.run.recipe import config
from tests.test_default_priors import (
    ECOLI,
    LOG_M0,
    MODELS,
    NB,
    NUMBERS,
    TWO_STATE,
    axes_of,
    law_of,
    nu_bar,
    sampled,
)
from tests.traced import (
    BATCH,
    COUNTS,
    LIBRARY,
    N_CELLS,
    STANDARD,
    Traced,
    assert_law,
    gamma,
    half_cauchy,
    inverse_gamma,
    normal,
    softplus,
    traced,
    truncated_normal,
)

# --- the families ----------------------------------------------------------------------------------------------------

HYPER = {
    "gaussian": {},
    "horseshoe": {"horseshoe_tau0": 0.4, "horseshoe_slab_df": 5.0, "horseshoe_slab_scale": 1.5},
    "neg": {"neg_u": 1.5, "neg_a": 0.8, "neg_tau": 2.5},
}
HYPER_DEFAULT = {
    "gaussian": {},
    "horseshoe": {"horseshoe_tau0": 1.0, "horseshoe_slab_df": 4.0, "horseshoe_slab_scale": 2.0},
    "neg": {"neg_u": 1.0, "neg_a": 1.0, "neg_tau": 1.0},
}
FAMILIES = tuple(HYPER)
OF_ALL = ("scale", "tau", "c2")  # one for all elements; the others are per gene (per dataset without genes)


@dataclass(frozen=True)
class Level:
    """One level of a hierarchy. gaussian: its (m, s); hyper: the other families' numbers, None for those of HYPER;

    apart: the axes of which each has a scale of its own.
    """

    family: str
    over: str
    gaussian: tuple | None = None
    hyper: Mapping | None = None
    apart: tuple[str, ...] = ()

    def laws(self, pieces: Mapping) -> dict[str, Callable]:
        """{piece: law of its lifted value}; psi's rate is zeta."""
        h = self.hyper or HYPER[self.family]
        if self.family == "gaussian":
            return {"scale": normal(*self.gaussian), "z": STANDARD}
        if self.family == "horseshoe":
            df, slab = h["horseshoe_slab_df"], h["horseshoe_slab_scale"]
            c2 = inverse_gamma(df / 2, df * slab**2 / 2)
            return {"tau": half_cauchy(h["horseshoe_tau0"]), "lambda": half_cauchy(1), "c2": c2, "z": STANDARD}
        psi = gamma(h["neg_u"], np.exp(pieces["zeta"]))
        return {"zeta": gamma(h["neg_a"], h["neg_tau"]), "psi": psi, "z": STANDARD}

    def scale(self, pieces: Mapping) -> np.ndarray:
        if self.family == "gaussian":
            return softplus(pieces["scale"])
        if self.family == "neg":
            return np.sqrt(np.exp(pieces["psi"]))
        tau, lam, c = np.exp(pieces["tau"]), np.exp(pieces["lambda"]), np.exp(pieces["c2"] / 2)
        return tau * c * lam / np.sqrt(c**2 + tau**2 * lam**2)


def in_order(axes) -> tuple[str, ...]:
    return tuple(a for a in ("component", "dataset", "cell", "gene") if a in axes)


def assert_hierarchy(t: Traced, name: str, location: Callable, location_axes: tuple, levels: tuple[Level, ...]):
    """theta = location + scale z, level upon level, each site with its law and axes, and no site besides.

    levels: the innermost first. Centred, what stands at z is theta itself, of Normal(location, scale).
    """
    wanted, axes, theta = {f"{name}_loc": location_axes}, set(location_axes), t.thetas[f"{name}_loc"]
    assert_law(t, f"{name}_loc", location)
    for level in levels:
        axes |= {level.over}
        local = ("gene",) if "gene" in axes else (level.over,)
        stem = f"{name}_{level.over}"
        pieces = {s.removeprefix(f"{stem}_"): theta_ for s, theta_ in t.thetas.items() if s.startswith(f"{stem}_")}
        laws, scale = level.laws(pieces), level.scale(pieces)
        if t.centred:
            laws["z"] = normal(theta, scale)
        for piece, law in laws.items():
            own = in_order(axes) if piece == "z" else in_order(level.apart + (() if piece in OF_ALL else local))
            wanted[f"{stem}_{piece}"] = own
            assert_law(t, f"{stem}_{piece}", law)
        theta = pieces["z"] if t.centred else theta + scale * pieces["z"]
    assert t.axes(name) == wanted
    assert t.spec[name].axes == in_order(axes)
    np.testing.assert_allclose(t.log_values[name], theta, rtol=1e-12, atol=1e-12)


# --- the table -------------------------------------------------------------------------------------------------------

PROB = {"canonical": "p", "mean_prob": "p", "mean_odds": "phi"}
MEAN = {"canonical": "r"} | dict.fromkeys((*NB[1:], *TWO_STATE), "mu")
EXCESS = dict.fromkeys(NB, "bnb_concentration")  # its lifted value is log omega
GATE = dict.fromkeys(NB, "gate")
SCALING = dict.fromkeys((*NB, *TWO_STATE), "mu_eta")
ONE, GENE = (), ("gene",)
BASE = "the parameter's base prior"


@dataclass(frozen=True)
class Row:
    """A row: the argument, {parameterization: target}, the axis it spreads over, its population's location (of a Normal)

    and whether that is one or per gene, the gaussian's (m, s) (None: refused), what it needs.
    """

    argument: str
    target: Mapping[str, str]
    over: str
    location: tuple | str
    each: tuple[str, ...]
    gaussian: tuple | None
    needs: tuple[str, ...]

    @property
    def along(self) -> dict:
        """A recipe with what the row needs."""
        found = {"model": "nbdm"}
        for need in self.needs:
            found |= NEEDS[need].given
        return found

    def recipe(self, parameterization: str, family: str) -> dict:
        """With the row's argument set and the family's hyperparameters."""
        found = self.along | {"parameterization": parameterization, "unconstrained": True}
        if parameterization in TWO_STATE:
            found["model"] = {"nbdm": "twostate", "nbvcp": "twostatevcp"}[found["model"]]
        return found | {self.argument: family} | HYPER[family]

    def law(self, target: str, recipe: Mapping) -> Callable:
        """Of the population's location."""
        return law_of(target, recipe) if self.location == BASE else normal(*self.location)


TABLE = (
    Row("prob_prior", PROB, "gene", (0, 1), ONE, (0, 0.5), ("p or phi",)),
    Row("expression_prior", MEAN, "component", BASE, GENE, (-2, 0.5), ("means of components",)),
    Row("zero_inflation_prior", GATE, "gene", (-2, 1), ONE, (-2, 0.5), ("gate",)),
    Row("overdispersion_prior", EXCESS, "gene", (-5, 1), ONE, None, ("bnb",)),
    Row("expression_dataset_prior", MEAN, "dataset", BASE, GENE, (-2, 0.5), ("datasets",)),
    # prob_dataset_mode: gene_specific; scalar and two_level are below
    Row("prob_dataset_prior", PROB, "dataset", (0, 3), GENE, (0, 0.5), ("datasets", "p or phi")),
    Row("zero_inflation_dataset_prior", GATE, "dataset", (-2, 1), GENE, (-2, 0.5), ("datasets", "gate")),
    Row("overdispersion_dataset_prior", EXCESS, "dataset", (-5, 1), GENE, (0, 1), ("datasets", "bnb")),
    Row("capture_scaling_prior", SCALING, "dataset", (LOG_M0, 1), ONE, (-2, 0.5), ("datasets", "eta_capture")),
)


@dataclass(frozen=True)
class Need:
    """Keys that give it; (keys that take it away, words of the reason) of each way to be without."""

    given: Mapping
    without: tuple[tuple[Mapping, str], ...]


BNB = {"overdispersion": "bnb"}
NEEDS = {
    "p or phi": Need(
        {}, (({"parameterization": "mean_disp"}, "neither p nor phi"), ({"model": "twostate"}, "neither p nor phi"))
    ),
    "means of components": Need(
        {"n_components": 2}, (({"n_components": 1}, "n_components to 2"), ({"mixture_params": "prob"}, "mixture_params"))
    ),
    "gate": Need({"model": "zinb"}, tuple(({"model": model}, "no gate") for model in ("nbdm", "nbvcp", "twostate"))),
    "bnb": Need(BNB, (({"overdispersion": "none"}, "overdispersion: bnb"),)),
    "datasets": Need({"dataset_key": "batch"}, (({"dataset_key": None}, "set dataset_key"),)),
    "eta_capture": Need(
        {"model": "nbvcp"} | ECOLI, (({"priors": {}}, "priors.organism"), ({"model": "nbdm", "priors": {}}, "no capture"))
    ),
}


def families(row: Row) -> tuple[str, ...]:
    return FAMILIES if row.gaussian else FAMILIES[1:]


def row_cases():
    """Every row, with every family, and with every parameterization that has its target."""
    for row in TABLE:
        names, own = list(row.target), families(row)
        for i in range(max(len(names), len(own))):
            name, family = names[i % len(names)], own[i % len(own)]
            yield pytest.param(row, name, family, id=f"{row.argument}-{name}-{family}")


@pytest.mark.parametrize("row, parameterization, family", list(row_cases()))
def test_a_row_of_the_table(row, parameterization, family):
    recipe, target = row.recipe(parameterization, family), row.target[parameterization]
    level = Level(family, row.over, row.gaussian)
    assert_hierarchy(traced(recipe), target, row.law(target, recipe), row.each, (level,))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.argument)
@pytest.mark.parametrize("family", FAMILIES[1:])
def test_a_row_has_the_default_hyperparameters(row, family):
    """horseshoe: tau0 1, df 4, s 2; neg: u, a and tau 1."""
    name, target = next(iter(row.target.items()))
    recipe = {k: v for k, v in row.recipe(name, family).items() if k not in HYPER[family]}
    level = Level(family, row.over, hyper=HYPER_DEFAULT[family])
    assert_hierarchy(traced(recipe), target, row.law(target, recipe), row.each, (level,))


@pytest.mark.parametrize("row", [row for row in TABLE if row.location == BASE], ids=lambda row: row.argument)
@pytest.mark.parametrize("parameterization", ["canonical", "mean_odds", "two_state_ratio"])
def test_a_prior_of_the_mean_is_the_one_of_its_location(row, parameterization):
    """priors.mu (r if canonical) acts under an expression prior."""
    target = row.target[parameterization]
    recipe = row.recipe(parameterization, "gaussian") | {"priors": {target: NUMBERS[target]}}
    level = Level("gaussian", row.over, row.gaussian)
    assert_hierarchy(traced(recipe), target, normal(*NUMBERS[target]), row.each, (level,))


def lacking():
    """Every row with each family, without each thing that it needs: all need the real line."""
    for row in TABLE:
        without = [case for need in row.needs for case in NEEDS[need].without]
        for family in families(row):
            for taken, words in (*without, ({"unconstrained": False}, "unconstrained: true")):
                yield pytest.param(row, {row.argument: family} | taken, words, id=f"{row.argument}-{family}-{taken}")
        if row.gaussian is None:
            yield pytest.param(row, {row.argument: "gaussian"}, "horseshoe or neg", id=f"{row.argument}-gaussian")


@pytest.mark.parametrize("row, keys, words", list(lacking()))
def test_a_row_without_what_it_needs_is_refused(row, keys, words):
    with pytest.raises(BadRecipe) as caught:
        config.load(row.along | {"unconstrained": True} | keys).resolve()
    assert caught.value.exit_code == 78 and words in str(caught.value)
    # off the real line there is no bnb to begin with
    assert caught.value.key == ("overdispersion" if "bnb" in row.needs and "unconstrained" in keys else row.argument)


# --- below the table --------------------------------------------------------------------------------------

FREE = {"unconstrained": True}
BATCHES = {"dataset_key": "batch"}


def test_bnb_with_neither_prior_named_has_the_horseshoe():
    recipe = {"model": "nbdm"} | FREE | BNB | HYPER["horseshoe"]
    assert_hierarchy(traced(recipe), "bnb_concentration", normal(-5, 1), ONE, (Level("horseshoe", "gene"),))


def test_omega_is_the_excess_that_concentration_is_made_of():
    """bnb_concentration_unconstrained is log omega."""
    t = traced({"model": "nbdm"} | FREE | BNB | HYPER["horseshoe"])
    found = program.natural(t.spec, t.log_values).core["log_omega"]
    np.testing.assert_allclose(found, t.log_values["bnb_concentration"], rtol=1e-12)


@pytest.mark.parametrize("components", [{}, {"n_components": 2}], ids=["one", "two"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parameterization", ["mean_prob", "mean_odds"])
def test_mode_scalar(parameterization, family, components):
    """p^(d), location N(0,1); with components one of each, the scales shared."""
    name = PROB[parameterization]
    recipe = {"model": "nbdm", "parameterization": parameterization, "prob_dataset_mode": "scalar"}
    recipe |= FREE | BATCHES | {"prob_dataset_prior": family} | HYPER[family] | components
    levels = (Level(family, "dataset", (0, 0.5)),)
    assert_hierarchy(traced(recipe), name, normal(0, 1), ("component",) if components else ONE, levels)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parameterization, centred", [("canonical", False), ("mean_odds", False), ("mean_odds", True)])
def test_mode_two_level(parameterization, centred, family):
    """mu_p^(d) ~ N(m, t), m ~ N(0,1), t = softplus(N(0,.5)); p_g^(d) = mu_p^(d) + scale z, each dataset's its own."""
    name = PROB[parameterization]
    recipe = {"model": "nbdm", "parameterization": parameterization, "prob_dataset_mode": "two_level"}
    recipe |= FREE | BATCHES | {"prob_dataset_prior": family} | HYPER[family]
    levels = (Level("gaussian", "dataset", (0, 0.5)), Level(family, "gene", (0, 0.5), apart=("dataset",)))
    assert_hierarchy(traced(recipe, centred), name, normal(0, 1), ONE, levels)


# the gene-level (component-level) argument, the dataset-level one, target, location
NESTED = (
    ("prob_prior", "prob_dataset_prior", "phi", normal(0, 1), ONE),
    ("expression_prior", "expression_dataset_prior", "mu", normal(1.3, 0.7), GENE),
    ("zero_inflation_prior", "zero_inflation_dataset_prior", "gate", normal(-2, 1), ONE),
    ("overdispersion_prior", "overdispersion_dataset_prior", "bnb_concentration", normal(-5, 1), ONE),
)
# families, and whether it is centred
PAIRS = (("horseshoe", "gaussian", False), ("neg", "horseshoe", False), ("horseshoe", "neg", False), ("neg", "gaussian", True))
ROW = {row.argument: row for row in TABLE}


@pytest.mark.parametrize("inner, outer, centred", PAIRS)
@pytest.mark.parametrize("gene_level, dataset_level, name, location, axes", NESTED, ids=[n[0] for n in NESTED])
def test_two_levels_nest(gene_level, dataset_level, name, location, axes, inner, outer, centred):
    """The first is the location of the second."""
    recipe = {"model": "zinb", "parameterization": "mean_odds", "n_components": 2, "mixture_params": "mean"} | FREE | BATCHES
    recipe |= BNB if name == "bnb_concentration" else {}
    recipe |= {"priors": {"mu": NUMBERS["mu"]}, gene_level: inner, dataset_level: outer} | HYPER[inner] | HYPER[outer]
    levels = (Level(inner, ROW[gene_level].over, ROW[gene_level].gaussian), Level(outer, "dataset", ROW[dataset_level].gaussian))
    assert_hierarchy(traced(recipe, centred), name, location, axes, levels)


@pytest.mark.parametrize(
    "argument, name, location, gaussian",
    [
        ("prob_prior", "phi", normal(0, 1), (0, 0.5)),
        ("zero_inflation_prior", "gate", normal(-2, 1), (-2, 0.5)),
        ("overdispersion_prior", "bnb_concentration", normal(-5, 1), None),
    ],
)
def test_components_share_the_scales_of_genes(argument, name, location, gaussian):
    """lambda, psi and zeta are per gene; z and the location are of each component."""
    recipe = {"model": "zinb", "parameterization": "mean_odds", "n_components": 2} | FREE
    recipe |= (BNB if gaussian is None else {}) | {argument: "horseshoe"} | HYPER["horseshoe"]
    levels = (Level("horseshoe", "gene", gaussian),)
    assert_hierarchy(traced(recipe), name, location, ("component",), levels)


@pytest.mark.parametrize("model", ["nbvcp", "twostatevcp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_molecules_of_each_dataset_move_its_cells(model, family):
    """mu_eta stands for log M_0 in the law of eta."""
    recipe = {"model": model, "capture_scaling_prior": family, "priors": {"capture_efficiency": [6.5, 0.4]}}
    t = traced(recipe | FREE | BATCHES | HYPER[family])
    assert_hierarchy(t, "mu_eta", normal(6.5, 1), ONE, (Level(family, "dataset", (-2, 0.5)),))
    mu_eta = np.asarray(t.log_values["mu_eta"])[:, BATCH]
    assert_law(t, "eta_capture_unconstrained", truncated_normal(mu_eta - np.log(LIBRARY).reshape(1, -1, 1), 0.4))


# --- the mean anchor -------------------------------------------------------------------------------------------------

ANCHOR = {"expression_anchor": True}
SIGMA = {"expression_anchor_sigma": 0.45}


def log_mu_hat(recipe: Mapping) -> np.ndarray:
    """mu_hat_g = (mean_c u_gc + eps) / nu_bar, eps = 1/(2C); over all cells."""
    return np.log((COUNTS.mean(0) + 1 / (2 * N_CELLS)) / nu_bar(recipe)).reshape(1, 1, -1)


ANCHORED = [
    {"model": model, "parameterization": name, "unconstrained": bool(i % 2)} | (ECOLI if model.endswith("vcp") else {})
    for model in MODELS
    for i, name in enumerate(TWO_STATE if "twostate" in model else NB)
]


@pytest.mark.parametrize("recipe", ANCHORED, ids=lambda r: f"{r['model']}-{r['parameterization']}")
def test_the_anchor_is_the_prior_of_the_mean(recipe):
    """log mu_g ~ N(log mu_hat_g, sigma^2); canonical samples mu then, and the others keep their priors."""
    t = traced(recipe | ANCHOR | SIGMA)
    canonical = recipe["parameterization"] == "canonical"
    names = ["mu" if canonical and name == "r" else name for name in sampled(recipe)]
    assert t.axes() == {f"{name}_unconstrained": axes_of(name) for name in names}
    assert_law(t, "mu_unconstrained", normal(log_mu_hat(recipe), 0.45))
    for name in names:
        if name not in ("mu", "eta_capture"):
            assert_law(t, f"{name}_unconstrained", law_of(name, recipe))


def test_the_width_of_the_anchor_is_three_tenths():
    recipe = {"model": "nbvcp", "priors": {"capture_efficiency": [6.0, 0.3]}}
    assert_law(traced(recipe | ANCHOR), "mu_unconstrained", normal(log_mu_hat(recipe), 0.3))


@pytest.mark.parametrize("more", [{}, FREE | {"prob_prior": "gaussian"}], ids=["one p", "p of each gene"])
def test_canonical_derives_r_from_an_anchored_mean(more):
    """r = mu (1-p)/p: given p the density of log r is N(log mu_hat - logit p, sigma^2)."""
    recipe = {"model": "nbdm"} | ANCHOR | SIGMA | more
    t = traced(recipe)
    log_r = np.asarray(program.natural(t.spec, t.log_values).core["log_r"])
    logit_p = np.asarray(t.log_values["p"])
    np.testing.assert_allclose(log_r, t.thetas["mu_unconstrained"] - logit_p, rtol=1e-12)
    given_p = normal(log_mu_hat(recipe) - logit_p, 0.45)(log_r)
    np.testing.assert_allclose(t.log_density("mu_unconstrained"), given_p, rtol=1e-9)


@pytest.mark.parametrize("parameterization", ["canonical", "mean_odds", "mean_disp", "two_state_mean_fano"])
@pytest.mark.parametrize("argument", ["expression_prior", "expression_dataset_prior"])
def test_with_a_hierarchy_the_anchor_is_the_prior_of_its_location(argument, parameterization):
    """And expression priors act on mu, of canonical too."""
    recipe = ROW[argument].recipe(parameterization, "neg") | ANCHOR | SIGMA
    level = Level("neg", ROW[argument].over)
    assert_hierarchy(traced(recipe), "mu", normal(log_mu_hat(recipe), 0.45), GENE, (level,))


def test_both_expression_levels_stand_on_the_anchor():
    recipe = {"model": "nbvcp", "n_components": 2, "expression_prior": "horseshoe", "expression_dataset_prior": "gaussian"}
    recipe |= FREE | BATCHES | ANCHOR | SIGMA | ECOLI | HYPER["horseshoe"]
    levels = (Level("horseshoe", "component"), Level("gaussian", "dataset", (-2, 0.5)))
    assert_hierarchy(traced(recipe), "mu", normal(log_mu_hat(recipe), 0.45), GENE, levels)


def test_a_mean_that_components_share_is_anchored_without_a_hierarchy():
    """Only where the mean has a component axis does the anchor need expression_prior."""
    recipe = {"model": "nbdm", "parameterization": "mean_odds", "n_components": 2, "mixture_params": "prob"} | ANCHOR
    t = traced(recipe)
    assert t.axes("mu") == {"mu_unconstrained": ("gene",)}
    assert_law(t, "mu_unconstrained", normal(log_mu_hat(recipe), 0.3))
