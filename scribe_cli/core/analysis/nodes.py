"""Capture of many cells replaced by few nodes: a quadrature of the empirical measure of log nu, draw by draw.

A sum over cells of a function of log nu becomes a sum over nodes, of each kind of cells its own. Weights are positive and sum
to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

from .points import Points

ENTRIES = 2**19  # of Lanczos vectors in memory at one time
# intervals whose cells are taken for one, where there are more of them than twice as many: of a width w of s the rule then errs
# by w^2/24 of a second derivative, 3e-9 of it
FINE = 8192


@dataclass(frozen=True)
class Nodes:
    """x, weight: (draws, nodes); x is log nu. Nodes without cells have weight 0. kind: (nodes,) of cells."""

    x: np.ndarray
    weight: np.ndarray
    kind: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, weight: np.ndarray) -> Nodes:
        """Of cells of one kind."""
        return cls(x, weight, np.zeros(x.shape[1], int))

    @classmethod
    def none(cls, n_draws: int) -> Nodes:
        """Every molecule counted: one node at log nu = 0."""
        return cls.of(np.zeros((n_draws, 1)), np.ones((n_draws, 1)))

    def draws(self, index) -> Nodes:
        """Of some of the draws."""
        return Nodes(self.x[index], self.weight[index], self.kind)

    def of_kind(self, kind: int) -> Nodes:
        """Those of one kind of cells."""
        mine = self.kind == kind
        return Nodes(self.x[:, mine], self.weight[:, mine], self.kind[mine])


def by_kind(points: Points, rule: Callable[[Points], Nodes]) -> Nodes:
    """A rule on the cells of each kind, weighted by its share of the cells."""
    x, weight, kind = [], [], []
    for k in points.kinds:
        nodes = rule(points.of_kind(k))
        x, weight = [*x, nodes.x], [*weight, points.share(k) * nodes.weight]
        kind.append(np.full(nodes.x.shape[1], k))
    return Nodes(np.concatenate(x, 1), np.concatenate(weight, 1), np.concatenate(kind))


def gauss(log_nu: np.ndarray, n_nodes: int) -> Nodes:
    """Gauss's rule, exact for polynomials in log nu up to degree 2 n_nodes - 1; log_nu (draws, cells).

    Lanczos with full reorthogonalisation gives the Jacobi matrix of the measure; its eigenvalues are the nodes, the
    squared first components of its eigenvectors the weights (Golub and Welsch 1969).
    """

    def rule(s):
        points = _intervals(s, FINE) if s.shape[1] > 2 * FINE else (s, np.full(s.shape, 1 / s.shape[1]))
        return _golub_welsch(*_lanczos(*points, min(n_nodes, s.shape[1])))

    return _by_blocks(log_nu, n_nodes, rule)


def gauss_of_capture(log_nu: np.ndarray, n_nodes: int) -> Nodes:
    """Gauss's rule for polynomials in nu, not log nu: exact up to degree 2 n_nodes - 1."""
    top = log_nu.max(1, keepdims=True)
    nu = np.exp(log_nu - top)
    found = gauss(nu, n_nodes)
    lowest = np.maximum(nu.min(1, keepdims=True), np.finfo(float).tiny)  # a node may round below
    return Nodes.of(top + np.log(np.maximum(found.x, lowest)), found.weight)


def groups(log_nu: np.ndarray, n_groups: int) -> Nodes:
    """Cells in intervals of equal width of log nu, each at its mean: for functions too narrow for Gauss's rule."""
    return _by_blocks(log_nu, n_groups, lambda s: _intervals(s, n_groups))


def _by_blocks(log_nu: np.ndarray, n: int, rule: Callable) -> Nodes:
    """A rule on a few draws at a time, in coordinates of mean 0 and largest size 1."""
    step = max(1, ENTRIES // (n * log_nu.shape[1]))
    parts = []
    for a in range(0, len(log_nu), step):
        s = log_nu[a : a + step]
        centre = s.mean(1, keepdims=True)
        scale = np.maximum(np.abs(s - centre).max(1, keepdims=True), np.finfo(float).tiny)
        x, weight = rule((s - centre) / scale)
        parts.append((centre + scale * x, weight))
    return Nodes.of(*(np.concatenate(v) for v in zip(*parts, strict=True)))


def _lanczos(s: np.ndarray, weight: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(diagonal (draws, steps), off-diagonal (draws, steps - 1)) of the Jacobi matrix of points s with weights, (draws, points).

    Where a measure has fewer points than steps the off-diagonal is set to 0: what follows has no weight.
    """
    n_draws, n_points = s.shape
    basis = np.zeros((steps, n_draws, n_points))
    basis[0] = np.sqrt(weight)
    diagonal, off = np.zeros((n_draws, steps)), np.zeros((n_draws, steps - 1))
    for k in range(steps):
        v = s * basis[k]
        diagonal[:, k] = np.einsum("sc,sc->s", basis[k], v)
        if k + 1 < steps:
            for _ in range(2):  # twice is enough
                v -= np.einsum("ksc,ks->sc", basis[: k + 1], np.einsum("ksc,sc->ks", basis[: k + 1], v))
            norm = np.linalg.norm(v, axis=1)
            alive = norm > 1e-12
            off[:, k] = np.where(alive, norm, 0.0)
            basis[k + 1] = v * (alive / np.where(alive, norm, 1.0))[:, None]
    return diagonal, off


def _golub_welsch(diagonal: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One matrix after the other, as tridiagonal ones: the threads of BLAS take seconds to meet over dense ones of 32."""
    found = [eigh_tridiagonal(d, e, lapack_driver="stev") for d, e in zip(diagonal, off, strict=True)]
    return np.stack([x for x, _ in found]), np.stack([vectors[0] ** 2 for _, vectors in found])


def _intervals(s: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = s.min(1, keepdims=True), s.max(1, keepdims=True)
    width = np.maximum(high - low, np.finfo(float).tiny) / n
    which = np.minimum(((s - low) / width).astype(int), n - 1) + n * np.arange(len(s))[:, None]
    size = np.bincount(which.ravel(), minlength=n * len(s)).reshape(-1, n)
    total = np.bincount(which.ravel(), s.ravel(), minlength=n * len(s)).reshape(-1, n)
    return total / np.maximum(size, 1), size / s.shape[1]
