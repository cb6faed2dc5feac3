"""What a fit found that a user should know: warnings, and the reasons of genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...core.axes import DATASET, GENE
from ...core.inference import NOT_NORMAL, mode
from ...core.inference.diagnostics import ESS, RHAT
from ...core.model import parameterizations
from ...core.model.spec import ModelSpec
from ...errors import listed
from . import interpolation
from .misfit import FAILS, SEEN, Misfit, in_words

MISFIT_SHARE = 0.1  # of the genes seen often enough, or of the cells
SIDED = 0.2  # of the failures, to speak of a kind of them
FEW_CELLS = 30
DOMINATED_SHARE = 0.5  # of the genes with counts
DOMINATED = 0.8  # posterior sd over prior sd
ABOVE_M0 = 0.01  # share of cells
EBFMI = 0.3
ENGINE_ERROR = 0.5  # nats, of all cells
BEYOND = 1e-3  # share of the draws of capture
RHAT_OF_GENE = 1.05


def identifiability(spec: ModelSpec, log_library: np.ndarray | None) -> dict[str, str]:
    """Warnings of MODELS.md 4 on the scale of capture. log_library: (cells,), of the prior that needs it."""
    if spec.capture is None:
        return {}
    prior = spec[spec.capture].prior
    if spec.log_M0 is None:
        free = set(prior.args.values()) == {1.0}  # uniform in nu
        return {"capture_scale_not_identified": FREE_CAPTURE.format(spec.capture)} if free else {}
    found = {"capture_scaling": CAPTURE_SCALING} if spec.role("scaling") and DATASET in spec.role("mean").axes else {}
    above = float(np.mean(log_library > spec.log_M0))
    if above <= ABOVE_M0:
        return found
    text = (
        f"{above:.1%} of the cells have more counts than the {np.exp(spec.log_M0):,.0f} molecules of a cell that "
        "the capture prior assumes: is it the organism of priors.organism, and are the counts molecules rather than reads?"
    )
    return found | {"library_above_m0": text}


CAPTURE_SCALING = (
    "with capture_scaling_prior and expression_dataset_prior a change of all means and one of capture are told apart by "
    "shrinkage alone; compare genes within a dataset, or leave out capture_scaling_prior"
)
FREE_CAPTURE = (
    "mu and the capture of cells have no common scale in the data, only r and ratios of mu and of capture are "
    "identified; set priors.organism, priors.capture_efficiency or priors.{} to give it one"
)


def of_svi(diagnostics: Mapping, n_genes: int) -> dict[str, str]:
    genes = {name.removeprefix(NOT_NORMAL): n for name, n in diagnostics.items() if name.startswith(NOT_NORMAL)}
    return _not_converged(diagnostics) | _not_normal(genes, n_genes)


def _not_normal(genes: Mapping[str, int], n_genes: int) -> dict[str, str]:
    """genes: of a Laplace guide, {parameter: how many genes' posterior it is far from}, the most first."""
    if max(genes.values(), default=0) <= MISFIT_SHARE * n_genes:
        return {}
    named = " and ".join(f"{name} of {n:,} genes" for name, n in genes.items() if n)
    advice = "choose guide: {family: mean_field}"
    return {"guide_not_normal": f"the posterior is far from the Normal of its mode in {named}; {advice}"}


def _not_converged(diagnostics: Mapping) -> dict[str, str]:
    if diagnostics["converged"]:
        return {}
    if diagnostics["optimiser"] == "newton":
        text = f"the mode or the middle of the guide has not been found after {diagnostics['n_steps']:,} steps"
        left = f"{diagnostics['mode_decrement']:.3g} and {diagnostics['elbo_gain_last_window']:.3g} nats are left"
        return {"not_converged": f"{text} ({left}); choose guide: {{family: mean_field}}"}
    if diagnostics["optimiser"] == "lbfgs" and diagnostics.get("mode_decrement", 0.0) < mode.TOLERANCE:
        left = f"{diagnostics['guide_decrement']:.3g} nats are left, {diagnostics['guide_shortfall']:.3g} are lost for want of draws"
        return {"not_converged": f"the guide has not converged ({left}), and Adam's steps from there gained nothing; set svi.n_steps for more of them"}
    if diagnostics["optimiser"] == "lbfgs":
        text = f"the mode has not been found after {diagnostics['mode_steps']:,} steps ({diagnostics['mode_decrement']:.3g} nats are left)"
        return {"not_converged": f"{text}, though the guide has; look at the counts and the priors before you trust the MAP"}
    gain, noise = diagnostics["elbo_gain_last_window"], diagnostics["elbo_noise_last_window"]
    seen = f"last gain {gain:.3g} nats, noise {noise:.3g}" if np.isfinite(gain) else "too few to judge by"
    steps = f"{diagnostics['n_steps']:,} steps ({seen})"
    return {"not_converged": f"the fit has not converged after {steps}; set svi.n_steps to more than these, or null if it is set"}


def of_mcmc(d: Mapping) -> dict[str, str]:
    """d: the diagnostics of a NUTS run, as in metrics.json."""
    found = {}
    if not d["rhat"] < RHAT or not min(d["ess_bulk"], d["ess_tail"]) > ESS:
        found["not_converged"] = (
            f"the chains do not agree yet: largest R-hat {d['rhat']:.4g}, smallest ESS {d['ess_bulk']:.0f} (bulk), "
            f"{d['ess_tail']:.0f} (tail); raise mcmc.n_samples or mcmc.n_warmup"
        )
    if d["divergences"]:
        found["divergences"] = f"{d['divergences']:,} divergent transitions: intervals may be too narrow; raise mcmc.target_accept"
    if d["ebfmi"] < EBFMI:
        found["low_ebfmi"] = f"E-BFMI {d['ebfmi']:.2f} is under {EBFMI}: tails are explored slowly; try another parameterization"
    if d["max_treedepth_hits"]:
        found["max_treedepth"] = f"{d['max_treedepth_hits']:,} draws reached the largest tree depth; raise mcmc.n_warmup"
    if d.get("label_switches"):
        found["labels_switch"] = (
            f"the chains exchange components: {d['label_switches']:,} draws were brought to the labels of the first chain; "
            "components that are hardly apart mix, look at their responsibilities"
        )
    return found


def engine(errors: Mapping[str, float], beyond: float) -> dict[str, str]:
    """errors, beyond: of audit.py."""
    total, said = errors["engine_total_error"], []
    if not total <= ENGINE_ERROR:
        said.append(f"the log-likelihood that was fitted is {total:.3g} nats from the sum over all entries")
    if not errors["engine_interpolation_error"] <= interpolation.ENOUGH:
        said.append(f"up to {errors['engine_interpolation_error']:.3g} nats may be lost between its nodes of log capture")
    if beyond > BEYOND:
        said.append(f"{beyond:.2%} of the draws of capture are farther from its prior than the engine interpolates")
    return {"engine_differs": f"{', and '.join(said)}; fit again with engine: dense"} if said else {}


def components(names: Sequence[str], probabilities: np.ndarray | None, annotation: np.ndarray | None) -> dict[str, str]:
    """probabilities: (cells, components), None without a mixture; annotation: (cells,) codes of labels, -1 for none, or None."""
    if probabilities is None:
        return {}
    found = {}
    empty = [name for name, cells in zip(names, probabilities.sum(0), strict=True) if cells < 1.0]
    if empty:
        found["empty_components"] = (
            f"{listed(empty)} of {len(names)} components have no cells: what they report is their priors'; lower n_components"
        )
    left = [] if annotation is None else _left(names, probabilities.argmax(1), annotation)
    if left:
        found["components_left_labels"] = (
            f"components are not what their labels say: {listed(left, 5)}; raise annotation_confidence"
            + (", or n_components: cells without a label may have taken a component" if (annotation < 0).any() else "")
        )
    return found


def _left(names: Sequence[str], component: np.ndarray, annotation: np.ndarray) -> list[str]:
    """The labels of which less than half of the cells are of their component, in words."""
    said = []
    for k in np.unique(annotation[annotation >= 0]):
        cells = np.bincount(component[annotation == k], minlength=len(names))
        if cells[k] < 0.5 * cells.sum():
            said.append(f"of {cells.sum():,} cells labelled {names[k]} {cells[k]:,} are in it, {cells.max():,} in {names[cells.argmax()]}")
    return said


def checks(spec: ModelSpec, genes: Misfit, cells: float) -> dict[str, str]:
    """Warnings of the predictive checks; the remedies name what the model does not have. cells: share with a misfit."""
    found = {}
    if genes.share > MISFIT_SHARE and genes.chance < FAILS:
        found["many_genes_misfit"] = (
            f"{genes.share:.0%} of the genes with a mean count above {SEEN} do not look like the model's predictions "
            f"({in_words(genes)}; ppc_gene.tsv.gz); {', or '.join(_remedies(spec, genes, cells))}"
        )
    if cells > MISFIT_SHARE:
        remedy = "is the prior of capture the right one?" if spec.capture else "try a model with capture (nbvcp)"
        found["cell_totals_misfit"] = (
            f"{cells:.0%} of the cells have a total count that the model does not predict (total_p of cell.tsv.gz); "
            f"{remedy}"
        )
    return found


def _remedies(spec: ModelSpec, genes: Misfit, cells: float) -> list[str]:
    """What may help, the likeliest first."""
    if spec.capture is None and cells > MISFIT_SHARE:
        return ["try a model with capture (nbvcp): cells differ in how many of their molecules were counted"]
    shared = any(GENE not in spec.coordinate_axes(c) for c in parameterizations.load(spec.parameterization).natural)
    both = min(genes.above["var"], genes.below["var"]) > SIDED * genes.both("var") > 0
    lacking = {
        "zero inflation (zinb, zinbvcp)": not spec.gated and genes.above["zero"] > 0.5 * genes.failed,
        "capture (nbvcp)": spec.capture is None,
        "a dispersion of each gene's own (parameterization: mean_disp)": shared and both,
    }
    remedies = [f"try a model with {name}" for name, lacks in lacking.items() if lacks]
    apart = "raise n_components" if spec.mixed else "fit types of cells apart (data.where)"
    return [*remedies, apart]


def amount(n_cells: int, dominated: np.ndarray, empty: np.ndarray) -> dict[str, str]:
    """Warnings of data that say little. dominated, empty: (genes,)."""
    found = {}
    share = float(dominated[~empty].mean()) if (~empty).any() else 1.0
    if n_cells < FEW_CELLS:
        found["few_data"] = (
            f"{n_cells} cells: with fewer than {FEW_CELLS} neither dispersions nor zero inflation can be learnt, and "
            "the predictive checks can hardly fail; intervals show the prior more than the data; fit more cells"
        )
    if share > DOMINATED_SHARE:
        found["prior_dominated"] = (
            f"{share:.0%} of the genes with counts have parameters that follow their prior rather than the data "
            "(reason prior-dominated); look at these priors, or leave rare genes out (data.min_counts)"
        )
    return found


def gene_reasons(empty, ratios: Mapping[str, np.ndarray], ppc_p, rhat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{reason: mask (genes,)} in the order of the text.

    empty: genes without counts; ratios: {parameter: posterior sd / prior sd}; rhat: {gene parameter: R-hat}; both with genes
    as the last of their axes: a gene has what some component or dataset of it has.
    """
    return {
        "empty": empty,
        "prior-dominated": _some_above(ratios, DOMINATED, len(empty)),
        "ppc": ppc_p < FAILS,
        "not-converged": _some_above(rhat, RHAT_OF_GENE, len(empty)),
    }


def _some_above(values: Mapping[str, np.ndarray], limit: float, n_genes: int) -> np.ndarray:
    return np.any([np.zeros(n_genes, bool), *((v > limit).reshape(-1, n_genes).any(0) for v in values.values())], axis=0)


def joined_reasons(reasons: Mapping[str, np.ndarray]) -> list[str]:
    """One text a gene, its reasons joined by ";"."""
    rows = zip(*reasons.values(), strict=True)
    return [";".join(name for name, hit in zip(reasons, row, strict=True) if hit) for row in rows]


def joined(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {name: text for part in parts for name, text in part.items()}
