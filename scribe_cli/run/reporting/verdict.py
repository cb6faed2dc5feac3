"""The first screen: is the fit to be believed, topic by topic, each with a word for how it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..fitting import misfit
from . import words
from .material import Material

GOOD, NOTE, WARNING, PROBLEM = "good", "note", "warning", "problem"
# the least to the worst; mark and word stand together, so that no colour has to be seen
MARKS = {GOOD: "\u2713", NOTE: "\u2022", WARNING: "!", PROBLEM: "\u2717"}
# warnings as the headline puts them, the weightiest first
SHORT = {
    "not_converged": "it has not converged",
    "few_data": "there are too few data to learn from",
    "many_genes_misfit": "many genes do not look like the model's predictions",
    "cell_totals_misfit": "the model does not predict the totals of cells",
    "divergences": "the chains diverged",
    "low_ebfmi": "the chains explore the tails slowly",
    "max_treedepth": "the chains' steps are too short",
    "guide_not_normal": "the guide is not the posterior of many genes",
    "engine_differs": "the engine's likelihood is not the dense sum",
    "capture_scale_not_identified": "the scale of mu is not identified",
    "library_above_m0": "cells hold more than the capture prior allows",
    "prior_dominated": "many genes follow their prior",
    "library_size_below_total": "the library sizes given are below the cells' own totals",
    "genes_not_shared": "the inputs do not share all genes",
    "dataset_of_one_cell": "datasets have a single cell",
    "dataset_is_label": "a dataset is one with a label",
    "label_that_says_nothing": "a label says that nothing is known",
    "capture_scaling": "means and capture of datasets are told apart by shrinkage alone",
    "empty_components": "components have no cells",
    "components_left_labels": "components are not what their labels say",
    "labels_switch": "the chains exchange components",
    "duplicate_cell_names": "cell names stand twice",
    "duplicate_gene_names": "gene names stand twice",
    "gpu_not_used": "the GPU was not used",
}
# with which the estimates themselves are not to be used; and misfit, where it is of most genes
PROBLEMS = ("not_converged", "few_data")
MOST = 0.5
HEADLINES = {
    GOOD: "Nothing speaks against this fit: it converged, and counts drawn from it look like the data",
    NOTE: "Nothing speaks against this fit as a whole; what is noted below speaks against parts of it",
    WARNING: "Usable with care",
    PROBLEM: "Do not rely on this fit yet",
}
CHANCE = 3  # times the failures of a right model, up to which they are no news


@dataclass(frozen=True)
class Status:
    """How a topic stands: good, note, warning or problem; texts: one or more sentences."""

    topic: str
    level: str
    texts: tuple[str, ...]

    @property
    def mark(self) -> str:
        return MARKS[self.level]


@dataclass(frozen=True)
class Topic:
    """Some warnings that belong together, and (level, text) of what is said where the first of them is not raised, or

    None for nothing.
    """

    name: str
    warnings: tuple[str, ...]
    otherwise: Callable[[Material], tuple[str, str] | None]


def statuses(m: Material) -> list[Status]:
    """Every topic; warnings that belong to none are about the data."""
    known = {name for topic in TOPICS for name in topic.warnings}
    rest = tuple(name for name in m.warnings if name not in known)
    found = [_status(t, m, t.warnings + (rest if t.name == DATA else ())) for t in TOPICS]
    return [status for status in found if status.texts]


def headline(m: Material) -> tuple[str, str]:
    """(level, the verdict in one sentence): as the worst of the topics."""
    level = max((status.level for status in statuses(m)), key=list(MARKS).index)
    known = [SHORT[name] for name in SHORT if name in m.warnings]
    why = [*known, *(name.replace("_", " ") for name in m.warnings if name not in SHORT)]
    return level, f"{HEADLINES[level]}{': ' if why else ''}{'; '.join(why)}."


def _level(name: str, m: Material) -> str:
    """Of a warning."""
    unlike = name == "many_genes_misfit" and m.misfit().share > MOST
    return PROBLEM if unlike or name in PROBLEMS else WARNING


def _status(topic: Topic, m: Material, names: tuple[str, ...]) -> Status:
    raised = [name for name in names if name in m.warnings]
    said = None if topic.warnings[0] in raised else topic.otherwise(m)
    levels = [_level(name, m) for name in raised] + ([said[0]] if said else [GOOD])
    texts = ([said[1]] if said else []) + [m.warnings[name] for name in raised]
    return Status(topic.name, max(levels, key=list(MARKS).index), tuple(map(_sentence, texts)))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _converged(m: Material) -> tuple[str, str]:
    return GOOD, OF_METHOD[m.stored.method](m.metrics)


def _svi(d) -> str:
    if d["optimiser"] == "newton":
        return (
            f"the fit has converged: the mode was found in {d['mode_steps']:,} steps, and moving the guide on from where it is "
            f"would gain {words.number(d['elbo_gain_last_window'])} nats, and more draws than {d['guide_draws']:,} would gain "
            f"{words.number(d['guide_shortfall'])}"
        )
    mode = f"the mode was found first, in {d['mode_steps']:,} steps; " if "mode_steps" in d else ""
    if d["optimiser"] == "lbfgs":
        return (
            f"the fit has converged: {mode}then the guide, in {d['n_steps']:,} steps on the ELBO of {d['guide_draws']:,} fixed draws: "
            f"moving it on would gain {words.number(d['guide_decrement'])} nats, and more draws {words.number(d['guide_shortfall'])}"
        )
    mode += "fixed draws did not do for the guide, so it is the stochastic optimiser's; " if d["optimiser"] != "adam" else ""
    return (
        f"the fit has converged: {mode}after {d['n_steps']:,} steps of the guide the last window changed the ELBO by "
        f"{words.number(d['elbo_gain_last_window'])} nats, its noise being {words.number(d['elbo_noise_last_window'])}"
    )


def _mcmc(d) -> str:
    return (
        f"the chains agree: largest R-hat {d['rhat']:.3f} (good below 1.01), smallest effective sample size "
        f"{min(d['ess_bulk'], d['ess_tail']):,.0f} (good above 400), E-BFMI {d['ebfmi']:.2f} (good above 0.3)"
    )


OF_METHOD = {"svi": _svi, "mcmc": _mcmc}


def _checks(m: Material) -> tuple[str, str]:
    found = m.misfit()
    where = f" ({misfit.in_words(found)}); they are listed below" if found.failed else ""
    text = (
        f"{found.failed:,} of {found.genes:,} genes with counts fail a check{where}; "
        f"{misfit.of_cells(m.totals['total_p']):.1%} of the cells have a total outside the predictions"
    )
    if "cell_totals_misfit" in m.warnings:
        return NOTE, text
    if "few_data" in m.warnings:
        return NOTE, f"{text}; with so few cells the checks can hardly fail"
    if found.share > CHANCE * misfit.FAILS:
        return NOTE, f"{text}; more genes than chance would have it ({misfit.FAILS:.0%})"
    return GOOD, f"counts drawn from the fit look like the data: {text}"


def _scale(m: Material) -> tuple[str, str] | None:
    said = words.scale(m)
    return (GOOD, said[0]) if said else None


def _amount(m: Material) -> tuple[str, str]:
    n = int(m.has_reason("prior-dominated").sum())
    which = "no gene follows" if n == 0 else f"{n:,} of {len(m.genes):,} genes follow"
    return GOOD, f"{m.n_cells:,} cells; {which} the prior rather than the data"


def _data(m: Material) -> tuple[str, str] | None:
    if any(name.startswith("duplicate") for name in m.warnings):
        return None
    n = int(m.empty.sum())
    return GOOD, f"names are unique{'' if n == 0 else f', {n:,} genes have no counts'}"


DATA = "Data"
OF_DATASETS = ("genes_not_shared", "dataset_of_one_cell", "dataset_is_label")
TOPICS = (
    Topic("Convergence", ("not_converged", "guide_not_normal", "engine_differs", "divergences", "low_ebfmi", "max_treedepth"), _converged),
    Topic("Predictive checks", ("many_genes_misfit", "cell_totals_misfit"), _checks),
    Topic("Scale of \u03bc", ("capture_scale_not_identified", "library_above_m0", "capture_scaling", "library_size_below_total"), _scale),
    Topic("Components", ("empty_components", "components_left_labels", "labels_switch"), lambda m: None),
    Topic("Amount of data", ("few_data", "prior_dominated"), _amount),
    Topic(DATA, (*OF_DATASETS, "label_that_says_nothing", "duplicate_cell_names", "duplicate_gene_names"), _data),
    Topic("Machine", ("gpu_not_used",), lambda m: None),
)
