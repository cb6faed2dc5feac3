"""Specs and small data that the tests share: one shape of counts, and compiled joints kept by name.

Written from MODELS.md alone (sections 1 to 3), without the recipe layer, so that a test of the core says nothing
about the recipe and the other way round.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from scipy.sparse import csr_array

from scribe_cli.core.facts import Facts
from scribe_cli.core.model import program
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.core.numerics import chebyshev, lanes
from scribe_cli.core.numerics.counts import pack_cell_pairs, pack_pairs, pack_tails
from scribe_cli.core.model.supports import SUPPORTS

N_CELLS, N_GENES = 12, 7
SIZES = {"cell": N_CELLS, "gene": N_GENES}

# name: (has capture, has a gate)
MODELS = {"nbdm": (False, False), "nbvcp": (True, False), "zinb": (False, True), "zinbvcp": (True, True)}

# name: ((sampled core parameter, role, support), ...), capture coordinate
PARAMETERIZATIONS = {
    "canonical": ((("r", "mean", "positive"), ("p", "prob", "unit")), "p_capture"),
    "mean_prob": ((("mu", "mean", "positive"), ("p", "prob", "unit")), "p_capture"),
    "mean_odds": ((("mu", "mean", "positive"), ("phi", "prob", "positive")), "phi_capture"),
    "mean_disp": ((("mu", "mean", "positive"), ("r", "dispersion", "positive")), "p_capture"),
}

# Lopsided hyperparameters where the defaults are symmetric, so that a swap of a and b shows.
CONSTRAINED = {
    "p": Prior("beta", {"a": 2.0, "b": 5.0}),
    "phi": Prior("beta_prime", {"a": 2.0, "b": 5.0}),
    "mu": Prior("normal", {"loc": 0.5, "scale": 3.0}),
    "r": Prior("normal", {"loc": -0.5, "scale": 1.5}),
    "gate": Prior("beta", {"a": 1.0, "b": 9.0}),
    "p_capture": Prior("beta", {"a": 2.0, "b": 5.0}),
    "phi_capture": Prior("beta_prime", {"a": 2.0, "b": 5.0}),
    "eta_capture": Prior("library_size", {"log_M0": 9.0, "sigma_M": 0.3, "log_library": "log_library"}),
}
UNCONSTRAINED = CONSTRAINED | {
    "p": Prior("normal", {"loc": 0.0, "scale": 1.0}),
    "phi": Prior("normal", {"loc": 0.0, "scale": 1.0}),
    "gate": Prior("normal", {"loc": -2.0, "scale": 1.0}),
}
SUPPORT = {"gate": "unit", "p_capture": "unit", "phi_capture": "positive", "eta_capture": "positive"}


def spec(
    model, parameterization="canonical", *, priors=CONSTRAINED, capture=None, by_gene=(), supports=()
) -> ModelSpec:
    """A spec of one component; `by_gene` names parameters that become a gene's own, `supports` replaces some."""
    captured, gated = MODELS[model]
    core, default_capture = PARAMETERIZATIONS[parameterization]
    capture = (capture or default_capture) if captured else None
    supports = {n: s for n, _, s in core} | SUPPORT | dict(supports)

    def param(name, role, axes):
        return ParamSpec(name, role, supports[name], axes, priors[name])

    shared = {"p", "phi"} - set(by_gene)
    params = [param(n, role, () if n in shared else ("gene",)) for n, role, _ in core]
    params += [param("gate", "gate", ("gene",))] if gated else []
    params += [param(capture, "capture", ("cell",))] if capture else []
    return ModelSpec("negative_binomial", parameterization, tuple(params), capture=capture, gated=gated)


def _specs() -> dict[str, ModelSpec]:
    found = {f"{m}-{p}": spec(m, p) for m in MODELS for p in PARAMETERIZATIONS}
    found["nbdm-mean_prob-gene_p"] = spec("nbdm", "mean_prob", priors=UNCONSTRAINED, by_gene=("p",))
    found["zinb-mean_odds-gene_phi"] = spec("zinb", "mean_odds", priors=UNCONSTRAINED, by_gene=("phi",))
    found["nbvcp-canonical-gene_p"] = spec("nbvcp", "canonical", priors=UNCONSTRAINED, by_gene=("p",))
    found["nbvcp-mean_odds-eta"] = spec("nbvcp", "mean_odds", capture="eta_capture")
    found["zinbvcp-mean_prob-eta"] = spec("zinbvcp", "mean_prob", priors=UNCONSTRAINED, capture="eta_capture")
    found["nbvcp-mean_prob-softplus"] = spec("nbvcp", "mean_prob", supports={"mu": "positive_softplus"})
    return found


SPECS = _specs()


