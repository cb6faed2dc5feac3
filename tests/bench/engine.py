"""One value and gradient of the log-likelihood: the lanes, in float64, against the textbook pmf over all entries.

Dense means: jax.value_and_grad of the textbook log pmf with jax's gammaln, float32, all entries in jitted blocks of
256 cells, the minimum of 3 warm calls.
"""

from __future__ import annotations

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from scribe_cli.run import device, reading
from scribe_cli.run.fitting import assemble
from scribe_cli.run.options import Machine
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console

BLOCK = 256
MODELS = {
    "nbvcp (separable)": {"model": "nbvcp", "parameterization": "mean_odds", "priors": {"organism": "human"}},
    "nbdm (histogram)": {"model": "nbdm", "parameterization": "mean_odds"},
    "zinb (histogram)": {"model": "zinb", "parameterization": "mean_odds"},
}


def compare(data: Path) -> None:
    device.start(Machine())
    print("one value and gradient, ms           lane     dense    ratio")
    for name, recipe in MODELS.items():
        lane, dense = timed(data, recipe)
        print(f"  {name:<30}{lane * 1e3:9.2f}{dense * 1e3:10.0f}{dense / lane:9.0f}")


def timed(data: Path, recipe: dict) -> tuple[float, float]:
    settings = config.load(recipe)
    spec = settings.resolve()
    counts = reading.read([data], settings, False, Console(quiet=True))
    collected = assemble.collect(counts, spec)
    problem = assemble.problem(collected, spec, "auto", None, share_rows=True)
    start = assemble.start(collected, problem)
    lane = jax.jit(jax.value_and_grad(problem.log_joint))
    of_lane = fastest(lambda: lane(start, problem.facts, problem.stats), 20)
    return of_lane, fastest(lambda: dense(counts.csr, bool(spec.capture), spec.gated), 3)


def fastest(call, n: int) -> float:
    jax.block_until_ready(call())
    times = []
    for _ in range(n):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return min(times)


def dense(csr, capture: bool, gated: bool) -> list:
    """Value and gradient of every block of cells; the last is filled up with empty ones."""
    n_cells, n_genes = csr.shape
    point = {
        "log_r": jnp.zeros(n_genes, jnp.float32),
        "logit_p": jnp.float32(0.5),
        "log_nu": jnp.full(BLOCK, -3.0 if capture else 0.0, jnp.float32),
        "logit_gate": jnp.full(n_genes, -2.0, jnp.float32),
    }
    found = []
    for first in range(0, n_cells, BLOCK):
        block = csr[first : first + BLOCK].toarray().astype(np.float32)
        counts = np.zeros((BLOCK, n_genes), np.float32)
        counts[: len(block)] = block
        found.append(jax.block_until_ready(_textbook(point, counts, gated)))
    return found


def _log_likelihood(point, u, gated):
    r, logit = jnp.exp(point["log_r"])[None], point["logit_p"] + point["log_nu"][:, None]
    log_pmf = gammaln(u + r) - gammaln(r) - gammaln(u + 1) + r * jax.nn.log_sigmoid(-logit) + u * jax.nn.log_sigmoid(logit)
    if gated:
        gate = point["logit_gate"][None]
        closed, opened = jax.nn.log_sigmoid(gate), jax.nn.log_sigmoid(-gate)
        log_pmf = jnp.where(u == 0, jnp.logaddexp(closed, opened + log_pmf), opened + log_pmf)
    return log_pmf.sum()


_textbook = jax.jit(jax.value_and_grad(_log_likelihood), static_argnums=2)
