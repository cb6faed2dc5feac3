"""The hierarchies (MODELS.md 4): which keys ask for them, and the nested prior that they make of a parameter's own."""

from __future__ import annotations

from dataclasses import dataclass

from ..axes import COMPONENT, DATASET, GENE, Axes, in_order
from .asked import Asked
from .default_priors import normal
from .spec import Prior


@dataclass(frozen=True)
class Level:
    """One row of the table: a key, the axis it is over, (m, s) of its gaussian, the population's location.

    location None: the parameter's own prior.
    """

    key: str
    over: str
    gaussian: tuple[float, float] = (0.0, 0.0)
    location: Prior | None = None


# by role, the inner level first: it is the location of the outer one
LEVELS: dict[str, tuple[Level, ...]] = {
    "prob": (
        Level("prob_prior", GENE, (0.0, 0.5), normal(0.0, 1.0)),
        Level("prob_dataset_prior", DATASET, (0.0, 0.5), normal(0.0, 3.0)),
    ),
    "mean": (
        Level("expression_prior", COMPONENT, (-2.0, 0.5)),
        Level("expression_dataset_prior", DATASET, (-2.0, 0.5)),
    ),
    "gate": (
        Level("zero_inflation_prior", GENE, (-2.0, 0.5), normal(-2.0, 1.0)),
        Level("zero_inflation_dataset_prior", DATASET, (-2.0, 0.5), normal(-2.0, 1.0)),
    ),
    "excess": (
        Level("overdispersion_prior", GENE, location=normal(-5.0, 1.0)),
        Level("overdispersion_dataset_prior", DATASET, (0.0, 1.0), normal(-5.0, 1.0)),
    ),
    "scaling": (Level("capture_scaling_prior", DATASET, (-2.0, 0.5)),),
}
# prob_dataset_mode: one p of each dataset, or the genes of a dataset around one
SCALAR, TWO_LEVEL = "scalar", "two_level"
ONE_P = normal(0.0, 1.0)
SPREAD_OF_DATASETS = {"m": 0.0, "s": 0.5}


def prior(asked: Asked, role: str, own: Prior) -> Prior:
    """The prior of the parameter with this role, `own` if no hierarchy is asked for."""
    mode = _mode(asked, role)
    if mode in (SCALAR, TWO_LEVEL):
        level = LEVELS[role][1]
        family = asked.given[level.key]
        if mode == SCALAR:
            return _around(asked, family, level, ONE_P)
        datasets = Prior("gaussian", SPREAD_OF_DATASETS, DATASET, ONE_P)
        return Prior(family, _arguments(asked, family, level), GENE, datasets)
    found = None
    for level, family in _levels(asked, role):
        found = _around(asked, family, level, found or level.location or own)
    return found or own


def axes(asked: Asked, role: str, own: Axes) -> Axes:
    """The axes of the parameter with this role: its own and those its hierarchies are over."""
    overs = {level.over for level, _ in _levels(asked, role)}
    mode = _mode(asked, role)
    if role == "prob" and DATASET in overs:
        overs |= set() if mode == SCALAR else {GENE}
    return in_order({*own, *overs})


def replaced(asked: Asked, role: str) -> bool:
    """Whether a hierarchy brings a location of its own in place of the parameter's prior."""
    return any(level.location is not None for level, _ in _levels(asked, role))


def _mode(asked: Asked, role: str) -> str | None:
    if role != "prob" or "prob_dataset_prior" not in asked.given:
        return None
    return asked.get("prob_dataset_mode", "gene_specific")


def _levels(asked: Asked, role: str) -> list[tuple[Level, str]]:
    """(level, family) of those asked for, the inner first. Without either of omega's, it has the horseshoe."""
    found = [(level, asked.given[level.key]) for level in LEVELS.get(role, ()) if level.key in asked.given]
    return found or ([(LEVELS[role][0], "horseshoe")] if role == "excess" else [])


def _around(asked: Asked, family: str, level: Level, location: Prior) -> Prior:
    return Prior(family, _arguments(asked, family, level), level.over, location)


def _arguments(asked: Asked, family: str, level: Level) -> dict[str, float]:
    if family == "gaussian":
        return dict(zip(("m", "s"), level.gaussian, strict=True))
    if family == "horseshoe":
        keys = {"tau0": 1.0, "slab_df": 4.0, "slab_scale": 2.0}
        tau0, df, slab = (float(asked.get(f"horseshoe_{k}", v)) for k, v in keys.items())
        return {"tau0": tau0, "df": df, "slab": slab}
    return {k: float(asked.get(f"neg_{k}", 1.0)) for k in ("u", "a", "tau")}
