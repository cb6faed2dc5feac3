"""From collected data and a recipe to a Posterior, by the recipe's method."""

from __future__ import annotations

from ..core.inference import svi
from ..core.inference.posterior import Posterior
from ..core.model.spec import ModelSpec
from . import assemble
from .assemble import Collected
from .config import Config
from .console import Console


def infer(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> tuple[Posterior, str]:
    """(posterior, the lane's name)."""
    return METHODS[config.inference_method](collected, spec, config, console)


def _svi(collected: Collected, spec: ModelSpec, config: Config, console: Console) -> tuple[Posterior, str]:
    options = _svi_options(config)
    with console.phase("fit"):
        problem = assemble.problem(collected, spec, config.engine, config.svi.batch_size, share_rows=True)
        fitted = svi.fit(problem, assemble.start(collected, problem), options, _progress(console))
    with console.phase("draws"):
        return svi.posterior(problem, fitted, options), problem.lane.name


def _svi_options(config: Config) -> svi.Options:
    s = config.svi
    return svi.Options(s.n_steps, s.learning_rate, s.early_stopping, s.n_samples, config.seed)


def _progress(console: Console):
    def on_step(phase: str, step: int, loss: float, total: int | None = None, **_) -> None:
        console.progress(step, total, loss)

    return on_step


METHODS = {"svi": _svi}
