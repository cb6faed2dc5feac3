"""The log joint of a recipe, written a second time from MODELS.md: loops, scipy and mpmath; nothing of the package.

A recipe's mapping becomes a Model (its parameters, each with the chain of its prior), and a Model with lifted values at
its sites a density. Values are rank 3: (component, dataset or cell, gene), size 1 where they do not vary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import mpmath as mp
import numpy as np
from scipy import stats
from scipy.special import expit, logsumexp

ORDER = ("component", "dataset", "cell", "gene")
DIGITS = 30

ALIASES = {
    "standard": "canonical",
    "linked": "mean_prob",
    "odds_ratio": "mean_odds",
    "natural": "two_state_natural",
    "ratio": "two_state_ratio",
    "mean_fano": "two_state_mean_fano",
    "fano": "two_state_mean_fano",
    "moment_delta": "two_state_moment_delta",
    "delta": "two_state_moment_delta",
}
SAMPLED = {  # MODELS.md 2
    "canonical": ("r", "p"),
    "mean_prob": ("mu", "p"),
    "mean_odds": ("mu", "phi"),
    "mean_disp": ("mu", "r"),
    "two_state_natural": ("mu", "burst_size", "k_off"),
    "two_state_ratio": ("mu", "burst_size", "switching_ratio"),
    "two_state_mean_fano": ("mu", "excess_fano", "concentration"),
    "two_state_moment_delta": ("mu", "excess_fano", "inv_concentration"),
}
SLOTS = (("burst_size", "excess_fano"), ("k_off", "switching_ratio", "concentration", "inv_concentration"))
UNIT = ("p", "gate", "p_capture", "inv_concentration")
M_0 = {"human": 2e5, "mouse": 2e5, "yeast": 6e4, "ecoli": 3e3}
GAUSSIAN = {  # MODELS.md 4: (m, s) of sigma = softplus(x), x ~ N(m, s)
    "prob_prior": (0.0, 0.5),
    "expression_prior": (-2.0, 0.5),
    "zero_inflation_prior": (-2.0, 0.5),
    "expression_dataset_prior": (-2.0, 0.5),
    "prob_dataset_prior": (0.0, 0.5),
    "zero_inflation_dataset_prior": (-2.0, 0.5),
    "overdispersion_dataset_prior": (0.0, 1.0),
    "capture_scaling_prior": (-2.0, 0.5),
}
PIECES = {"gaussian": ("scale",), "horseshoe": ("tau", "c2", "lambda"), "neg": ("zeta", "psi")}
OF_ALL = ("scale", "tau", "c2")  # pieces that all elements share


@dataclass(frozen=True)
class Data:
    """counts (cells, genes); of each cell its dataset's code, its label's (-1: none) and the log of its library size.

    rows: the cells that the rows of cell parameters stand for; weight: of each row, in its prior and its likelihood.
    """

    counts: np.ndarray
    dataset_of_cell: np.ndarray
    annotation: np.ndarray
    log_library: np.ndarray
    n_datasets: int
    rows: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Level:
    """One level of a hierarchy; args are the family's, (m, s) for gaussian; apart: the axes of what is its own in `scale`."""

    family: str
    over: str
    args: tuple[float, ...]
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Param:
    """support: unit, positive, softplus, real, log or simplex. base: (family, arguments). levels: the innermost first."""

    name: str
    support: str
    axes: tuple[str, ...]
    base: tuple
    levels: tuple[Level, ...] = ()

    @cached_property
    def base_site(self) -> str:
        return f"{self.name}_loc" if self.levels else f"{self.name}_unconstrained"

    def sites(self) -> dict[str, tuple[str, ...]]:
        """{site: axes}; the components of a simplex are one element of it, no axis."""
        if self.support == "simplex":
            return {self.base_site: tuple(a for a in self.axes if a != "component")}
        over = {level.over for level in self.levels}
        found = {self.base_site: tuple(a for a in self.axes if a not in over)}
        seen = set(found[self.base_site])
        for level in self.levels:
            seen |= {level.over}
            axes = tuple(a for a in ORDER if a in seen)
            stem = f"{self.name}_{level.over}"
            local = ("gene",) if "gene" in axes else (level.over,)
            for piece in PIECES[level.family]:
                found[f"{stem}_{piece}"] = level.apart + (() if piece in OF_ALL else local)
            found[f"{stem}_z"] = axes
        return found


