"""Whether chains have mixed: R-hat, effective sample sizes and Monte Carlo errors, for many elements at once.

Formulas: Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021 (rank-normalised and folded split R-hat, bulk and tail
ESS), Geyer 1992 (the initial monotone sequence), Betancourt 2016 (E-BFMI).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jax.scipy.special import polygamma
from numpyro import handlers
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

from ..axes import GENE, Axes, shape3, squeezed
from ..facts import Facts
from ..model import program
from ..model.laws import LogitBeta
from ..model.spec import ModelSpec
from ..padding import cut
from .posterior import Posterior

BLOCK = 2**16  # values taken through the formulas at once: they stay in the cache
TAILS = (0.05, 0.95)
FEWEST = 4  # draws of a chain below which nothing can be said
RHAT, ESS = 1.01, 400.0  # what converged means (Vehtari et al. 2021)
NUMBERS = ("rhat", "ess_bulk", "ess_tail", "mcse_mean")


@dataclass(frozen=True)
class Convergence:
    """Of each element of a parameter, in its shape. NaN where the draws are constant, or fewer than four a chain.

    rhat: the larger of the rank-normalised and the folded split R-hat; ess_bulk, ess_tail (the smaller of the 5 % and
    95 % quantiles'); mcse_mean: standard error of the posterior mean, in the parameter's unit.
    """

    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray
    mcse_mean: np.ndarray
    axes: Axes = ()


def convergence(draws: np.ndarray, axes: Axes = ()) -> Convergence:
    """Of draws (chain, draw, *shape); axes: of a parameter's elements, kept for its table."""
    draws = np.asarray(draws)
    chains, n, shape = *draws.shape[:2], draws.shape[2:]
    flat = draws.reshape(chains, n, -1)
    found = np.full((4, flat.shape[-1]), np.nan)
    step = max(1, BLOCK // max(chains * n, 1))
    for first in range(0, flat.shape[-1] if n >= FEWEST else 0, step):
        block = flat[..., first : first + step].astype(float).transpose(2, 0, 1)
        with np.errstate(invalid="ignore", divide="ignore"):  # infinite values have ranks, but no mean
            found[:, first : first + step] = _of_block(np.ascontiguousarray(block))
    return Convergence(*(row.reshape(shape) for row in found), axes)


def _of_block(x: np.ndarray) -> np.ndarray:
    """(rhat, ess_bulk, ess_tail, mcse_mean) x elements, of draws (element, chain, draw)."""
    split, whole = split_chains(x), x.reshape(len(x), -1)
    ranked = normal_scores(split)
    folded = normal_scores(np.abs(split - np.median(split, axis=(1, 2), keepdims=True)))
    tail = [ess(split_chains((x <= q[:, None, None]).astype(float))) for q in np.quantile(whole, TAILS, axis=1)]
    found = np.stack(
        [
            np.maximum(rhat(ranked), rhat(folded)),
            ess(ranked),
            np.minimum(*tail),
            whole.std(1, ddof=1) / np.sqrt(ess(split)),
        ]
    )
    return np.where(_moves(split), found, np.nan)


def split_chains(x: np.ndarray) -> np.ndarray:
    """(element, 2 chains, half the draws): a chain that drifts disagrees with itself. An odd middle draw is out."""
    half = x.shape[-1] // 2
    return np.concatenate([x[..., :half], x[..., -half:]], axis=1)


def normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks over all chains, equal values sharing their mean rank; Blom's offsets."""
    flat = x.reshape(len(x), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    scores = ndtri((0.5 * np.arange(2 * size + 1) - 0.375) / (size + 0.25))
    out = np.empty_like(flat)
    np.put_along_axis(out, order, scores[_twice_mean_ranks(ordered)], axis=1)
    return out.reshape(x.shape)


def _twice_mean_ranks(ordered: np.ndarray) -> np.ndarray:
    """First plus last rank, from 1, of the run of equal values that each of these sorted rows' values is in."""
    twice = np.tile(2 * np.arange(1, ordered.shape[1] + 1), (len(ordered), 1))
    row, column = np.nonzero(ordered[:, 1:] == ordered[:, :-1])
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1] + 1)
    first = column[new][np.cumsum(new) - 1]
    last = column[np.roll(new, -1)][np.cumsum(new) - 1] + 1
    twice[row, column] = twice[row, column + 1] = first + last + 2
    return twice


def rhat(x: np.ndarray) -> np.ndarray:
    """(element,): sqrt of the variance of all draws over that within chains, of draws (element, chain, draw)."""
    n = x.shape[-1]
    between = x.mean(-1).var(-1, ddof=1) / x.var(-1, ddof=1).mean(-1)
    return np.sqrt(between + (n - 1) / n)


def ess(x: np.ndarray) -> np.ndarray:
    """(element,): draws (element, chain, draw) over their autocorrelation time, that time at least 1/log10(draws)."""
    chains, n = x.shape[1:]
    covariance = _autocovariance(x)
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, 0] + x.mean(-1).var(-1, ddof=1)
    rho = 1.0 - (within - covariance) / total[:, None]
    rho[:, 0] = 1.0
    time = np.maximum(_autocorrelation_time(rho), 1.0 / np.log10(chains * n))
    return np.where(_moves(x), chains * n / time, chains * n)


def _moves(x: np.ndarray) -> np.ndarray:
    """(element,): whether not all draws are one value."""
    return x.max((1, 2)) > x.min((1, 2))


