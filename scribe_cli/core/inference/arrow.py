"""The curvature of an ELBO where the ascent is, as far as products of its Hessian tell it: a preconditioner for what is left.

Elements of one shape, a gene's or a cell's locations and log sds, are a block for each element: a product with ones on all
elements of one coordinate is that column of every block, since given the rest no two genes and no two cells meet (ENGINE.md 9).
What is neither a gene's nor a cell's meets all of them, and has its column whole. Together they are an arrowhead, whose inverse
is that of its blocks and of one small matrix (Golub and Van Loan 2013, section 2.1.4). Genes and cells meet, too: that is left to
those who use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

NUDGE = 1e-3  # of a coordinate whose curvature is near one, for differences of slopes
FLATTEST = 1e-2  # curvature of a block, and of what all share given the blocks, below which it is not believed
SHARED = 16  # elements of a shape, up to which each has a column of its own
COLUMNS = 64  # that may be such


def inverse(evaluate: Callable, x: np.ndarray, slope: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> Callable | None:
    """f(d) -> the preconditioner's inverse times d (n,); None where a slope nearby is not finite.

    evaluate(x) -> (value, slope); slope: that at x; shapes: of the sites, in whose order x holds all locations, then, if they
    move, all log sds.
    """
    places, shared = _layout(shapes, len(x))

    def product(at):
        moved = x.copy()
        moved[at] += NUDGE
        return (slope - evaluate(moved)[1]) / NUDGE

    # places (a, elements) of the a coordinates of each element, and its block (elements, a, a)
    found = [(at, np.stack([product(of)[at] for of in at], 1).T) for at in places]
    columns = np.stack([product(k) for k in shared], 1) if len(shared) else np.zeros((len(x), 0))
    if not all(np.isfinite(v).all() for v in (columns, *(block for _, block in found))):
        return None
    blocks = [(at, _inverted(block)) for at, block in found]

    def of_blocks(d):
        """(n, k) or (n,): 0 where shared."""
        found = np.zeros_like(d)
        for at, inverted in blocks:
            found[at] = np.einsum("eab,be...->ae...", inverted, d[at])
        return found

    if not len(shared):
        return of_blocks
    spread = of_blocks(columns)
    rest = _inverted(columns[shared] - columns.T @ spread)

    def of_all(d):
        found, of_shared = of_blocks(d), rest @ (d[shared] - spread.T @ d)
        found -= spread @ of_shared
        found[shared] = of_shared
        return found

    return of_all


def groups(shapes: Mapping[str, tuple[int, ...]], size: int) -> list[np.ndarray]:
    """Places (a, elements) of the coordinates of one shape, but for those that are shared."""
    return _layout(shapes, size)[0]


def _layout(shapes: Mapping[str, tuple[int, ...]], size: int) -> tuple[list[np.ndarray], np.ndarray]:
    """([places (a, elements) of the coordinates of one shape], places of those that are shared)."""
    sizes = {site: math.prod(shape) for site, shape in shapes.items()}
    begin = dict(zip(shapes, np.cumsum([0, *sizes.values()])[:-1], strict=True))
    n, by_shape = sum(sizes.values()), {}
    for site, shape in shapes.items():
        by_shape.setdefault(shape, []).append(begin[site] + np.arange(sizes[site]))
    groups = {shape: np.stack([places + first for first in range(0, size, n) for places in of]) for shape, of in by_shape.items()}
    small = [at for shape, at in groups.items() if math.prod(shape) <= SHARED]
    if sum(at.size for at in small) > COLUMNS:
        return list(groups.values()), np.zeros(0, int)
    shared = np.sort(np.concatenate([np.zeros(0, int), *(at.ravel() for at in small)]))
    return [at for shape, at in groups.items() if math.prod(shape) > SHARED], shared


def _inverted(matrix: np.ndarray) -> np.ndarray:
    """Of symmetric matrices (..., a, a), made positive: what bends up is taken to bend down as much."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + np.swapaxes(matrix, -1, -2)))
    return (vectors / np.maximum(np.abs(values), FLATTEST)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