# --- from a recipe to its parameters --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """What MODELS.md makes of a recipe."""

    recipe: Mapping

    def get(self, key, default=None):
        return self.recipe.get(key, default)

    @cached_property
    def parameterization(self) -> str:
        given = self.get("parameterization", "two_state_natural" if self.two_state else "canonical")
        return ALIASES.get(given, given)

    @property
    def two_state(self) -> bool:
        return self.recipe["model"].startswith("twostate")

    @property
    def gated(self) -> bool:
        return self.recipe["model"].startswith("zinb")

    @property
    def bnb(self) -> bool:
        return self.get("overdispersion") == "bnb"

    @property
    def n_components(self) -> int:
        return self.get("n_components", 1)

    @property
    def priors(self) -> Mapping:
        return self.get("priors", {})

    @property
    def confidence(self) -> float:
        return self.get("annotation_confidence", 3.0) if self.get("annotation_key") else 0.0

    @property
    def informed(self) -> tuple[float, float] | None:
        """(log M_0, sigma_M) of biology-informed capture."""
        if "organism" in self.priors:
            return math.log(M_0[self.priors["organism"]]), 0.3
        return tuple(self.priors["capture_efficiency"]) if "capture_efficiency" in self.priors else None

    @property
    def capture(self) -> str | None:
        if not self.recipe["model"].endswith("vcp"):
            return None
        if self.informed:
            return "eta_capture"
        return "phi_capture" if self.parameterization == "mean_odds" else "p_capture"

    @cached_property
    def core(self) -> tuple[str, ...]:
        """Sampled core parameters; under an anchor canonical samples mu."""
        sampled = SAMPLED[self.parameterization]
        anchored = self.get("expression_anchor") and self.parameterization == "canonical"
        return ("mu", "p") if anchored else sampled

    @cached_property
    def of_components(self) -> set[str]:
        """Names with a component axis."""
        if self.n_components < 2:
            return set()
        asked, (mean, *others) = self.get("mixture_params", "all"), self.core
        everything = {*self.core, "gate", "bnb_concentration"}
        named = {"all": everything, "biological": set(self.core), "mean": {mean}, "prob": {"p", "phi"} & set(others), "gate": {"gate"}}
        return named[asked] if isinstance(asked, str) else {self._by_slot(name) for name in asked}

    def _by_slot(self, name: str) -> str:
        for slot in SLOTS:
            if name in slot:
                return next(own for own in self.core if own in slot)
        return name

    @cached_property
    def params(self) -> dict[str, Param]:
        names = [*self.core, *["bnb_concentration"] * self.bnb, *["gate"] * self.gated]
        found = [self._param(name) for name in names]
        if self.get("capture_scaling_prior"):
            base = ("normal", self.informed[0], 1.0)
            found.append(Param("mu_eta", "real", ("dataset",), base, (self._level("capture_scaling_prior", "dataset"),)))
        if self.capture:
            found.append(Param(self.capture, self._support(self.capture), ("cell",), self._base(self.capture)))
        if self.n_components > 1:
            own = self.get("dataset_key") and self.get("dataset_mixing") is not False
            axes = ("component", "dataset") if own else ("component",)
            found.append(Param("mixing_weights", "simplex", axes, ("dirichlet", self.priors.get("mixing_weights", 1.0))))
        return {param.name: param for param in found}

    def sites(self) -> dict[str, tuple[str, ...]]:
        return {site: axes for param in self.params.values() for site, axes in param.sites().items()}

    def _param(self, name: str) -> Param:
        levels, base = self._prior(name)
        overs = {level.over for level in levels}
        by_gene = name not in ("p", "phi") or "gene" in overs or self._prob_by_gene
        axes = ({"component"} if name in self.of_components else set()) | overs | ({"gene"} if by_gene else set())
        return Param(name, self._support(name), tuple(a for a in ORDER if a in axes), base, levels)

    @property
    def _prob_by_gene(self) -> bool:
        return bool(self.get("prob_dataset_prior")) and self._prob_mode != "scalar"

    @property
    def _prob_mode(self) -> str:
        return self.get("prob_dataset_mode", "gene_specific")

    def _support(self, name: str) -> str:
        if name in UNIT:
            return "unit"
        if name == "bnb_concentration":  # its lifted value is log omega
            return "log"
        asked = self.get("positive_transform", "exp")
        soft = asked.get(name) == "softplus" if isinstance(asked, Mapping) else asked == "softplus" and name not in ("mu", "r")
        return "softplus" if soft and not name.endswith("_capture") else "positive"

    def _prior(self, name: str) -> tuple[tuple[Level, ...], tuple]:
        """(levels, base) of a core parameter, bnb_concentration or the gate."""
        if name == self.core[0]:
            return self._levels(("expression_prior", "component"), ("expression_dataset_prior", "dataset")), self._mean_base(name)
        if name in ("p", "phi") and (self.get("prob_prior") or self.get("prob_dataset_prior")):
            return self._prob_prior(name)
        if name == "gate":
            return self._levels(("zero_inflation_prior", "gene"), ("zero_inflation_dataset_prior", "dataset")), self._base(name)
        if name == "bnb_concentration":
            return self._excess_prior()
        return (), self._base(name)

    def _prob_prior(self, name: str):
        if not self.get("prob_dataset_prior"):
            return self._levels(("prob_prior", "gene")), self._lifted(name, 0.0, 1.0)
        if self._prob_mode == "scalar":
            return self._levels(("prob_dataset_prior", "dataset")), self._lifted(name, 0.0, 1.0)
        if self._prob_mode == "two_level":
            inner = Level("gaussian", "dataset", (0.0, 0.5))
            return (inner, self._level("prob_dataset_prior", "gene", ("dataset",))), self._lifted(name, 0.0, 1.0)
        nested = self._levels(("prob_prior", "gene"), ("prob_dataset_prior", "dataset"))
        return nested, self._lifted(name, 0.0, 1.0 if self.get("prob_prior") else 3.0)

    def _excess_prior(self):
        dataset = self.get("overdispersion_dataset_prior")
        gene = self.get("overdispersion_prior") or (None if dataset else "horseshoe")
        levels = [Level(gene, "gene", self._args("overdispersion_prior", gene))] if gene else []
        levels += self._levels(("overdispersion_dataset_prior", "dataset"))
        return tuple(levels), ("normal", -5.0, 1.0)

    def _levels(self, *asked) -> tuple[Level, ...]:
        return tuple(self._level(key, over) for key, over in asked if self.get(key))

    def _level(self, key, over, apart=()) -> Level:
        return Level(self.get(key), over, self._args(key, self.get(key)), apart)

    def _args(self, key: str, family: str) -> tuple[float, ...]:
        if family == "gaussian":
            return GAUSSIAN[key]
        if family == "horseshoe":
            names = (("horseshoe_tau0", 1.0), ("horseshoe_slab_df", 4.0), ("horseshoe_slab_scale", 2.0))
        else:
            names = (("neg_u", 1.0), ("neg_a", 1.0), ("neg_tau", 1.0))
        return tuple(float(self.get(name, default)) for name, default in names)

    def _mean_base(self, name: str):
        if self.get("expression_anchor"):
            return self._lifted(name, "log_mu_hat", self.get("expression_anchor_sigma", 0.3))
        return self._base(name)

    def _base(self, name: str) -> tuple:
        """The prior where no hierarchy or anchor is set (MODELS.md 3), its hyperparameters perhaps the recipe's."""
        free, given = self.get("unconstrained", False), self.priors.get(name)
        if name == "eta_capture":
            return ("library_size", *self.informed)
        if name in ("p_capture", "phi_capture"):
            return ("beta" if name == "p_capture" else "beta_prime", *(given or (1.0, 1.0)))
        beta = {"p": ("beta", 1.0, 1.0), "phi": ("beta_prime", 1.0, 1.0), "gate": ("beta", 1.0, 9.0), "inv_concentration": ("beta", 1.0, 50.0)}
        if name in beta and not free:
            return (beta[name][0], *given) if given else beta[name]
        if given and self._support(name) == "softplus":  # hyperparameters of the lifted value itself
            return ("normal", *given)
        return self._lifted(name, *(given or self._normal(name)))

    def _normal(self, name: str) -> tuple:
        if name == "mu":
            return ("log_mu_hat", 1.0) if self.two_state else (0.0, 3.0)
        if name == "r":
            return 0.0, 3.0 if self.parameterization == "canonical" else 1.5
        burst = (2.0, 2.0) if self.capture == "eta_capture" else (0.0, 1.5)
        shared = {"p": (0.0, 1.0), "phi": (0.0, 1.0), "gate": (-2.0, 1.0), "inv_concentration": (-3.0, 2.0)}
        return shared.get(name) or (burst if name in SLOTS[0] else (3.0, 2.0))

    def _lifted(self, name: str, loc, scale) -> tuple:
        """Normal through the transform: softplus moves the location to where e^loc then lies."""
        soft = self._support(name) == "softplus"
        return ("normal", math.log(math.expm1(math.exp(loc))) if soft else loc, scale)


