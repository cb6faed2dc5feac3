"""Every kernel's log pmf against mpmath over the hardest parameters it is promised for, and its limits.

`python -m tests.stress` prints the figures that tests/test_stress.py bounds on fewer points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import poisson

from scribe_cli.core import registry
from scribe_cli.core.numerics import gate, kernels
from tests import exact

POINTS = 400  # of a case
MANY = 200_000  # points at which only the sign of log P is looked at
NAMES = registry.names(kernels.__name__)


@dataclass(frozen=True)
class Case:
    """draw(rng, n) -> {coordinate, "log_nu", "u": (n,)}; promised: the largest error, in units of 1 + |log P| if relative."""

    kernel: str
    draw: Callable
    gated: bool = False
    promised: float = 1e-10
    relative: bool = True

    def points(self, n: int, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        points = self.draw(rng, n)
        return points | {"logit_gate": draw_logit(rng, n, 1e-12, 1e-6)} if self.gated else points


@dataclass(frozen=True)
class Found:
    """error: the largest, at the point `worst`; highest: the largest log pmf, of these and of many more points."""

    error: float
    worst: dict[str, float]
    highest: float


def between(rng, low, high, n):
    """log of numbers spread evenly over the decades."""
    return rng.uniform(np.log(low), np.log(high), n)


def draw_logit(rng, n, least, least_missing):
    """logit of probabilities from `least` to 1 - `least_missing`, half of them near either end."""
    low = rng.random(n) < 0.5
    log_part = np.where(low, between(rng, least, 0.5, n), between(rng, least_missing, 0.5, n))
    return np.where(low, 1, -1) * (log_part - np.log1p(-np.exp(log_part)))


def draw_log_nu(rng, n):
    """Captures from 1e-4 on, a third of them 1."""
    return np.where(rng.random(n) < 1 / 3, 0.0, between(rng, 1e-4, 1, n))


def draw_counts(rng, mean, largest):
    """A third 0, a third around the mean, a third anywhere."""
    n = len(mean)
    near, anywhere = mean * np.exp(rng.normal(0, 1, n)), np.exp(between(rng, 1, largest, n))
    return np.minimum(np.round(np.choose(rng.integers(0, 3, n), [np.zeros(n), near, anywhere])), largest)


def draw_negative_binomial(rng, n):
    log_r, log_mean, log_nu = between(rng, 1e-3, 1e8, n), between(rng, 1e-6, 1e5, n), draw_log_nu(rng, n)
    u = draw_counts(rng, np.exp(log_mean), 1e5)
    return {"log_r": log_r, "logit_p": log_mean - log_r - log_nu, "log_nu": log_nu, "u": u}


def draw_beta_negative_binomial(rng, n):
    """kappa from 2 + 1e-6 to 1e8, and for a fifth of the points on to 1e25, where the law is all but the NB."""
    points = draw_negative_binomial(rng, n)
    log_excess = between(rng, 1e-6, np.where(rng.random(n) < 0.2, 1e25, 1e8), n)
    return points | {"log_omega": np.logaddexp(points["log_r"], 0) - log_excess}


def draw_two_state(rng, n):
    """beta to 1000, and for a twentieth of the points on to 1e5; a quarter of the counts about the promoter's that is on."""
    log_alpha = between(rng, 1e-4, 20, n)
    log_beta = between(rng, 0.02, np.where(rng.random(n) < 0.05, 1e5, 1e3), n)
    log_rate, log_nu = between(rng, 0.01, 3e4, n), draw_log_nu(rng, n)
    u = draw_counts(rng, np.exp(log_rate + log_alpha - np.logaddexp(log_alpha, log_beta)), 3000)
    on = np.minimum(np.round(np.exp(log_rate) * rng.uniform(0.3, 1.2, n)), 3000)
    u = np.where(rng.random(n) < 0.25, on, u)
    return {"log_alpha": log_alpha, "log_beta": log_beta, "log_rate": log_rate - log_nu, "log_nu": log_nu, "u": u}


CASES = {
    "NB": Case("negative_binomial", draw_negative_binomial),
    "ZINB": Case("negative_binomial", draw_negative_binomial, gated=True),
    "BNB": Case("beta_negative_binomial", draw_beta_negative_binomial),
    "ZI-BNB": Case("beta_negative_binomial", draw_beta_negative_binomial, gated=True),
    "two-state": Case("two_state", draw_two_state, promised=1e-8, relative=False),
}
CASES = {name: case for name, case in CASES.items() if case.kernel in NAMES}


@functools.cache
def _compiled(kernel: str):
    law = kernels.load(kernel)

    def log_pmf(core, log_nu, logit_gate, u):
        thinned = law.thin(core, log_nu)
        log_p = law.log_prob(thinned, u)
        return log_p if logit_gate is None else gate.gated(log_p, law.log_prob_zero(thinned), logit_gate, u)

    return jax.jit(log_pmf)


def log_pmf(kernel: str, points: dict) -> np.ndarray:
    """Of points (n,); without "log_nu" everything is captured, without "logit_gate" there is no gate."""
    at = {name: jnp.asarray(v) for name, v in points.items()}
    core = {name: at[name] for name in kernels.load(kernel).coords}
    return np.asarray(_compiled(kernel)(core, at.get("log_nu", jnp.zeros(1)), at.get("logit_gate"), at["u"]))


def in_mpmath(kernel: str, points: dict) -> list:
    rows = (dict(zip(points, values, strict=True)) for values in zip(*points.values(), strict=True))
    return [_entry(kernel, row) for row in rows]


