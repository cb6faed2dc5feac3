"""One value and gradient of the log joint: the lanes, in float64, against the textbook pmf over all entries.

Dense means: jax.value_and_grad of the textbook log pmf with jax's gammaln, float32, all entries in jitted blocks of
256 cells, the minimum of 3 warm calls. The two-state pmf, of the same number of nodes for each entry, takes too long and too
much memory for that: there it is one block of 16 cells, times the number of blocks. It is timed in a process of its own, which keeps
memory as any process does; and for comparison in this one, where `scribe` has it kept between calls (run/device.py).

Held: where a likelihood has two halves, value and gradient of that of genes with what cells give held, as for each draw of an
ELBO.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, logsumexp

from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.numerics.beta_integral import NODES
from scribe_cli.run import device, reading
from scribe_cli.run.fitting import assemble
from scribe_cli.run.options import Machine
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console


def negative_binomial(point, u):
    r, logit = jnp.exp(point["log_r"]), point["logit_p"] + point["log_nu"]
    return gammaln(u + r) - gammaln(r) - gammaln(u + 1) + r * jax.nn.log_sigmoid(-logit) + u * jax.nn.log_sigmoid(logit)


def beta_negative_binomial(point, u):
    r, kappa = jnp.exp(point["log_r"]), 2 + jnp.exp(point["log_excess"])
    a = jnp.exp(point["logit_p"] + point["log_nu"]) * (kappa - 1)
    log_beta = lambda a, b: gammaln(a) + gammaln(b) - gammaln(a + b)  # noqa: E731
    return gammaln(u + r) - gammaln(r) - gammaln(u + 1) + log_beta(a + u, kappa + r) - log_beta(a, kappa)


def two_state(point, u):
    alpha, beta, rate = (jnp.exp(point[name]) for name in ("log_r", "log_excess", "logit_p"))
    z = jnp.linspace(-20.0, 20.0, NODES, dtype=jnp.float32)[:, None, None, None]
    log_f = (alpha + u) * jax.nn.log_sigmoid(z) + beta * jax.nn.log_sigmoid(-z) - rate * jnp.exp(point["log_nu"]) * jax.nn.sigmoid(z)
    log_beta = gammaln(alpha) + gammaln(beta) - gammaln(alpha + beta)
    return logsumexp(log_f, axis=0) + jnp.log(40.0 / (NODES - 1)) - log_beta + u * jnp.log(rate) - gammaln(u + 1)


@dataclass(frozen=True)
class Case:
    """A recipe, and what its textbook sum is made of."""

    recipe: dict
    pmf: Callable = negative_binomial
    gated: bool = False
    components: int = 1
    block: int = 256


HUMAN = {"parameterization": "mean_odds", "unconstrained": True, "priors": {"organism": "human"}}
GENE_P = HUMAN | {"parameterization": "mean_prob", "prob_prior": "gaussian"}
CASES = {
    "nbdm": Case({"model": "nbdm", "parameterization": "mean_odds"}),
    "zinb": Case({"model": "zinb", "parameterization": "mean_odds"}, gated=True),
    "nbdm, bnb": Case(
        {"model": "nbdm", "parameterization": "mean_odds", "unconstrained": True, "overdispersion": "bnb"}, beta_negative_binomial
    ),
    "twostate": Case({"model": "twostate"}, two_state, block=16),
    "nbvcp, one p": Case({"model": "nbvcp"} | HUMAN),
    "nbvcp, p of genes": Case({"model": "nbvcp"} | GENE_P),
    "zinbvcp": Case({"model": "zinbvcp"} | HUMAN, gated=True),
    "nbvcp, bnb": Case({"model": "nbvcp", "overdispersion": "bnb"} | HUMAN, beta_negative_binomial),
    "nbvcp, 5 components": Case({"model": "nbvcp", "n_components": 5} | HUMAN, components=5),
    "twostatevcp": Case({"model": "twostatevcp", "priors": {"organism": "human"}}, two_state, block=16),
}


def compare(data: Path, names: list[str] | None = None) -> None:
    device.start(Machine())
    print("one value and gradient, ms    lane           time     dense    ratio     held    ratio   dense, memory kept")
    for name in names or CASES:
        alone = subprocess.run([sys.executable, "-m", __name__, data, name], stdout=subprocess.PIPE, text=True, check=True)
        lane, seconds, held, kept = timed(data, CASES[name])
        dense = float(alone.stdout)
        of_held = f"{held * 1e3:9.2f}{dense / held:9.0f}" if held else " " * 18
        print(f"  {name:<28}{lane:<12}{seconds * 1e3:8.2f}{dense * 1e3:10.0f}{dense / seconds:9.0f}{of_held}{kept * 1e3:10.0f}", flush=True)


def dense_alone(data: str, name: str) -> None:
    """Print the seconds of the dense sum."""
    device.KEPT_MEMORY.clear()
    device.start(Machine())
    settings = config.load(CASES[name].recipe)
    print(dense(reading.read([Path(data)], settings, False, Console(quiet=True)).csr, CASES[name]))


def timed(data: Path, case: Case) -> tuple[str, float, float | None, float]:
    """(lane, its seconds, those with capture held, those of the dense sum in this process)."""
    settings = config.load(case.recipe)
    counts = reading.read([data], settings, False, Console(quiet=True))
    collected = assemble.collect(counts, settings.resolve())
    problem = assemble.problem(collected, settings.resolve(), "auto", None, fill=True)
    start = assemble.moments(collected, problem)
    lane = jax.jit(jax.value_and_grad(problem.log_joint))
    calls = 20 if problem.lane.exact else 3
    seconds = fastest(lambda: lane(start, problem.facts, problem.stats), calls)
    held = fastest(held_by_cells(problem, start), calls) if problem.halves else None
    return problem.lane.name, seconds, held, dense(counts.csr, case)


def held_by_cells(problem: Problem, start: dict) -> Callable:
    """A call of value and gradient of what genes give, with the log-likelihood's slopes in it held."""
    facts, stats = problem.facts, problem.stats
    _, genes, cells = jax.jit(problem.halves)(start, facts, stats)
    held = jax.jit(jax.grad(problem.lane.halves.joined))(genes, cells, facts, stats)

    def along(sites, held, facts, stats):
        found = problem.halves(sites, facts, stats)[1]
        return sum(jax.tree.leaves(jax.tree.map(lambda half, slope: (half * slope).sum(), found, held)))

    call = jax.jit(jax.value_and_grad(along))
    return lambda: call(start, held, facts, stats)


