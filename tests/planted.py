"""Counts of the richer models with known truth, simulated with NumPy alone from MODELS.md, and what a fit recovers of it.

`python -m tests.planted` prints the figures that tests/test_planted.py bounds; `python -m tests.planted mixture` some of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logit

from scribe_cli.core.inference import initial, mode
from scribe_cli.core.inference.posterior import Posterior
from scribe_cli.run.fitting import assemble, checking
from tests import mixtures
from tests.adjusted_rand import adjusted_rand
from tests.recovery import LOG_M0, Study, inside, laplace, read, show, truncated

BATCHES = np.array(["a", "b"])
NU = 0.05  # typical capture
SEEDS = (0, 1, 2)
HUMAN = {"unconstrained": True, "priors": {"organism": "human"}}
OF_DATASETS = {"dataset_key": "batch", "data": {"library_size": "library"}} | HUMAN


def negative_binomial(rng, mu, r, nu=1.0):
    """Counts of means mu nu, with r, which capture leaves as it is; arguments (cells or 1, genes or 1)."""
    return rng.poisson(rng.gamma(r, mu / r, np.broadcast_shapes(np.shape(mu), np.shape(r), np.shape(nu))) * nu)


def means(rng, genes: int, low: float, high: float) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), genes))


def variable(posterior: Posterior, name: str) -> np.ndarray:
    """Draws (draw, the parameter's own axes)."""
    return next(v.draws for v in posterior.variables() if v.name == name)


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def captures(rng, cells: int, depth=0.0, shift=0.0):
    """(library sizes (cells,), nu (cells, 1)) of cells that are `depth` (log) shallower, of `shift` (log) more molecules."""
    log_library = LOG_M0 + np.log(NU) - depth + 0.4 * rng.normal(size=cells)
    return np.exp(log_library), np.exp(-truncated(rng, LOG_M0 + shift - log_library))[:, None]


# --- three components


MIXTURE = {"model": "nbvcp", "parameterization": "mean_odds", "n_components": 3} | HUMAN
# those of 0 to 9 in which the true parameters reach an index of .93; in the others components are hardly apart
MIXTURE_SEEDS = (0, 1, 2, 4, 9)
HARD_SEED = 3
FROM_TRUTH = f"mode of seed {HARD_SEED} from the true components"


def mixture(seed: int) -> dict[str, float]:
    """Adjusted Rand index against the truth of the likeliest components: of a default fit, and of the true parameters."""
    truth = mixtures.planted(seed)
    asked, collected = read(MIXTURE, truth.counts)
    found = checking.hard(checking.of_components(Study(truth, asked, collected).posterior(), collected.counts))
    return {
        "ARI": adjusted_rand(found, truth.component),
        "ARI of Bayes": adjusted_rand(mixtures.bayes(truth).argmax(0), truth.component),
    }


def from_the_true_components(seed: int) -> dict[str, float]:
    """How much higher the joint mode is from a start at the true components than from the data's."""
    truth = mixtures.planted(seed)
    asked, collected = read(MIXTURE, truth.counts)
    problem = Study(truth, asked, collected).problem
    true = np.where(np.arange(3)[:, None] == truth.component, 0.98, 0.01)
    totals = assemble._totals(collected, problem, 0)
    totals = replace(totals, by_component=true @ collected.counts.csr, responsibilities=true)
    start = jax.tree.map(jnp.asarray, initial.moments(problem.spec, problem.facts, totals, problem.centred))
    values = [mode.find(problem, at).value for at in (start, assemble.start(collected, problem))]
    return {"higher by": values[0] - values[1]}


# --- genes that differ between two datasets


def changed_genes(seed: int = 0, cells: int = 1000, genes: int = 300, changed: int = 20, fold: float = 1.0) -> Study:
    """nbvcp; the first `changed` genes have mu larger by `fold` (log) in the second dataset.

    Means after capture from 0.3 to 30, variance there twice the mean: the log ratio of the rarest has a standard error of 0.2.
    """
    rng = np.random.default_rng([seed, cells, genes])
    dataset = np.arange(cells) % 2
    library, nu = captures(rng, cells)
    captured = means(rng, genes, 0.3, 30.0)
    log_fold = fold * (np.arange(genes) < changed)
    mu = captured / NU * np.exp(dataset[:, None] * log_fold)
    counts = negative_binomial(rng, mu, mu * NU, nu)
    recipe = {"model": "nbvcp", "parameterization": "mean_odds", "expression_dataset_prior": "horseshoe"} | OF_DATASETS
    return Study(log_fold, *read(recipe, counts, library=library, batch=BATCHES[dataset]))


def differences(one: Study) -> dict[str, float]:
    """Which genes are said to differ: with probability .95 by more than 1/4 in the log ratio of means.

    And whose central 99 % interval of it leaves out 0, which chance does to one in a hundred of the others.
    """
    log_mu, planted = np.log(variable(one.posterior(), "mu")), one.truth != 0
    draws = log_mu[:, 1] - log_mu[:, 0]
    said, apart = (np.abs(draws) > 0.25).mean(0) > 0.95, ~inside(draws, 0.0, 0.99)
    at = draws.mean(0)
    return {
        "planted, said to differ": int(said[planted].sum()),
        "others, said to differ": int(said[~planted].sum()),
        "planted, interval without 0": int(apart[planted].sum()),
        "others, interval without 0": int(apart[~planted].sum()),
        "bias of planted": float((at - one.truth)[planted].mean()),
        "rms error of planted": rms((at - one.truth)[planted]),
        "rms of others": rms(at[~planted]),
        "least planted": float(at[planted].min()),
        "largest of others": float(np.abs(at[~planted]).max()),
    }


# --- the number of molecules of a cell in two datasets


SCALINGS = {"one M_0": False, "M_0 of datasets": True}


def scaled(seed: int = 0, cells: int = 600, genes: int = 150, shift: float = 0.7, depth: float = np.log(3), known=False) -> Study:
    """nbvcp; cells of the second dataset have `shift` (log) more molecules and are `depth` (log) shallower; one mu.

    known: fitted with a capture_scaling_prior, else with one M_0 for all.
    """
    rng = np.random.default_rng([seed, cells, genes])
    dataset = np.arange(cells) % 2
    library, nu = captures(rng, cells, depth * dataset, shift * dataset)
    mu = means(rng, genes, 0.1, 30.0) / NU
    counts = negative_binomial(rng, mu, mu * NU, nu)
    recipe = {"model": "nbvcp", "parameterization": "mean_odds"} | OF_DATASETS
    recipe |= {"capture_scaling_prior": "gaussian"} if known else {}
    truth = {"mu": mu, "eta": -np.log(nu[:, 0]), "shift": shift, "dataset": dataset}
    return Study(truth, *read(recipe, counts, library=library, batch=BATCHES[dataset]))


def scaling(one: Study) -> dict[str, float]:
    """The shift of mu_eta, where there is one, and the shift of mean eta between datasets against the truth."""
    posterior, truth = one.posterior(), one.truth
    eta, dataset = variable(posterior, "eta_capture").mean(0), truth["dataset"]
    error = eta - truth["eta"]
    found = {"error of eta's shift": float(error[dataset == 1].mean() - error[dataset == 0].mean())}
    found["rms error of log mu ratios"] = rms(_centred(np.log(variable(posterior, "mu")).mean(0) - np.log(truth["mu"])))
    if one.spec.role("scaling"):
        mu_eta = variable(posterior, "mu_eta")
        shift = mu_eta[:, 1] - mu_eta[:, 0]
        found |= {"shift": float(shift.mean()), "its sd": float(shift.std()), "planted": truth["shift"]}
    return found


def _centred(x):
    return x - x.mean()


# --- the gate


def gated(seed: int = 0, cells: int = 1000, genes: int = 150, low: float = 0.3, high: float = 30.0) -> Study:
    """zinb, the gate from its prior; variance of what passes it four times the mean."""
    rng = np.random.default_rng([seed, cells, genes])
    mu = means(rng, genes, low, high)
    gate = 1 / (1 + np.exp(2 - rng.normal(size=genes)))
    counts = negative_binomial(rng, mu, mu / 3, np.ones((cells, 1))) * (rng.random((cells, genes)) >= gate)
    recipe = {"model": "zinb", "parameterization": "mean_odds", "unconstrained": True}
    return Study({"gate": gate, "mu": mu}, *read(recipe, counts))


def gates(one: Study) -> dict[str, float]:
    """Of the genes of which the gate is known (sd of its logit under 0.3), and of all of them."""
    draws, truth = variable(one.posterior(), "gate"), one.truth["gate"]
    error, sd = logit(draws).mean(0) - logit(truth), logit(draws).std(0)
    known = sd < 0.3
    return {
        "known genes": int(known.sum()),
        "bias of logit, known": float(error[known].mean()),
        "rms error of gate, known": rms((draws.mean(0) - truth)[known]),
        "correlation, known": float(np.corrcoef(draws.mean(0)[known], truth[known])[0, 1]),
        "rms error of gate, all": rms(draws.mean(0) - truth),
        "90 % intervals, known": float(inside(draws, truth)[known].mean()),
        "90 % intervals, all": float(inside(draws, truth).mean()),
        "rms error / sd, known": rms((error / sd)[known]),
    }


# --- overdispersion beyond the negative binomial


def overdispersed(seed: int = 0, cells: int = 1000, genes: int = 200, share: float = 0.3) -> Study:
    """nbdm with bnb: omega of three genes in ten from LogNormal(0, 1/2), of the others 0.

    Means from 1 to 30, variance of the negative binomial twice the mean. q ~ Beta(a, kappa), u ~ NB(r, q) with
    a = (kappa - 1) mu / r: a Poisson count of rate Gamma(r) q/(1-q), and the odds of q a ratio of Gammas.
    """
    rng = np.random.default_rng([seed, cells, genes])
    mu = means(rng, genes, 1.0, 30.0)
    r, over = mu, rng.random(genes) < share
    omega = np.where(over, np.exp(0.5 * rng.normal(size=genes)), 1e-8)
    kappa = 2 + (r + 1) / omega
    odds = rng.gamma((kappa - 1) * mu / r, size=(cells, genes)) / rng.gamma(kappa, size=(cells, genes))
    counts = rng.poisson(rng.gamma(r, size=(cells, genes)) * odds)
    recipe = {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True, "overdispersion": "bnb"}
    return Study({"omega": omega, "kappa": kappa, "over": over}, *read(recipe, counts))


def excess(one: Study) -> dict[str, float]:
    """omega of the overdispersed genes of which it is known (sd of its log under 0.5), and what is said of the others."""
    posterior, over = one.posterior(), one.truth["over"]
    draws, kappa = variable(posterior, "omega"), variable(posterior, "bnb_concentration")
    log = np.log(draws)
    known = over & (log.std(0) < 0.5)
    error = (log.mean(0) - np.log(one.truth["omega"]))[known]
    of_kappa = (np.log(kappa).mean(0) - np.log(one.truth["kappa"]))[known]
    return {
        "overdispersed": int(over.sum()),
        "known": int(known.sum()),
        "bias of log omega": float(error.mean()),
        "rms error of log omega": rms(error),
        "rms error / sd": rms(error / log.std(0)[known]),
        "90 % intervals": float(inside(draws, one.truth["omega"])[known].mean()),
        "bias of log kappa": float(of_kappa.mean()),
        "least median of overdispersed": float(np.median(draws, 0)[over].min()),
        "largest median of others": float(np.median(draws, 0)[~over].max()),
        "mean median of others": float(np.median(draws, 0)[~over].mean()),
    }


# --- p of each gene in each dataset


P_OF_DATASETS = (0.0, 1.5)
P_PRIORS = {
    "one p": {},
    "p of genes": {"prob_prior": "gaussian"},
    "p of genes in datasets": {"prob_dataset_prior": "gaussian"},
    "two_level": {"prob_dataset_prior": "gaussian", "prob_dataset_mode": "two_level"},
}


def several_p(prior: str, seed: int = 0, cells: int = 600, genes: int = 200, spread: float = 0.5) -> Study:
    """nbdm in two datasets; logit p of genes around that of their dataset. mu is one for both."""
    rng = np.random.default_rng([seed, cells, genes])
    dataset = np.arange(cells) % 2
    logit_p = np.array(P_OF_DATASETS)[:, None] + spread * rng.normal(size=(2, genes))
    mu = means(rng, genes, 0.1, 30.0)
    counts = negative_binomial(rng, mu, (mu * np.exp(-logit_p))[dataset])
    asked = P_PRIORS[prior] | ({"dataset_key": "batch"} if "prob_dataset_prior" in P_PRIORS[prior] else {})
    recipe = {"model": "nbdm", "parameterization": "mean_prob", "unconstrained": True} | asked
    return Study(logit_p, *read(recipe, counts, batch=BATCHES[dataset]))


def probabilities(one: Study) -> dict[str, float]:
    """logit p against the truth, of genes in datasets."""
    draws = logit(_of_genes(variable(one.posterior(), "p"))) + np.zeros(one.truth.shape)
    error = draws.mean(0) - one.truth
    return {
        "rms error of logit p": rms(error),
        "bias in a": float(error[0].mean()),
        "bias in b": float(error[1].mean()),
        "90 % intervals": float(inside(draws, one.truth).mean()),
    }


def _of_genes(draws):
    """(draw, dataset or 1, gene or 1)."""
    return draws.reshape(len(draws), *(1,) * (3 - draws.ndim), *draws.shape[1:])


# --- means held near those of the data


ANCHORS = {"off": False, "on": True}


def few_cells(anchor: bool, seed: int = 0, cells: int = 60, genes: int = 150) -> Study:
    """nbvcp with few cells, whose captures so leave the common scale of mu open; a third of the genes have few counts."""
    rng = np.random.default_rng([seed, cells, genes])
    library, nu = captures(rng, cells)
    mu = means(rng, genes, 0.01, 30.0) / NU
    counts = negative_binomial(rng, mu, mu * NU, nu)
    recipe = {"model": "nbvcp", "parameterization": "mean_odds", "data": {"library_size": "library"}} | HUMAN
    recipe |= {"expression_anchor": True} if anchor else {}
    nu_bar = library.mean() / np.exp(LOG_M0)
    observed = np.log((counts.sum(0) + 0.5) / (cells * nu_bar))
    truth = {"log_mu": np.log(mu), "observed": observed, "counts": counts.sum(0), "eta": -np.log(nu[:, 0])}
    return Study(truth, *read(recipe, counts, library=library))


def anchored(one: Study) -> dict[str, float]:
    """log mu against the observed mean over mean capture, and the scale that all mu share; joint draws at the mode."""
    exact, truth = laplace(one), one.truth
    log_mu, at = exact.draws["mu"].reshape(-1, len(truth["counts"])), exact.point["mu"].ravel()
    away, few, many = at - truth["observed"], truth["counts"] < 5, truth["counts"] >= 20
    return {
        "rms of log mu / observed, few counts": rms(away[few]),
        "many counts": rms(away[many]),
        "mean, many counts": float(away[many].mean()),
        "largest sd": float(log_mu.std(0).max()),
        "sd of the scale": float(log_mu[:, many].mean(1).std()),
        "error of the scale": float((at - truth["log_mu"])[many].mean()),
        "rms error of ratios, many counts": rms(_centred((at - truth["log_mu"])[many])),
        "rms error, few counts": rms((at - truth["log_mu"])[few]),
        "error of eta": float(exact.point["eta_capture"].ravel().mean() - np.log(truth["eta"]).mean()),
    }


# --- bursts


PROMOTERS = ("two_state_natural", "two_state_moment_delta")


def bursting(parameterization: str, seed: int = 0, cells: int = 1000, genes: int = 60) -> Study:
    """twostate: means from 0.05 to 50, burst sizes about 4, k_off about 20; x ~ Beta(alpha, beta), u ~ Poisson(r_hat x)."""
    rng = np.random.default_rng([seed, cells, genes])
    mu = means(rng, genes, 0.05, 50.0)
    burst, k_off = (np.exp(m + s * rng.normal(size=genes)) for m, s in ((np.log(4), 0.7), (3.0, 1.0)))
    k_on = mu / burst
    counts = rng.poisson((mu + burst * k_off) * rng.beta(k_on, k_off, (cells, genes)))
    recipe = {"model": "twostate", "parameterization": parameterization, "unconstrained": True}
    return Study({"mu": mu, "burst_size": burst, "k_on": k_on, "k_off": k_off}, *read(recipe, counts))


def bursts(one: Study) -> dict[str, float]:
    """Size and frequency (k_on) of bursts, in logs, over the genes of which the posterior sd of the size is at most 0.3."""
    found = {v.name: v for v in one.posterior().variables()}
    log = {name: np.log(found[name].draws) for name in ("burst_size", "k_on", "k_off")}
    known = log["burst_size"].std(0) <= 0.3
    figures = {"known genes": int(known.sum())}
    for name in ("burst_size", "k_on"):
        true = np.log(one.truth[name])
        error = (log[name].mean(0) - true)[known]
        figures |= {
            f"bias of log {name}": float(error.mean()),
            f"bias of MAP of {name}": float((np.log(found[name].point) - true)[known].mean()),
            f"rms error of log {name}": rms(error),
            f"90 % intervals of {name}": float(inside(found[name].draws, one.truth[name])[known].mean()),
        }
    of_rest = log["burst_size"].mean(0) - np.log(one.truth["burst_size"])
    return figures | {"bias of log burst_size, others": float(of_rest[~known].mean()) if not known.all() else 0.0}


# {study: {case: its figures}}
STUDIES: dict[str, dict[str, Callable[[], dict[str, float]]]] = {
    "mixture": {f"seed {seed}": partial(mixture, seed) for seed in MIXTURE_SEEDS}
    | {FROM_TRUTH: partial(from_the_true_components, HARD_SEED)},
    "differences": {f"seed {seed}": lambda seed=seed: differences(changed_genes(seed)) for seed in SEEDS},
    "scaling": {name: lambda known=known: scaling(scaled(known=known)) for name, known in SCALINGS.items()},
    "gate": {"zinb": lambda: gates(gated())},
    "bnb": {"nbdm": lambda: excess(overdispersed())},
    "two_level": {name: lambda name=name: probabilities(several_p(name)) for name in P_PRIORS},
    "anchor": {name: lambda on=on: anchored(few_cells(on)) for name, on in ANCHORS.items()},
    "bursts": {name: lambda name=name: bursts(bursting(name)) for name in PROMOTERS},
}


def main(names: list[str]) -> None:
    jax.config.update("jax_enable_x64", True)
    for name in names or STUDIES:
        for case, figures in STUDIES[name].items():
            show(f"{name}, {case}", figures(), 3)


if __name__ == "__main__":
    main(sys.argv[1:])
