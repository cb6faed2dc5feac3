"""Counts of cells of several components, simulated with NumPy alone, and the best that can be told of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import nbinom


@dataclass(frozen=True)
class Planted:
    """counts (cells, genes) int32 of cells of a component (cells,); weights (components,).

    Counts are negative binomial with mean exp(log_mean[component]) nu and variance mean (1 + odds nu): one p for all genes.
    """

    counts: np.ndarray
    component: np.ndarray
    log_mean: np.ndarray
    weights: np.ndarray
    nu: np.ndarray
    odds: float

    @property
    def csr(self) -> csr_array:
        return csr_array(self.counts)


def planted(
    seed: int, n_cells=2000, n_genes=300, weights=(0.5, 0.3, 0.2), library=300.0, changed=0.2, fold=0.5, odds=0.5, depth=0.5
) -> Planted:
    """changed: the share of genes whose log means differ from the common ones, by N(0, fold); library: median of totals;

    odds: p/(1-p) at the median capture; depth: standard deviation of log nu.
    """
    rng = np.random.default_rng(seed)
    weights = np.asarray(weights)
    common = rng.normal(0.0, 1.0, n_genes)
    change = rng.normal(0.0, fold, (len(weights), n_genes)) * (rng.random(n_genes) < changed)
    log_mean = common + change
    log_mean += np.log(library) - np.log(weights @ np.exp(log_mean).sum(1))
    nu = np.exp(rng.normal(0.0, depth, n_cells))
    component = rng.choice(len(weights), n_cells, p=weights)
    r = np.exp(log_mean) / odds
    rate = rng.gamma(r[component], odds * nu[:, None])
    return Planted(rng.poisson(rate).astype(np.int32), component, log_mean, weights, nu, odds)


def bayes(truth: Planted) -> np.ndarray:
    """(components, cells) probabilities of the components given the counts, from the true parameters."""
    q = 1.0 / (1.0 + truth.odds * truth.nu[:, None])
    r = np.exp(truth.log_mean) / truth.odds
    log_f = np.stack([nbinom.logpmf(truth.counts, of_one, q).sum(1) for of_one in r]) + np.log(truth.weights)[:, None]
    f = np.exp(log_f - log_f.max(0))
    return f / f.sum(0)