def fastest(call, n: int) -> float:
    jax.block_until_ready(call())
    times = []
    for _ in range(n):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return min(times)


def dense(csr, case: Case) -> float:
    """Seconds of value and gradient of every block of cells; the last is filled up with empty ones."""
    n_cells, n_genes = csr.shape
    genes = (case.components, 1, n_genes)
    point = {
        "log_r": jnp.zeros(genes, jnp.float32),
        "logit_p": jnp.full(genes, 0.5, jnp.float32),
        "log_excess": jnp.full(genes, 3.0, jnp.float32),
        "logit_gate": jnp.full(genes, -2.0, jnp.float32),
        "log_nu": jnp.full((1, case.block, 1), -3.0, jnp.float32),
    }
    textbook = jax.jit(jax.value_and_grad(lambda point, u: _log_likelihood(case, point, u)))

    def blocks(last: int):
        for first in range(0, last, case.block):
            block = csr[first : first + case.block].toarray().astype(np.float32)
            counts = np.zeros((case.block, n_genes), np.float32)
            counts[: len(block)] = block
            yield textbook(point, counts)

    if case.pmf is two_state:
        return fastest(lambda: list(blocks(case.block)), 3) * -(-n_cells // case.block)
    return fastest(lambda: [jax.block_until_ready(found) for found in blocks(n_cells)], 3)


def _log_likelihood(case: Case, point, u):
    log_pmf = case.pmf(point, u[None])
    if case.gated:
        closed, opened = jax.nn.log_sigmoid(point["logit_gate"]), jax.nn.log_sigmoid(-point["logit_gate"])
        log_pmf = jnp.where(u == 0, jnp.logaddexp(closed, opened + log_pmf), opened + log_pmf)
    return logsumexp(log_pmf.sum(2), axis=0).sum()


if __name__ == "__main__":
    dense_alone(*sys.argv[1:])
