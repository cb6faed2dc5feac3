"""The deterministic optimiser of a mean-field guide against long runs of Adam, of each family of models.

`python -m tests.optimisers` prints the figures that tests/test_optimisers.py bounds; `python -m tests.optimisers zinb` of one of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from scribe_cli.core.inference import svi
from scribe_cli.run.fitting import assemble, inference
from tests import mixtures, planted
from tests.recovery import Study, elbo, long_run, read, show, study

RUNS = 3  # of Adam, as long as their ELBOs agree
# {name: a study}, small: each step of Adam sees all of it
FAMILIES: dict[str, Callable[[], Study]] = {
    "nbdm": partial(study, "nbdm", cells=400, genes=100),
    "nbvcp": partial(study, "nbvcp", cells=400, genes=100),
    "nbvcp with free r": partial(study, "nbvcp", "mean_disp", cells=200, genes=60),
    "zinb": partial(study, "zinb", cells=400, genes=100),
    "zinbvcp": partial(study, "zinbvcp", cells=100, genes=40),
    "nbdm+bnb": partial(planted.overdispersed, cells=400, genes=60),
    "twostate": partial(planted.bursting, "two_state_natural", cells=400, genes=30),
    "p of genes": partial(planted.several_p, "p of genes", cells=300, genes=100),
    "mixture": lambda: mixture(),
    "datasets": partial(planted.changed_genes, cells=300, genes=60, changed=6),
}


def mixture(cells: int = 300, genes: int = 60) -> Study:
    truth = mixtures.planted(0, cells, genes)
    return Study(truth, *read(planted.MIXTURE, truth.counts))


@dataclass(frozen=True)
class Compared:
    """elbo, wrong: of the default fit and of one whose start has the scale of capture wrong by a factor e (None without

    capture); runs: of long runs of Adam; all with the same 256 draws. parameters: of the guide.
    """

    fitted: svi.Fitted
    elbo: float
    wrong: float | None
    runs: list[float]
    parameters: int

    @property
    def behind(self) -> float:
        """Nats per 1,000 parameters by which the best of the long runs is better."""
        return 1000 * (max(self.runs) - self.elbo) / self.parameters


def compared(one: Study, n_steps: int = 5_000) -> Compared:
    problem = one.problem
    start, options = assemble.start(one.collected, problem), inference.svi_options(one.config)
    fitted = svi.fit(problem, start, options)
    far = shifted(one, start)
    wrong = None if far is None else elbo(problem, svi.fit(problem, far, options).params)
    # components have many ends: all start where the fit does, and not far from there
    runs = [elbo(problem, near_run(problem, fitted, seed, n_steps) if one.spec.mixed else long_run(problem, start, seed, n_steps)) for seed in range(RUNS)]
    return Compared(fitted, elbo(problem, fitted.params), wrong, runs, 2 * sum(v.size for v in start.values()))


def near_run(problem, fitted: svi.Fitted, seed: int, n_steps: int) -> dict:
    options = svi.Options(n_steps=n_steps, early_stopping=False, seed=seed)
    log_sd = jax.tree.map(lambda v: np.full(v.shape, -3.0), fitted.params["loc"])
    return svi._optimise(problem, {"loc": dict(fitted.mode.thetas), "log_sd": log_sd}, None, options, lambda **_: None).params


def shifted(one: Study, start: dict) -> dict | None:
    """All means larger by e: with capture, its scale wrong by as much."""
    if not one.spec.capture:
        return None
    site = f"{one.spec.role('mean').name}_unconstrained"
    site = site if site in start else f"{one.spec.role('mean').name}_loc"
    return start | {site: start[site] + 1.0}


def figures(found: Compared) -> dict[str, float]:
    runs = {f"Adam {i} above by": value - found.elbo for i, value in enumerate(found.runs)}
    wrong = {} if found.wrong is None else {"scale wrong by e, above by": found.wrong - found.elbo}
    told = {name: float(found.fitted.figures[f"guide_{name}"]) for name in ("gradients", "draws", "decrement", "shortfall")}
    return {"parameters": found.parameters, "steps": len(found.fitted.losses)} | told | {"ELBO": found.elbo} | runs | wrong


def main(names: list[str]) -> None:
    jax.config.update("jax_enable_x64", True)
    for name in names or FAMILIES:
        found = compared(FAMILIES[name]())
        show(f"{name}, {found.fitted.optimiser}", figures(found), 3)


if __name__ == "__main__":
    main(sys.argv[1:])