def counts() -> np.ndarray:
    """(cells, genes): a silent gene, an empty cell, counts above the widest tail bucket, cells with equal totals."""
    u = np.random.default_rng(3).negative_binomial(1.5, [[0.9, 0.3, 0.6, 0.05, 0.5, 0.4, 0.2]], (N_CELLS, N_GENES))
    u[:, 2] = 0
    u[4] = 0
    u[1, 6], u[7, 6], u[2, 3] = 5000, 12000, 300
    u[9, [0, 1, 3, 4, 5, 6]] = u[7, [1, 0, 3, 4, 6, 5]]
    u[10] = u[3]
    return u


COUNTS = counts()
NU = (0.02, 0.9)  # between which captures lie
LOG_NU = (np.log(NU[0]) - 0.1, 0.0)
LOG_LIBRARY = np.log(np.maximum(1.0, COUNTS.sum(1) + 40.0))


def facts(weight=1.0) -> Facts:
    return Facts(dict(SIZES), {"log_library": LOG_LIBRARY}, weight)


def histogram(u):
    """(gene, count >= 1, number of cells), sorted."""
    gene, count = np.nonzero(u.T)[0], u.T[u.T > 0]
    pairs, n = np.unique(np.stack([gene, count]), axis=1, return_counts=True)
    return pairs[0], pairs[1], n


def stats(u=COUNTS) -> dict:
    """Everything that some lane reads of counts (cells, genes)."""
    tails, pairs = pack_tails(*histogram(u), *u.shape), pack_pairs(None, *histogram(u), *u.shape)
    held = pack_cell_pairs(csr_array(u.astype(np.int32)), np.zeros(len(u), int), pairs)
    return {
        "counts": u,
        "tails": tails,
        "row_total": u.sum(1).astype(float),
        "pairs": pairs,
        "cell_pairs": held,
        "parts": tuple(part(u, np.arange(u.shape[1]) % 2 == i, k) for i, k in enumerate((64, 80)[: u.shape[1]])),
    }


def part(u, genes, k: int) -> dict:
    """Of the smooth lane: some genes, with k nodes."""
    pairs = pack_pairs(genes, *histogram(u), *u.shape)
    held = pack_cell_pairs(csr_array(u.astype(np.int32)), np.zeros(len(u), int), pairs)
    return {"pairs": pairs, "cell_pairs": held, "nodes": chebyshev.nodes(*LOG_NU, k)}


@functools.cache
def joint(name: str, lane: str):
    """Compiled f(thetas, facts, stats) -> log joint of SPECS[name]."""
    return jax.jit(program.log_joint(SPECS[name], lanes.load()[lane]))


@functools.cache
def joint_and_slopes(name: str, lane: str):
    return jax.jit(jax.value_and_grad(program.log_joint(SPECS[name], lanes.load()[lane])))


def log_values(name: str, thetas: dict) -> dict:
    """{parameter: log-scale value} at {site: theta}."""
    return {q.name: SUPPORTS[q.support].to_log(thetas[f"{q.name}_unconstrained"]) for q in SPECS[name].params}


LIFT = {
    "unit": lambda v: np.log(v) - np.log1p(-v),
    "positive": np.log,
    "positive_softplus": lambda v: v + np.log(-np.expm1(-v)),
}


def named_values(r, p, gate, nu) -> dict:
    """Every parameter of an NB model in its natural domain, from MODELS.md 2; arguments are rank 3."""
    return {
        "r": r,
        "p": p,
        "mu": r * p / (1 - p),
        "phi": (1 - p) / p,
        "gate": gate,
        "p_capture": nu,
        "phi_capture": 1 / nu - 1,
        "eta_capture": -np.log(nu),
    }


def thetas_at(model: ModelSpec, values: dict) -> dict:
    """{site: theta} of named values, rank 3; axes a parameter lacks are cut to their first element."""
    return {f"{q.name}_unconstrained": _cut(q, LIFT[q.support](values[q.name])) for q in model.params}


def _cut(param, theta):
    return theta if "gene" in param.axes or "cell" in param.axes else theta[..., :1]


def values(name: str, log10_r=(-2.0, 2.0), seed=0) -> dict:
    """Named values of SPECS[name] with r spread over genes; p is spread too where it may be a gene's own.

    Above r = 100, p is so small that the means stay those of counts: else every term but one is a rounding error.
    """
    rng = np.random.default_rng(seed)
    r = 10.0 ** np.linspace(*log10_r, N_GENES)[rng.permutation(N_GENES)].reshape(1, 1, -1)
    own = any(q.role == "dispersion" or (q.role == "prob" and q.axes) for q in SPECS[name].params)
    odds = np.broadcast_to(rng.uniform(0.3, 9.0, (1, 1, N_GENES if own else 1)), r.shape)
    odds = odds * np.minimum(1.0, 100.0 / (r if own else r.max()))
    gate, nu = rng.uniform(0.01, 0.6, (1, 1, N_GENES)), rng.uniform(*NU, (1, N_CELLS, 1))
    return named_values(r, odds / (1 + odds), gate, nu)


def thetas(name: str, log10_r=(-2.0, 2.0), seed=0) -> dict:
    """{site: theta} of these values."""
    return thetas_at(SPECS[name], values(name, log10_r, seed))
