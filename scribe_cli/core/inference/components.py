"""Where a mixture starts: the probability of each cell to be of each component, from the counts alone.

A mixture of multinomials is fitted by EM: given a cell's total, counts of independent Poissons are one, and its
likelihood is a product of sparse and small matrices. EM is started many times, and the likeliest end is taken.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

GENES = 2000  # of the largest variance beyond Poisson, in which cells are told apart
CELLS = 20_000  # at most, from which a start is learnt
STARTS = 12
STEPS, STILL = 200, 1e-7  # of EM; a relative gain of the likelihood below which it has ended
DIGITS = 9  # of places in that space, where a cell is at most 1 from the origin: what differs by less is rounding
SMOOTHING = 0.5  # counts a gene of a component is given, in the shares of the whole


def responsibilities(
    csr: csr_array,
    n_components: int,
    labels: np.ndarray | None = None,
    confidence: float = 0.0,
    by_composition: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """(components, cells), each column a probability, from counts (cells, genes).

    labels: (cells,) codes of components, -1 for none, which raise a component's log weight by `confidence`;
    by_composition False: components differ in how much cells hold, not in what. Components without labels are in the
    order of their sizes.
    """
    labels = np.full(csr.shape[0], -1) if labels is None else labels
    rng = np.random.default_rng([seed, n_components])
    if not by_composition:
        return _by_total(np.asarray(csr.sum(1), float).ravel(), n_components, labels)
    counts = csr_array(csr[:, _informative(csr)], dtype=float)
    some = np.sort(rng.permutation(counts.shape[0])[:CELLS])
    prior = confidence * (labels == np.arange(n_components)[:, None])
    learnt = _learn(counts[some], prior[:, some], labels[some], n_components, rng)
    found = _probabilities(counts, *learnt, prior)
    order = _order(found.sum(1), labels)
    return found[order]


def _informative(csr: csr_array) -> np.ndarray:
    """Genes whose counts vary most beyond what the totals of cells and chance make them."""
    if csr.shape[1] <= GENES:
        return np.arange(csr.shape[1])
    total = np.asarray(csr.sum(1), float).ravel()
    scaled = csr_array(csr, dtype=float).multiply(1.0 / np.maximum(total, 1.0)[:, None]).tocsr() * total.mean()
    mean = np.asarray(scaled.mean(0)).ravel()
    variance = np.asarray(scaled.multiply(scaled).mean(0)).ravel() - mean**2
    score = (variance - mean) / np.sqrt(mean + 1e-12)
    return np.sort(np.argsort(-score)[:GENES])


def _learn(counts: csr_array, prior: np.ndarray, labels: np.ndarray, k: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """(log shares of genes (components, genes), log weights) of the likeliest of several EM."""
    best, best_value = None, -np.inf
    for start in _starts(counts, labels, k, rng):
        log_shares, log_weights, value = _em(counts, start, prior)
        if value > best_value:
            best, best_value = (log_shares, log_weights), value
    return best


def _starts(counts: csr_array, labels: np.ndarray, k: int, rng):
    """(components, cells) of each start: cells around centres, in the space where they differ most."""
    space = _space(counts, k, rng)
    for _ in range(STARTS):
        centres = _centres(space, labels, k, rng)
        for _ in range(20):
            nearest = _distance(space, centres).argmin(1)
            nearest = np.where(labels >= 0, labels, nearest)
            centres = np.stack([space[nearest == i].mean(0) if (nearest == i).any() else centres[i] for i in range(k)])
        yield (nearest == np.arange(k)[:, None]).astype(float)


def _space(counts: csr_array, k: int, rng) -> np.ndarray:
    """(cells, few): principal components of the square roots of the genes' shares, which have about one variance."""
    total = np.maximum(np.asarray(counts.sum(1)).ravel(), 1.0)
    roots = csr_array((np.sqrt(counts.data), counts.indices, counts.indptr), counts.shape).multiply(1.0 / np.sqrt(total)[:, None])
    n = min(max(k + 3, 6), min(counts.shape) - 1)
    if n < 1:
        return np.asarray(roots.todense(), float)
    _, _, right = svds(csr_array(roots), n, v0=rng.random(min(counts.shape)))
    return np.round(roots @ right[::-1].T, DIGITS)


def _centres(space: np.ndarray, labels: np.ndarray, k: int, rng) -> np.ndarray:
    """Means of the labelled cells, and for other components cells far from the centres there are (k-means++)."""
    known = {i: space[labels == i].mean(0) for i in range(k) if (labels == i).any()}
    centres = [known[i] for i in sorted(known)] or [space[rng.integers(len(space))]]
    free = [i for i in range(k) if i not in known][0 if known else 1 :]
    for _ in free:
        far = _distance(space, np.stack(centres)).min(1) + 1e-12
        centres.append(space[rng.choice(len(space), p=far / far.sum())])
    order = [*sorted(known), *(i for i in range(k) if i not in known)]
    return np.stack(centres)[np.argsort(order)]


def _distance(space: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(cells, centres), squared; of equal places exactly 0."""
    return np.stack([((space - centre) ** 2).sum(1) for centre in centres], 1)


def _em(counts: csr_array, start: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(log shares, log weights, log-likelihood) from the start's end."""
    whole = np.asarray(counts.sum(0)).ravel() + 1e-12
    pseudo = SMOOTHING * len(whole) * whole / whole.sum()
    found, value = start, -np.inf
    for _ in range(STEPS):
        held = (counts.T @ found.T).T + pseudo
        log_shares = np.log(held) - np.log(held.sum(1, keepdims=True))
        log_weights = np.log(found.sum(1) + 1.0) - np.log(found.sum() + len(found))
        log_f = _log_f(counts, log_shares, log_weights, prior)
        largest = log_f.max(0)
        marginal = np.log(np.exp(log_f - largest).sum(0)) + largest
        found, before, value = np.exp(log_f - marginal), value, float(marginal.sum())
        if value - before < STILL * abs(value):
            break
    return log_shares, log_weights, value


def _log_f(counts, log_shares, log_weights, prior) -> np.ndarray:
    weights = log_weights[:, None] + prior
    return (counts @ log_shares.T).T + weights


def _probabilities(counts, log_shares, log_weights, prior) -> np.ndarray:
    log_f = _log_f(counts, log_shares, log_weights, prior)
    f = np.exp(log_f - log_f.max(0))
    return f / f.sum(0)


def _order(size: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Components with labels where they are, the others by falling size."""
    k = len(size)
    free = [i for i in range(k) if not (labels == i).any()]
    order = np.arange(k)
    order[free] = sorted(free, key=lambda i: -size[i])
    return order


def _by_total(total: np.ndarray, k: int, labels: np.ndarray) -> np.ndarray:
    """Cells in groups of one size each, by their totals; a labelled cell is of its component."""
    rank = np.argsort(np.argsort(total, kind="stable"), kind="stable")
    group = np.where(labels >= 0, labels, rank * k // len(total))
    soft = 0.1 / k + 0.9 * (group == np.arange(k)[:, None])
    return soft / soft.sum(0)