def log_mu_hat(model: Model, data: Data) -> np.ndarray:
    """(genes,): log((sum_c u + 1/2) / (C nu_bar)), nu_bar the mean capture that the priors expect."""
    nu_bar = 1.0
    if model.informed and model.capture:
        nu_bar = min(1.0, np.exp(data.log_library).mean() / math.exp(model.informed[0]))
    elif model.capture:
        a, b = model.priors.get(model.capture, (1.0, 1.0))
        nu_bar = a / (a + b)
    return np.log((data.counts.sum(0) + 0.5) / (len(data.counts) * nu_bar))


def sizes(model: Model, data: Data) -> dict[str, int]:
    return {"component": model.n_components, "dataset": data.n_datasets, "cell": len(data.rows), "gene": data.counts.shape[1]}


def shape(param: Param, axes, size: Mapping) -> tuple[int, ...]:
    """Rank 3; a simplex is (1, dataset or 1, 1, components - 1)."""
    if param.support == "simplex":
        return 1, size["dataset"] if "dataset" in axes else 1, 1, size["component"] - 1
    middle = size["dataset"] if "dataset" in axes else size["cell"] if "cell" in axes else 1
    return size["component"] if "component" in axes else 1, middle, size["gene"] if "gene" in axes else 1


def shapes(model: Model, data: Data) -> dict[str, tuple[int, ...]]:
    size = sizes(model, data)
    return {site: shape(param, axes, size) for param in model.params.values() for site, axes in param.sites().items()}