def _entry(kernel: str, at: dict):
    law = kernels.load(kernel)
    core = at | {law.thinned: exact.total(at[law.thinned], at["log_nu"])}
    log_p = getattr(exact, kernel)(*(core[name] for name in law.coords), at["u"])
    return exact.gated(log_p, at["logit_gate"], at["u"]) if "logit_gate" in at else log_p


def measure(case: Case, n: int = POINTS, many: int = MANY, seed: int = 0) -> Found:
    points = case.points(n, seed)
    found, true = log_pmf(case.kernel, points), in_mpmath(case.kernel, points)
    scale = [1 + abs(float(t)) if case.relative else 1.0 for t in true]
    error = np.array([exact.error(*pair) for pair in zip(found, true, strict=True)]) / scale
    worst = int(np.where(np.isnan(error), np.inf, error).argmax())
    highest = max(found.max(), log_pmf(case.kernel, case.points(many, seed + 1)).max())
    return Found(error[worst], {name: float(v[worst]) for name, v in points.items()}, float(highest))


def apart(found: np.ndarray, limit: np.ndarray) -> float:
    return float((np.abs(found - limit) / (1 + np.abs(limit))).max())


def usual(kernel: str, means=(1e-3, 0.3, 20, 2000)) -> dict[str, np.ndarray]:
    """Points of a kernel whose counts lie where its mass is."""
    grid = np.meshgrid(np.log([0.05, 1, 20]), np.log(means), [0, 1, 2])
    log_r, log_mean, times = (v.ravel() for v in grid)
    u, one = np.round(times * np.maximum(np.exp(log_mean), 1)), np.ones(len(times))
    nb = {"log_r": log_r, "logit_p": log_mean - log_r, "u": u}
    return {
        "negative_binomial": nb,
        "beta_negative_binomial": nb | {"log_omega": -one},
        "two_state": {"log_alpha": log_r, "log_beta": one, "log_rate": log_mean - log_r + np.e, "u": u},
    }[kernel]


# what is left of the way to a limit, in steps
STEPS = (1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13, 1e-30, 1e-300)


def bnb_to_nb(omega: float) -> float:
    at = usual("negative_binomial")
    bnb = at | {"log_omega": np.full_like(at["u"], np.log(omega))}
    return apart(log_pmf("beta_negative_binomial", bnb), log_pmf("negative_binomial", at))


def to_poisson(kernel: str, inverse_r: float) -> float:
    at = usual(kernel)
    log_r = np.full_like(at["u"], -np.log(inverse_r))
    log_mean = at["log_r"] + at["logit_p"]
    at |= {"log_r": log_r, "logit_p": log_mean - log_r}
    if kernel == "beta_negative_binomial":
        at |= {"log_omega": -log_r}
    return apart(log_pmf(kernel, at), poisson.logpmf(at["u"], np.exp(log_mean)))


def two_state_to_nb(inverse_beta: float) -> float:
    """alpha is r and rate/beta is p/(1-p) where bursts end at once."""
    nb, log_beta = usual("negative_binomial"), -np.log(inverse_beta)
    at = {"log_alpha": nb["log_r"], "log_beta": np.full_like(nb["u"], log_beta), "log_rate": nb["logit_p"] + log_beta}
    return apart(log_pmf("two_state", at | {"u": nb["u"]}), log_pmf("negative_binomial", nb))


def gate_to_none(kernel: str, gate_: float) -> float:
    """Where zeros are common without it."""
    at = usual(kernel, (1e-3, 0.3))
    shut = at | {"logit_gate": np.full_like(at["u"], np.log(gate_) - np.log1p(-gate_))}
    return apart(log_pmf(kernel, shut), log_pmf(kernel, at))


def capture_to_all(kernel: str, lost: float) -> float:
    at = usual(kernel)
    return apart(log_pmf(kernel, at | {"log_nu": np.full_like(at["u"], np.log1p(-lost))}), log_pmf(kernel, at))


def limits() -> dict[str, Callable]:
    """{name: distance}: distance(step) is the largest |log P - limit| / (1 + |limit|) at that step."""
    found = {"NB -> Poisson": functools.partial(to_poisson, "negative_binomial")}
    if "beta_negative_binomial" in NAMES:
        found |= {"BNB -> NB": bnb_to_nb, "BNB -> Poisson": functools.partial(to_poisson, "beta_negative_binomial")}
    if "two_state" in NAMES:
        found |= {"two-state -> NB": two_state_to_nb}
    for case in CASES.values():
        if case.gated:
            found[f"gate -> 0, {case.kernel}"] = functools.partial(gate_to_none, case.kernel)
        else:
            found[f"nu -> 1, {case.kernel}"] = functools.partial(capture_to_all, case.kernel)
    return found


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    for name, case in CASES.items():
        found = measure(case)
        unit = "|error| / (1 + |log P|)" if case.relative else "|error|"
        worst = ", ".join(f"{k} {v:.5g}" for k, v in found.worst.items())
        print(f"{name}: largest {unit} {found.error:.1e} of {POINTS} points (at {worst})")
        print(f"{name}: highest log pmf of {MANY} points {found.highest:.1e}", flush=True)
    print("distance from the limit at " + "  ".join(f"{step:.0e}" for step in STEPS))
    for name, distance in limits().items():
        print(f"{name}: " + "  ".join(f"{distance(step):.0e}" for step in STEPS), flush=True)


if __name__ == "__main__":
    main()
