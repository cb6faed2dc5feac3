"""The keys of metrics.json. Light: gates are checked against them before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping

from ...core.axes import GENE
from ...core.inference import NOT_NORMAL
from ..recipe.config import Config

# every metric but the warnings; what a method does not have is not among its metrics
COMMON = (
    "converged",
    "seconds_read",
    "seconds_compile",
    "seconds_fit",
    "seconds_draws",
    "seconds_ppc",
    "seconds_write",
    "seconds_total",
    "peak_memory_gb",
    "n_cells",
    "n_genes",
    "nnz",
    "engine",
    "programs_compiled",
    "engine_max_abs_error",
    "engine_total_error",
    "engine_interpolation_error",
    "saturated_values",
    "prior_dominated_genes",
    "ppc_failed_genes",
)
OF_METHOD = {
    "svi": (
        "n_steps",
        "optimiser",
        "elbo",
        "elbo_sd",
        "elbo_gain_last_window",
        "elbo_noise_last_window",
        "mode_log_joint",
        "mode_decrement",
        "mode_steps",
        # of a guide that is found without chance: nats left in its ELBO, nats lost since its draws are so many, these, and the
        # gradients of the log joint that it took
        "guide_decrement",
        "guide_shortfall",
        "guide_draws",
        "guide_gradients",
    ),
    "mcmc": ("rhat", "ess_bulk", "ess_tail", "divergences", "ebfmi", "max_treedepth_hits", "label_switches"),
}
TEXTS = ("engine", "optimiser")
# {name: the methods it can occur with}
WARNINGS = {
    "capture_scale_not_identified": ("svi", "mcmc"),
    "library_above_m0": ("svi", "mcmc"),
    "capture_scaling": ("svi", "mcmc"),
    "empty_components": ("svi", "mcmc"),
    "components_left_labels": ("svi", "mcmc"),
    "labels_switch": ("mcmc",),
    "duplicate_cell_names": ("svi", "mcmc"),
    "duplicate_gene_names": ("svi", "mcmc"),
    "genes_not_shared": ("svi", "mcmc"),
    "dataset_of_one_cell": ("svi", "mcmc"),
    "dataset_is_label": ("svi", "mcmc"),
    "label_that_says_nothing": ("svi", "mcmc"),
    "library_size_below_total": ("svi", "mcmc"),
    "gpu_not_used": ("svi", "mcmc"),
    "not_converged": ("svi", "mcmc"),
    "guide_not_normal": ("svi",),
    "many_genes_misfit": ("svi", "mcmc"),
    "cell_totals_misfit": ("svi", "mcmc"),
    "engine_differs": ("svi", "mcmc"),
    "few_data": ("svi", "mcmc"),
    "prior_dominated": ("svi", "mcmc"),
    "divergences": ("mcmc",),
    "low_ebfmi": ("mcmc",),
    "max_treedepth": ("mcmc",),
}


def metric_names(method: str) -> list[str]:
    """Every key of metrics.json of this method that is a number or true or false."""
    names = [*COMMON, *OF_METHOD[method], *(f"warning_{name}" for name, methods in WARNINGS.items() if method in methods)]
    return [name for name in names if name not in TEXTS]


def of_guide(config: Config) -> list[str]:
    """The keys that are of the parameters of the model: of a Laplace guide the genes whose posterior is far from it."""
    laplace = config.inference_method == "svi" and config.guide.family == "laplace"
    return [f"{NOT_NORMAL}{p.name}" for p in config.resolve().params if laplace and GENE in p.axes]


def warning_flags(method: str, found: Mapping[str, str]) -> dict[str, bool]:
    return {f"warning_{name}": name in found for name, methods in WARNINGS.items() if method in methods}