# --- the prior ------------------------------------------------------------------------------------------------------


def scale(param: Param, level: Level, thetas: Mapping) -> np.ndarray:
    at = {piece: np.asarray(thetas[f"{param.name}_{level.over}_{piece}"]) for piece in PIECES[level.family]}
    if level.family == "gaussian":
        return np.log1p(np.exp(at["scale"]))
    if level.family == "neg":
        return np.sqrt(np.exp(at["psi"]))
    tau, lam, c2 = np.exp(at["tau"]), np.exp(at["lambda"]), np.exp(at["c2"])
    return tau * np.sqrt(c2) * lam / np.sqrt(c2 + tau**2 * lam**2)


def lifted(param: Param, thetas: Mapping) -> np.ndarray:
    """theta of a parameter: location plus scale times z, level upon level."""
    theta = np.asarray(thetas[param.base_site])
    for level in param.levels:
        theta = theta + scale(param, level, thetas) * np.asarray(thetas[f"{param.name}_{level.over}_z"])
    return theta


def log_of(law, theta):
    """log density of theta = log x for x ~ law."""
    return law.logpdf(np.exp(theta)) + theta


def log_level(param: Param, level: Level, thetas: Mapping) -> float:
    at = {p: np.asarray(thetas[f"{param.name}_{level.over}_{p}"]) for p in (*PIECES[level.family], "z")}
    total = stats.norm.logpdf(at["z"]).sum()
    if level.family == "gaussian":
        return total + stats.norm.logpdf(at["scale"], *level.args).sum()
    if level.family == "horseshoe":
        tau0, df, slab = level.args
        total += log_of(stats.halfcauchy(scale=tau0), at["tau"]).sum()
        total += log_of(stats.halfcauchy(), at["lambda"]).sum()
        return total + log_of(stats.invgamma(df / 2, scale=df * slab**2 / 2), at["c2"]).sum()
    u, a, tau = level.args
    total += log_of(stats.gamma(a, scale=1 / tau), at["zeta"]).sum()
    return total + log_of(stats.gamma(u, scale=1 / np.exp(at["zeta"])), at["psi"]).sum()


