"""What a fit found that a user should know: warnings, and the reasons of genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...core.inference.diagnostics import ESS, RHAT
from ...core.model.spec import ModelSpec

PPC_FAILS = 0.01  # smallest two-sided p of four statistics, times four
MISFIT_SHARE = 0.1  # of the genes with counts
DOMINATED = 0.8  # posterior sd over prior sd
ABOVE_M0 = 0.01  # share of cells
EBFMI = 0.3
RHAT_OF_GENE = 1.05


def identifiability(spec: ModelSpec, log_library: np.ndarray | None) -> dict[str, str]:
    """Warnings of MODELS.md 4 on the scale of capture. log_library: (cells,), of the prior that needs it."""
    if spec.capture is None:
        return {}
    prior = spec[spec.capture].prior
    if prior.family != "library_size":
        free = set(prior.args.values()) == {1.0}  # uniform in nu
        return {"capture_scale_not_identified": FREE_CAPTURE.format(spec.capture)} if free else {}
    above = float(np.mean(log_library > prior.args["log_M0"]))
    if above <= ABOVE_M0:
        return {}
    text = (
        f"{above:.1%} of the cells have more counts than the {np.exp(prior.args['log_M0']):,.0f} molecules of a cell that "
        "the capture prior assumes: is it the organism of priors.organism, and are the counts molecules rather than reads?"
    )
    return {"library_above_m0": text}


FREE_CAPTURE = (
    "mu and the capture of cells have no common scale in the data, only r and ratios of mu and of capture are "
    "identified; set priors.organism, priors.capture_efficiency or priors.{} to give it one"
)


def of_svi(diagnostics: Mapping) -> dict[str, str]:
    if diagnostics["converged"]:
        return {}
    gain, noise = diagnostics["elbo_gain_last_window"], diagnostics["elbo_noise_last_window"]
    seen = f"last gain {gain:.3g} nats, noise {noise:.3g}" if np.isfinite(gain) else "too few to judge by"
    steps = f"{diagnostics['n_steps']:,} steps ({seen})"
    return {"not_converged": f"the fit has not converged after {steps}; raise svi.n_steps, or leave it null"}


def of_mcmc(d: Mapping) -> dict[str, str]:
    """d: the diagnostics of a NUTS run, as in metrics.json."""
    found = {}
    if not d["rhat"] < RHAT or not min(d["ess_bulk"], d["ess_tail"]) > ESS:
        found["not_converged"] = (
            f"the chains do not agree yet: largest R-hat {d['rhat']:.3f}, smallest ESS {d['ess_bulk']:.0f} (bulk), "
            f"{d['ess_tail']:.0f} (tail); raise mcmc.n_samples or mcmc.n_warmup"
        )
    if d["divergences"]:
        found["divergences"] = f"{d['divergences']:,} divergent transitions: intervals may be too narrow; raise mcmc.target_accept"
    if d["ebfmi"] < EBFMI:
        found["low_ebfmi"] = f"E-BFMI {d['ebfmi']:.2f} is under {EBFMI}: tails are explored slowly; try another parameterization"
    if d["max_treedepth_hits"]:
        found["max_treedepth"] = f"{d['max_treedepth_hits']:,} draws reached the largest tree depth; raise mcmc.n_warmup"
    return found


def misfit(spec: ModelSpec, ppc_p: np.ndarray, empty: np.ndarray) -> dict[str, str]:
    """ppc_p, empty: (genes,). The remedy names what the model does not have yet."""
    share = float((ppc_p[~empty] < PPC_FAILS).mean()) if (~empty).any() else 0.0
    if share <= MISFIT_SHARE:
        return {}
    lacking = {"capture (nbvcp)": spec.capture is None, "zero inflation (zinb, zinbvcp)": not spec.gated}
    remedies = [f"try a model with {name}" for name, lacks in lacking.items() if lacks]
    remedies.append("fit types of cells apart (data.where)")
    return {
        "many_genes_misfit": f"{share:.0%} of the genes with counts do not look like the model's predictions "
        f"(ppc_gene.tsv.gz); {', or '.join(remedies)}"
    }


def gene_reasons(empty, ratios: Mapping[str, np.ndarray], ppc_p, rhat: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{reason: mask (genes,)} in the order of the text.

    empty: genes without counts; ratios: {parameter: posterior sd / prior sd}; rhat: {gene parameter: (genes,)}.
    """
    none = np.zeros(len(empty), bool)
    return {
        "empty": empty,
        "prior-dominated": np.any([none, *(r > DOMINATED for r in ratios.values())], axis=0),
        "ppc": ppc_p < PPC_FAILS,
        "not-converged": np.any([none, *(r > RHAT_OF_GENE for r in rhat.values())], axis=0),
    }


def joined_reasons(reasons: Mapping[str, np.ndarray]) -> list[str]:
    """One text a gene, its reasons joined by ";"."""
    rows = zip(*reasons.values(), strict=True)
    return [";".join(name for name, hit in zip(reasons, row, strict=True) if hit) for row in rows]


def joined(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {name: text for part in parts for name, text in part.items()}