def _autocovariance(x: np.ndarray) -> np.ndarray:
    """(element, lag): mean over chains; the chains' power spectra are averaged before the one way back."""
    n = x.shape[-1]
    length = next_fast_len(2 * n, real=True)
    spectrum = rfft(x - x.mean(-1, keepdims=True), length, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).mean(1)
    return irfft(power, length, axis=-1)[:, :n] / n


def _autocorrelation_time(rho: np.ndarray) -> np.ndarray:
    """Geyer: sums of pairs of lags, up to the first that is not positive, made to fall; of that one its even lag."""
    last = max((rho.shape[1] - 3) // 2, 0)
    even, odd = rho[:, 0 : 2 * last + 2 : 2], rho[:, 1 : 2 * last + 2 : 2]
    pairs = even + odd
    ends = np.where((pairs <= 0).any(1), (pairs <= 0).argmax(1), last)
    kept = np.arange(last + 1)[None] < ends[:, None]
    falling = np.minimum.accumulate(pairs, axis=1)
    at_end = np.take_along_axis(even, ends[:, None], axis=1)[:, 0]
    return -1.0 + 2.0 * np.where(kept, falling, 0.0).sum(1) + np.maximum(at_end, 0.0)


def ebfmi(energy: np.ndarray) -> np.ndarray:
    """(chain,): squared changes of energy (chain, draw) over its variance; under 0.3 the tails are explored slowly."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.diff(energy, axis=1) ** 2).sum(1) / ((energy - energy.mean(1, keepdims=True)) ** 2).sum(1)


def worst(found: Iterable[Convergence]) -> dict[str, float]:
    """{rhat: largest, ess_bulk, ess_tail: smallest} over all elements that move; NaN where there are none."""
    found = list(found)
    return {
        "rhat": _extreme(np.max, [c.rhat for c in found]),
        "ess_bulk": _extreme(np.min, [c.ess_bulk for c in found]),
        "ess_tail": _extreme(np.min, [c.ess_tail for c in found]),
    }


def _extreme(pick: Callable, arrays: list[np.ndarray]) -> float:
    values = np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.empty(0)
    values = values[~np.isnan(values)]
    return float(pick(values)) if values.size else float("nan")


def of_posterior(posterior: Posterior) -> dict[str, Convergence]:
    """{stored parameter: its convergence} of chains. The other capture coordinates are functions of the stored one."""
    return {v.name: convergence(v.draws, v.axes) for v in posterior.variables() if v.stored}


def metrics(found: Mapping[str, Convergence], sample_stats: Mapping[str, np.ndarray]) -> dict[str, float | int | bool]:
    """The numbers of chains in metrics.json. converged: R-hat under 1.01 and ESS over 400, everywhere."""
    worst_of = worst(found.values())
    return {
        **worst_of,
        "converged": worst_of["rhat"] < RHAT and min(worst_of["ess_bulk"], worst_of["ess_tail"]) > ESS,
        "divergences": int(sample_stats["diverging"].sum()),
        "ebfmi": float(ebfmi(sample_stats["energy"]).min()),
        "max_treedepth_hits": int(sample_stats["reached_max_treedepth"].sum()),
    }


def table(found: Mapping[str, Convergence], coords: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Columns of convergence.tsv. coords: {axis: names}.

    An element is called by its names along the axes, joined by "__"; "" for a parameter without axes.
    """
    parts = [_rows(name, c, coords) for name, c in found.items()]
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}


def _rows(name: str, found: Convergence, coords: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    elements = ["__".join(names) for names in itertools.product(*(coords[a] for a in found.axes))]
    columns = {"parameter": np.full(len(elements), name, object), "element": np.array(elements, object)}
    return columns | {field: np.ravel(getattr(found, field)) for field in NUMBERS}


def prior_ratio(posterior: Posterior) -> dict[str, np.ndarray]:
    """{sampled gene parameter: posterior sd / prior sd in the lifted coordinate, shape of its axes} (MODELS.md 4).

    A parameter under a hierarchy is left out: its prior is what the other genes say.
    """
    spec, dims = posterior.spec, tuple(range(len(posterior.sample_dims)))
    names = [p.name for p in spec.params if GENE in p.axes and p.prior.over is None and p.prior.base is None]
    variance = prior_variance(spec, posterior.facts, names)
    found = {}
    for name in names:
        axes, draws = spec[name].axes, posterior.draws[name]
        ratio = draws.std(dims, ddof=1) / np.sqrt(variance[name])
        found[name] = ratio.reshape(squeezed(axes, posterior.facts.sizes))
    return found


def prior_variance(spec: ModelSpec, facts: Facts, names: Sequence[str]) -> dict[str, np.ndarray]:
    """{parameter: variance of theta under its prior, rank 3}, for priors that are a single law."""

    def variances(facts):
        trace = handlers.trace(handlers.seed(lambda: program.draw(spec, facts), jax.random.PRNGKey(0))).get_trace()
        return {name: theta_variance(trace[_site(name)]["fn"]) for name in names}

    return {name: cut(v, shape3(spec[name].axes, facts.sizes)) for name, v in jax.jit(variances)(facts.filled()).items()}


def _site(name: str) -> str:
    return f"{name}_unconstrained"


@functools.singledispatch
def theta_variance(law):
    """Variance of a law of theta."""
    return law.variance


@theta_variance.register
def _(law: LogitBeta):
    """log of a ratio of a Gamma(a) to a Gamma(b)."""
    return polygamma(1, law.a) + polygamma(1, law.b)