def log_base(model: Model, param: Param, thetas: Mapping, data: Data) -> float:
    theta, (family, *args) = np.asarray(thetas[param.base_site]), param.base
    if family == "normal":
        loc, sd = args
        return stats.norm.logpdf(theta, log_mu_hat(model, data) if loc == "log_mu_hat" else loc, sd).sum()
    if family in ("beta", "beta_prime"):  # phi = (1 - p) / p: log phi = -logit p
        p = expit(theta if family == "beta" else -theta)
        terms = stats.beta.logpdf(p, *args) + np.log(p) + np.log1p(-p)
        return (terms * data.weight.reshape(1, -1, 1) if "cell" in param.axes else terms).sum()
    if family == "dirichlet":
        return sum(log_dirichlet(row, args[0]) for row in theta[0, :, 0])
    return log_eta(model, theta, args, thetas, data)


def log_dirichlet(theta: np.ndarray, a: float) -> float:
    """Of log(w_k / w_K), (K - 1,): the Jacobian is the product of all weights."""
    w = weights(theta)
    return stats.dirichlet.logpdf(w, np.full(len(w), a)) + np.log(w).sum()


def weights(theta: np.ndarray) -> np.ndarray:
    e = np.exp(np.append(theta, 0.0))
    return e / e.sum()


def log_eta(model: Model, theta, args, thetas: Mapping, data: Data) -> float:
    """eta ~ N(log M_0 - log L_c, sigma_M) truncated to eta >= 0, in log eta."""
    log_m0, sigma = args
    total = 0.0
    for row, c in enumerate(data.rows):
        if "mu_eta" in model.params:
            log_m0 = float(lifted(model.params["mu_eta"], thetas)[0, data.dataset_of_cell[c], 0])
        loc = log_m0 - data.log_library[c]
        law = stats.truncnorm(-loc / sigma, np.inf, loc, sigma)
        total += data.weight[row] * log_of(law, float(theta[0, row, 0]))
    return total


def log_prior(model: Model, thetas: Mapping, data: Data) -> float:
    total = 0.0
    for param in model.params.values():
        total += log_base(model, param, thetas, data)
        total += sum(log_level(param, level, thetas) for level in param.levels)
    return float(total)


# --- values and the likelihood --------------------------------------------------------------------------------------

VALUE = {
    "unit": expit,
    "positive": np.exp,
    "softplus": lambda t: np.log1p(np.exp(t)),
    "log": np.exp,
    "real": lambda t: t,
}
NU = {"p_capture": lambda v: v, "phi_capture": lambda v: 1 / (1 + v), "eta_capture": lambda v: np.exp(-v)}


def values(model: Model, thetas: Mapping) -> dict[str, np.ndarray]:
    """{parameter: natural value, rank 3}; bnb_concentration stands as omega; the weights come apart."""
    some = {n: p for n, p in model.params.items() if p.support != "simplex"}
    found = {name: VALUE[param.support](lifted(param, thetas)) for name, param in some.items()}
    if model.bnb:
        found["omega"] = found.pop("bnb_concentration")
    return found


def negative_binomial(parameterization: str, v: Mapping) -> tuple:
    """(r, p) of MODELS.md 2; p multiplies the count."""
    if parameterization == "canonical":
        return (v["r"], v["p"]) if "r" in v else (v["mu"] * (1 - v["p"]) / v["p"], v["p"])
    if parameterization == "mean_prob":
        return v["mu"] * (1 - v["p"]) / v["p"], v["p"]
    if parameterization == "mean_odds":
        return v["mu"] * v["phi"], 1 / (1 + v["phi"])
    return v["r"], v["mu"] / (v["mu"] + v["r"])


