"""Fixed standard normal draws, of which few are enough: an average over them is exact for a quadratic, and nearly so beyond.

They stand for antithetic pairs (z, -z), so odd moments vanish. The second and the fourth moment of an element are the Normal's,
and sites of one shape are uncorrelated element by element: these are the elements of one gene, or of one cell, which meet in the
likelihood. Between two genes signs and order are random, so that what they share cancels over many of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import groupby

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

FOURTH = 3.0  # moment of a standard Normal
MORE = 4  # times as many fresh draws check those that were climbed with
LOST, LITTLE = 1e-3, 0.05  # nats that may be lost for want of draws: of each parameter that they find, and where these are few
MOST, READ = 60_000, 5e8  # gradients of a log joint that a guide may take, and numbers that their sums may read in all
SINGULAR = 0.02  # smallest eigenvalue of the correlations of an element's sites, below which its draws are made again


def magnitudes(pairs: int) -> np.ndarray:
    """(pairs,) positive, of second moment 1 and fourth moment 3: quantiles of |z|, their squares to a power near 1.

    There is none for fewer than four pairs, where the fourth moment cannot be.
    """
    squares = ndtri(0.5 + (np.arange(pairs) + 0.5) / (2 * pairs)) ** 2
    power = brentq(lambda p: np.mean(squares ** (2 * p)) / np.mean(squares**p) ** 2 - FOURTH, 0.5, 50.0)
    return np.sqrt(squares**power / np.mean(squares**power))


def fewest(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Pairs of draws, twice as many as there are sites of one shape, that they may be orthogonal and still scattered."""
    return 2 * max(Counter(shapes.values()).values())


def bearable(parameters: int) -> float:
    """Nats that may be lost for want of draws that find so many parameters."""
    return max(LITTLE, LOST * parameters)


def lost(slope: np.ndarray, inverse: Callable, left: float) -> float:
    """Nats by which an ELBO is below its maximum where that of fixed draws is highest, since these are finitely many.

    slope: there, of MORE times as many fresh draws; inverse: of the negative Hessian, as a function. The slope has the errors of
    both: E[g' H^-1 g] = (1 + 1/MORE) of what those of the fixed draws alone would give. left: what these have not gained yet, which
    is not for want of draws.
    """
    return max(float(slope @ inverse(slope)) / 2 - left, 0.0) / (1 + 1 / MORE)


def draws(shapes: Mapping[str, tuple[int, ...]], pairs: int, seed: int) -> dict[str, np.ndarray]:
    """{site: (pairs, *shape)}: one of each pair; `fewest` pairs at least."""
    rng = np.random.default_rng([seed, pairs])
    found = {}
    for shape, group in groupby(sorted(shapes, key=lambda site: (shapes[site], site)), key=shapes.get):
        sites = list(group)
        for site, z in zip(sites, _of_shape(rng, len(sites), math.prod(shape), pairs), strict=True):
            found[site] = z.T.reshape(pairs, *shape)
    return found


def _of_shape(rng: np.random.Generator, sites: int, elements: int, pairs: int) -> np.ndarray:
    """(sites, elements, pairs), orthogonal between sites: L^-1 z, where z z' = L L'."""
    size = magnitudes(pairs)
    z, again = np.empty((sites, elements, pairs)), np.ones(elements, bool)
    while again.any():
        order = rng.random((sites, int(again.sum()), pairs)).argsort(-1)
        z[:, again] = size[order] * rng.choice([-1.0, 1.0], order.shape)
        correlation = np.einsum("anp,bnp->nab", z, z) / pairs
        again = np.linalg.eigvalsh(correlation)[:, 0] < SINGULAR
    return np.linalg.solve(np.linalg.cholesky(correlation), z.transpose(1, 0, 2)).transpose(1, 0, 2)
