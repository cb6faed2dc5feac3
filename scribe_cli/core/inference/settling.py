"""Genes, and cells, brought near their own modes with all else held: where a joint search begins.

Given the rest genes are independent (ENGINE.md 10), and so are cells, and each has a damped Newton step of its own (Nocedal and
Wright 2006, section 10.3): in a joint search the gene that bends worst holds all others back. What a step gains for each is seen
by the slopes at both its ends, since values are of all together.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..axes import CELL, GENE
from ..model import derive
from . import curvature
from .problem import Problem

FEWEST = 3  # parameters of a gene that are worth it: with fewer, a joint search has no trouble
ROUNDS = 40
ENOUGH = 0.01  # nats of an element, on average, that are still to gain
LONGEST = 1.0  # step of a coordinate, which is a log or a logit
FLATTEST = 1e-2  # curvature relative to the diagonal's
DAMPING, DAMPINGS = 1e-2, (1e-6, 1e6)  # relative to the diagonal, at first and at all
LESS, MORE = 0.25, 8.0  # by what it changes after a step that gained, or did not


def settle(problem: Problem, start: dict, on_step: Callable = lambda **_: None) -> dict:
    """{site: value} from `start`: genes are moved, then cells, then genes again, where a gene has FEWEST sites of one shape.

    An element whose slope or curvature is not finite stays: what that means is for the joint search to say.
    """
    genes, cells = _sites(problem, GENE), _sites(problem, CELL)
    if problem.minibatch is not None or problem.spec.mixed or len(genes) < FEWEST:
        return start
    at, search = {name: jnp.asarray(v) for name, v in start.items()}, _Search(problem, on_step)
    for sites in (genes, cells, genes) if cells else (genes,):
        at = search(at, sites)
    return at


def _sites(problem: Problem, axis: str) -> list[str]:
    """Of one shape, that of most sites with this axis; scales are left where they are."""
    own = [name for name, site in problem.sites.items() if axis in site.axes and not derive.is_scale(name)]
    shapes = Counter(problem.sites[name].shape for name in own).most_common(1)
    return [name for name in own if problem.sites[name].shape == shapes[0][0]]


class _Search:
    """Moves elements of some sites, all at once and each for itself; two programs, whichever the sites."""

    def __init__(self, problem: Problem, on_step: Callable):
        data = {"facts": problem.facts, "stats": problem.stats}
        self._gradient = functools.partial(jax.jit(jax.grad(problem.complete_joint)), **data)
        self._products = functools.partial(curvature.products, problem, **data)
        self._on_step, self._steps = on_step, 0

    def __call__(self, at: dict, sites: list[str]) -> dict:
        order, slope = sorted(at), _stacked(self._gradient(at), sites)
        damping = np.full(len(slope), DAMPING)
        for _ in range(ROUNDS):
            found = self._products(at)
            bend = np.stack([_stacked({b: found[b][order.index(a)] for b in sites}, sites) for a in sites], 1)
            step = _steps(slope, bend, damping)
            left = float(np.nansum(slope * step)) / 2.0
            self._steps += 1
            self._on_step(phase="start", step=self._steps)
            if left < ENOUGH * len(slope):
                break
            new = _stacked(self._gradient(_moved(at, sites, step)), sites)
            gained = (((slope + new) * step).sum(1) > 0.0) & np.isfinite(new).all(1)
            at, slope = _moved(at, sites, np.where(gained[:, None], step, 0.0)), np.where(gained[:, None], new, slope)
            damping = np.clip(np.where(gained, LESS, MORE) * damping, *DAMPINGS)
        return at


def _stacked(values: dict, sites: list[str]) -> np.ndarray:
    """(elements, sites); nan where not finite."""
    found = np.stack([np.ravel(values[site]) for site in sites], 1)
    return np.where(np.isfinite(found), found, np.nan)


def _moved(at: dict, sites: list[str], step: np.ndarray) -> dict:
    return at | {site: at[site] + jnp.asarray(step[:, i]).reshape(at[site].shape) for i, site in enumerate(sites)}


def _steps(slope: np.ndarray, bend: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """(elements, sites) uphill, of slopes (elements, sites) and negative Hessians (elements, sites, sites); 0 where not finite."""
    known = np.isfinite(slope).all(1) & np.isfinite(bend).all((1, 2))
    slope, bend = np.where(known[:, None], slope, 0.0), np.where(known[:, None, None], bend, np.eye(slope.shape[1]))
    bend = 0.5 * (bend + np.swapaxes(bend, 1, 2))
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.einsum("eaa->ea", bend)), FLATTEST))
    values, vectors = np.linalg.eigh(bend * scale[:, :, None] * scale[:, None])
    along = np.einsum("eab,ea->eb", vectors, scale * slope) / (np.maximum(np.abs(values), FLATTEST) + damping[:, None])
    step = scale * np.einsum("eab,eb->ea", vectors, along)
    return step / np.maximum(np.abs(step).max(1, keepdims=True) / LONGEST, 1.0)