def two_state(parameterization: str, v: Mapping) -> tuple:
    """(alpha, beta, r_hat) of MODELS.md 2."""
    mu = v["mu"]
    if parameterization == "two_state_natural":
        b, k_off = v["burst_size"], v["k_off"]
        return mu / b, k_off, mu + b * k_off
    if parameterization == "two_state_ratio":
        b, s = v["burst_size"], v["switching_ratio"]
        return mu / b, s * mu / b, mu * (1 + s)
    fano = v["excess_fano"]
    if parameterization == "two_state_mean_fano":
        kappa = v["concentration"]
        d = mu + fano * (kappa + 1)
        return kappa * mu / d, kappa * fano * (kappa + 1) / d, d
    delta = v["inv_concentration"]
    d = mu * delta + fano
    return mu * (1 - delta) / d, fano * (1 - delta) / (delta * d), d / delta


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_choose(r, u: int):
    """log C(u + r - 1, u)."""
    return mp.loggamma(r + u) - mp.loggamma(r) - mp.loggamma(u + 1)


def log_count(model: Model, v: Mapping, nu: float, u: int):
    """log P of one count: the kernel thinned by nu, then the gate."""
    v, nu = {name: mp.mpf(float(value)) for name, value in v.items()}, mp.mpf(float(nu))
    if model.two_state:
        alpha, beta, rate = two_state(model.parameterization, v)
        rate = rate * nu
        return (
            u * mp.log(rate) - mp.loggamma(u + 1) + log_beta(alpha + u, beta) - log_beta(alpha, beta)
            - rate + mp.log(mp.hyp1f1(beta, alpha + beta + u, rate, maxterms=10**6))
        )  # fmt: skip
    r, p = negative_binomial(model.parameterization, v)
    p_hat = p * nu / (1 - p * (1 - nu))
    if model.bnb:
        kappa = 2 + (r + 1) / v["omega"]
        a = p_hat * (kappa - 1) / (1 - p_hat)
        f = log_choose(r, u) + log_beta(a + u, kappa + r) - log_beta(a, kappa)
    else:
        f = log_choose(r, u) + r * mp.log(1 - p_hat) + u * mp.log(p_hat)
    if not model.gated:
        return f
    return mp.log(v["gate"] * (u == 0) + (1 - v["gate"]) * mp.exp(f))


def at(value: np.ndarray, k: int, middle: int, g: int) -> float:
    """An element of a rank-3 value; slots of size 1 stand for all."""
    a, b, c = value.shape
    return float(value[k if a > 1 else 0, middle if b > 1 else 0, g if c > 1 else 0])


def log_cell(model: Model, v: Mapping, row: int, k: int, data: Data) -> float:
    """sum_g log f_k(u_gc)."""
    nu = NU[model.capture](at(v[model.capture], 0, row, 0)) if model.capture else 1.0
    total, c = 0.0, data.rows[row]
    for g, u in enumerate(data.counts[c]):
        core = {n: at(x, k, data.dataset_of_cell[c], g) for n, x in v.items() if n not in (model.capture, "mu_eta")}
        total += float(log_count(model, core, nu, int(u)))
    return total


def log_weights(model: Model, thetas: Mapping, c: int, data: Data) -> np.ndarray:
    """Of the components of a cell: its dataset's, pulled towards its label's."""
    rows = np.asarray(thetas["mixing_weights_unconstrained"])[0, :, 0]
    log_w = np.log(weights(rows[data.dataset_of_cell[c] if len(rows) > 1 else 0]))
    if not model.confidence or data.annotation[c] < 0:
        return log_w
    raised = log_w + model.confidence * (np.arange(len(log_w)) == data.annotation[c])
    return raised - logsumexp(raised)


