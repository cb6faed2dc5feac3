"""The log pmf of an observed count, from MODELS.md 1 and 2 alone: the oracle of `scribe score`.

scipy in float64 where it is trustworthy; mpmath with 50 digits where r is above 1e5, where p (before or after
capture) or the gate lies within 1e-4 of 0 or 1, or where the count is above 1e4 (float64 loses 1e-9 in log gamma).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mpmath
import numpy as np
from mpmath import mpf
from scipy.stats import nbinom

mpmath.mp.dps = 50

# MODELS.md 2: natural (r, p) from the sampled parameters
CORE: dict[str, tuple[tuple[str, str], Callable]] = {
    "canonical": (("r", "p"), lambda r, p: (r, p)),
    "mean_prob": (("mu", "p"), lambda mu, p: (mu * (1 - p) / p, p)),
    "mean_odds": (("mu", "phi"), lambda mu, phi: (mu * phi, 1 / (1 + phi))),
    "mean_disp": (("mu", "r"), lambda mu, r: (r, mu / (mu + r))),
}
CAPTURE: dict[str, Callable] = {
    "p_capture": lambda nu: nu,
    "phi_capture": lambda phi: 1 / (1 + phi),
    "eta_capture": lambda eta: mpmath.exp(-eta),
}


@dataclass(frozen=True)
class Sums:
    """Sums of the log pmf: cell (cells,), gene (genes,), total; exact: how many entries mpmath had to take."""

    cell: list[float]
    gene: list[float]
    total: float
    exact: int


def sums(parameterization: str, values: Mapping[str, np.ndarray], counts: np.ndarray) -> Sums:
    """Of counts (cells, genes) at {name: array, (gene,), () or (cell,)}; a gate or a capture is there or it is not."""
    names, natural = CORE[parameterization]
    capture = next((name for name in CAPTURE if name in values), None)
    log_p, exact = np.zeros(counts.shape), 0
    for c, g in np.ndindex(*counts.shape):
        r, p = natural(*(_at(values[name], g) for name in names))
        nu = CAPTURE[capture](_at(values[capture], c)) if capture else mpf(1)
        gate = _at(values["gate"], g) if "gate" in values else None
        log_p[c, g], by_mpmath = entry(int(counts[c, g]), r, p, nu, gate)
        exact += by_mpmath
    return Sums([math.fsum(row) for row in log_p], [math.fsum(col) for col in log_p.T], math.fsum(log_p.ravel()), exact)


def entry(u: int, r: mpf, p: mpf, nu: mpf, gate: mpf | None) -> tuple[float, bool]:
    """(log pmf of one count, whether it is mpmath's)."""
    hidden = 1 - p * (1 - nu)
    p_hat, q_hat = p * nu / hidden, (1 - p) / hidden
    near_an_end = any(min(v, 1 - v) < 1e-4 for v in (p, p_hat, gate) if v is not None)
    if r > 1e5 or u > 1e4 or near_an_end:
        return float(_by_mpmath(u, r, p_hat, q_hat, gate)), True
    return _by_scipy(u, float(r), float(q_hat), None if gate is None else float(gate)), False


def _by_mpmath(u, r, p_hat, q_hat, gate):
    log_nb = mpmath.loggamma(r + u) - mpmath.loggamma(r) - mpmath.loggamma(u + 1) + r * mpmath.log(q_hat)
    log_nb += u * mpmath.log(p_hat)
    if gate is None:
        return log_nb
    if u:
        return mpmath.log(1 - gate) + log_nb
    return mpmath.log(gate + (1 - gate) * mpmath.exp(log_nb))


def _by_scipy(u, r, q_hat, gate):
    log_nb = float(nbinom.logpmf(u, r, q_hat))
    if gate is None:
        return log_nb
    return float(np.logaddexp(math.log(gate), math.log1p(-gate) + log_nb)) if u == 0 else math.log1p(-gate) + log_nb


def _at(value: np.ndarray, index: int) -> mpf:
    """One element, the float64 taken as exact."""
    value = np.asarray(value, float)
    return mpf(float(value[index] if value.ndim else value))
