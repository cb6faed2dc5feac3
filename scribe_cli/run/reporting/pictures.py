"""The pictures of the report, each with what it shows in words."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ...io.schema import UNCONSTRAINED
from ..figures.capture import capture
from ..figures.cell_totals import cell_totals
from ..figures.chains import chains
from ..figures.encode import encode
from ..figures.genes import GeneStatistic
from ..figures.histogram import Bands, histogram
from ..figures.loss import loss
from ..figures.mean_variance import mean_variance
from ..figures.p_values import p_values
from ..figures.zero_fraction import zero_fraction
from ..fitting import misfit
from ..fitting.misfit import FAILS, STATISTICS
from .material import Material
from .words import number

TRACED = 3  # parameters whose chains are drawn
BANDS = ("count_from", "count_to", "obs", "pred", "q05", "q95")


@dataclass(frozen=True)
class Picture:
    """source: a data: address; text: the finding, which is also what is read out where the picture is not seen."""

    source: str
    text: str


def picture(figure: Figure, text: str) -> Picture:
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(encode(figure)).decode()}", text)


def of_loss(m: Material) -> Picture:
    losses = m.stored.group("fit_history")["loss"]
    if m.metrics["optimiser"] == "newton":
        return picture(loss(losses), f"Loss over the {len(losses):,} steps of the search for the mode, whose curvature is the guide's.")
    if m.metrics["optimiser"] == "lbfgs":
        text = f"Loss over the {len(losses):,} steps of the guide, from the mode on. Its draws are fixed, so it has no noise; it jumps"
        return picture(loss(losses), f"{text} where more draws were taken.")
    text, quarter = f"Loss over {len(losses):,} steps.", len(losses) // 4
    if quarter:
        last, before = losses[-quarter:], losses[-2 * quarter : -quarter]
        text += (
            f" Over the last quarter it lies {number(abs(before.mean() - last.mean()))} nats "
            f"{'below' if last.mean() < before.mean() else 'above'} the quarter before, and single steps scatter by "
            f"{number(last.std())} nats."
        )
    if "mode_steps" in m.metrics:
        text += " The mode was found first and the guide starts there, so the curve begins close to its end."
    return picture(loss(losses), text)


def of_chains(m: Material) -> Iterator[Picture]:
    """Of the parameters that have mixed worst, those whose draws are kept."""
    found, stats = m.stored.group("convergence"), m.stored.group("sample_stats")
    drawn = 0
    for i in np.argsort(-np.nan_to_num(found["rhat"]), kind="stable"):
        name, element = str(found["parameter"][i]), str(found["element"][i])
        draws = _draws(m, name, element)
        if draws is None:
            continue
        called = f"{name} of {element}" if element else name
        yield picture(
            chains(draws, stats["diverging"], called),
            f"{called}: R-hat {found['rhat'][i]:.3f}, effective sample size {found['ess_bulk'][i]:,.0f}. Above the "
            f"trace of each chain (crosses: divergent draws), below the ranks, which are level where chains agree.",
        )
        drawn += 1
        if drawn == TRACED:
            return


def _draws(m: Material, name: str, element: str) -> np.ndarray | None:
    """(chain, draw) of one element of a parameter, in its unconstrained coordinate where that alone is kept."""
    array = m.stored.draws(name)
    if array is None:
        lifted = m.stored.group("unconstrained_posterior")
        if name + UNCONSTRAINED not in lifted:
            return None
        array = lifted[name + UNCONSTRAINED]
    axes = m.stored.axes(name)
    names = np.meshgrid(*(np.asarray(m.stored.coords[a], object) for a in axes), indexing="ij") if axes else []
    labels = ["__".join(row) for row in zip(*(n.ravel() for n in names), strict=True)] if axes else [""]
    at = np.unravel_index(labels.index(element), array.shape[2:]) if axes else ()
    return np.asarray(array[(slice(None), slice(None), *at)])


def of_genes(m: Material) -> Iterator[Picture]:
    """Variance and zeros against the mean, and the p-values."""
    checks, fails, found = m.checks(), m.columns["ppc_p"] < FAILS, m.misfit()
    kinds = {"var": (mean_variance, "Variance against mean"), "zero": (zero_fraction, "Share of zeros against mean")}
    for s, (draw, title) in kinds.items():
        statistic = GeneStatistic(checks["mean_obs"], checks[f"{s}_obs"], checks[f"{s}_pred"], fails)
        text = (
            f"{title}, gene by gene: the {STATISTICS[s]} is larger than the model predicts in {found.above[s]:,} genes "
            f"and smaller in {found.below[s]:,}, of {found.genes:,}."
        )
        yield picture(draw(statistic), text)
    p = {word: checks[f"{s}_p"][~m.empty] for s, word in STATISTICS.items()}
    edges = sum(int(((v < 0.05) | (v > 0.95)).sum()) for v in (p[STATISTICS["var"]], p[STATISTICS["max"]]))
    yield picture(
        p_values(p),
        f"Predictive p-values of the genes. Variance and largest count are level where the model is right; "
        f"{edges / max(1, 2 * found.genes):.0%} of theirs lie in the outer tenth. Mean and zeros, which the fit itself "
        f"follows, then gather in the middle.",
    )


def of_cells(m: Material) -> Iterator[Picture]:
    """Totals against their predictions; capture against library size where the model has it."""
    t = m.totals
    outside = misfit.of_cells(t["total_p"])
    yield picture(
        cell_totals(t["total_obs"], t["total_q05"], t["total_q95"]),
        f"Total count of each cell against its predictive interval: {outside:.1%} of the cells lie outside "
        f"(p < {FAILS}; 1 % would by chance).",
    )
    if m.stored.spec.capture is None:
        return
    library, s = m.stored.group("constant_data")["library_size"], m.stored.summary("p_capture").statistics
    low, mid, high = (s[q].astype(float) for q in ("q05", "q50", "q95"))
    width = float(np.median(high / mid))
    yield picture(
        capture(library, low, mid, high),
        f"Capture probability against library size: from {mid.min():.2g} to {mid.max():.2g}, median "
        f"{np.median(mid):.2g}; that of a typical cell is known to within a factor of {width:.2f}.",
    )


def of_gene(m: Material, at: np.ndarray) -> Iterator[Picture]:
    """The histogram of each of these genes."""
    rows, checks = m.histograms, m.checks()
    for i in at:
        name = str(m.genes[i])
        mine = rows["gene"] == name
        outside = (rows["obs"][mine] < rows["q05"][mine]) | (rows["obs"][mine] > rows["q95"][mine])
        text = (
            f"{name}: mean {number(checks['mean_obs'][i], 3)}, p {m.columns['ppc_p'][i]:.2g}; {int(outside.sum())} of "
            f"{int(mine.sum())} bins lie outside their 5 to 95 % band."
        )
        yield picture(histogram(Bands(*(rows[k][mine] for k in BANDS)), name), text)