def log_likelihood(model: Model, thetas: Mapping, data: Data) -> float:
    v, total = values(model, thetas), 0.0
    with mp.workdps(DIGITS):
        for row, c in enumerate(data.rows):
            log_f = np.array([log_cell(model, v, row, k, data) for k in range(model.n_components)])
            log_w = log_weights(model, thetas, c, data) if model.n_components > 1 else 0.0
            total += data.weight[row] * logsumexp(log_f + log_w)
    return float(total)


def log_joint(model: Model, thetas: Mapping, data: Data) -> float:
    """Log prior in the lifted coordinates plus log likelihood, at {site: theta}."""
    return log_prior(model, thetas, data) + log_likelihood(model, thetas, data)


# --- what is reported -----------------------------------------------------------------------------------------------


def reported(model: Model, thetas: Mapping) -> dict[str, np.ndarray]:
    """Every reported parameter at {site: theta}, rank 3 (MODELS.md 2); mixing_weights (component, dataset or 1, 1)."""
    v = values(model, thetas)
    if model.two_state:
        found = of_two_state(*two_state(model.parameterization, v))
    else:
        r, p = negative_binomial(model.parameterization, v)
        found = {"r": r, "p": p, "phi": (1 - p) / p, "mu": r * p / (1 - p)}
        found |= {"omega": v["omega"], "bnb_concentration": 2 + (r + 1) / v["omega"]} if model.bnb else {}
    found |= {name: v[name] for name in ("gate", "mu_eta") if name in v}
    if model.capture:
        nu = NU[model.capture](v[model.capture])
        found |= {"p_capture": nu, "phi_capture": 1 / nu - 1, "eta_capture": -np.log(nu)}
    if "mixing_weights" in model.params:
        rows = np.asarray(thetas["mixing_weights_unconstrained"])[0, :, 0]
        found["mixing_weights"] = np.array([weights(row) for row in rows]).T[..., None]
    return found


def of_two_state(alpha, beta, rate) -> dict[str, np.ndarray]:
    total = alpha + beta
    return {
        "mu": rate * alpha / total,
        "alpha": alpha,
        "beta": beta,
        "r_hat": rate,
        "k_on": alpha,
        "k_off": beta,
        "burst_size": rate / total,
        "switching_ratio": beta / alpha,
        "concentration": total,
        "inv_concentration": 1 / (total + 1),
        "excess_fano": rate * beta / (total * (total + 1)),
    }


def reported_axes(model: Model) -> dict[str, tuple[str, ...]]:
    """A sampled parameter's own axes; of a derived value those of all that its formula reads."""
    own = {name: param.axes for name, param in model.params.items()}
    every = lambda *names: tuple(a for a in ORDER if any(a in own[n] for n in names))  # noqa: E731
    core = every(*model.core)
    found = dict.fromkeys(of_two_state(1.0, 1.0, 1.0) if model.two_state else ("r", "p", "phi", "mu"), core)
    found |= {name: own[name] for name in model.core} | derived_axes(model, own, every)
    if model.bnb:
        found |= {"omega": own["bnb_concentration"], "bnb_concentration": every(*READ_BY_R[model.core], "bnb_concentration")}
    found |= {name: own[name] for name in ("gate", "mu_eta", "mixing_weights") if name in own}
    return found | (dict.fromkeys(NU, ("cell",)) if model.capture else {})


READ_BY_R = {("r", "p"): ("r",), ("mu", "p"): ("mu", "p"), ("mu", "phi"): ("mu", "phi"), ("mu", "r"): ("r",)}


def derived_axes(model: Model, own: Mapping, every) -> dict[str, tuple[str, ...]]:
    """Of derived values that read fewer than all core parameters."""
    prob = next((name for name in ("p", "phi") if name in own), None)
    if prob:
        return {"p": own[prob], "phi": own[prob]}
    if model.parameterization == "two_state_natural":
        return {"beta": own["k_off"]} | dict.fromkeys(("alpha", "k_on"), every("mu", "burst_size"))
    if model.parameterization == "two_state_ratio":
        return {"r_hat": every("mu", "switching_ratio")} | dict.fromkeys(("alpha", "k_on"), every("mu", "burst_size"))
    tied = ("concentration", "inv_concentration")
    return dict.fromkeys(tied, own[next(name for name in tied if name in own)]) if model.two_state else {}
