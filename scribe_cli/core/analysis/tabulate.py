"""Which genes are tabulated together: in blocks of one compiled shape, over the columns and nodes that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from . import expected, grid, laws, nodes
from .expected import Moments, Table
from .grid import Grid
from .nodes import Nodes
from .points import Points

ENTRIES = 2**23  # of columns x draws x genes in a table
BEYOND = 1e-3  # cells expected above the last column of a gene
# (range of log nu, in widths of the kernel's law there, up to which a rule holds; nodes of Gauss's rule). At these
# bounds the pmf errs by 1e-5 of its peak; beyond them cells are grouped, and it errs by 2e-3 at worst.
GAUSS = ((1.6, 5), (6.0, 8), (14.0, 24))
GROUPS = 64
FEW = 0.05  # share of the draws
SMOOTH = 1  # the rule for moments, polynomials in capture of degree 4 at most


@dataclass(frozen=True)
class Part:
    """Some genes, (genes,) their indices, with all that is known of them before anything is drawn."""

    genes: np.ndarray
    grid: Grid
    table: Table
    moments: Moments

    def some(self, index) -> Part:
        """Some of the genes."""
        return Part(self.genes[index], self.grid, _some(self.table, index), _some(self.moments, index))


def summaries(kernel, points: Points, n_cells: int, maximum: np.ndarray, summary: Callable, threads: int) -> Iterator:
    """`summary(part)` of parts that hold every gene once; maximum: (genes,) the largest counts seen.

    Genes start with the columns that their largest count needs; those whose draws reach further come again with more.
    """
    rule_of, reach, narrow = _needs(kernel, points)
    smooth = 0 if points.log_nu is None else SMOOTH
    rules = {r: _rule(points, r) for r in {*rule_of.tolist(), smooth}}
    reach = np.maximum(maximum, reach)
    block = max(1, laws.BLOCK // points.n_components)

    def work(task):
        """(indices of genes that need more columns, summary of the others)."""
        genes, rule, columns, last = task
        table = _table(kernel, points, rules[rule], genes, columns)
        enough = (8 * n_cells * table.pmf[-1].mean(0) < BEYOND) | last
        if not enough.any():
            return genes, None
        part = Part(genes[enough], columns, _some(table, enough), _moments(kernel, points, rules[smooth], genes[enough]))
        return genes[~enough], summary(part)

    with ThreadPoolExecutor(threads) as pool:
        for whole, chosen in ((grid.ALL, ~narrow), (grid.NARROW, narrow)):
            sizes = grid.sizes(whole)
            size_of = np.where(chosen, np.searchsorted([whole.high[n - 1] for n in sizes[:-1]], reach), -1)
            for i, size in enumerate(sizes):
                step = min(block, max(1, ENTRIES // (points.n_draws * size)))
                tasks = []
                for r in rules:
                    genes = np.flatnonzero((size_of == i) & (rule_of == r))
                    columns = whole.first(size)
                    tasks += [(genes[a : a + step], r, columns, size == sizes[-1]) for a in range(0, len(genes), step)]
                for wider, result in pool.map(work, tasks):
                    size_of[wider] += 1
                    if result is not None:
                        yield result


def _some(arrays: Table | Moments, index):
    return type(arrays)(*(v[..., index] for v in vars(arrays).values()))


def _table(kernel, points: Points, rule: Nodes, genes: np.ndarray, columns: Grid) -> Table:
    return expected.table(kernel, points.genes(genes), rule, columns)


def _moments(kernel, points: Points, rule: Nodes, genes: np.ndarray) -> Moments:
    return _some(expected.moments(kernel, points.genes(laws.padded(genes)), rule), slice(0, len(genes)))


def _rule(points: Points, r: int) -> Nodes:
    """The nodes of capture: of GAUSS in order, then of groups of cells."""
    return nodes.by_kind(points, lambda p: _rule_of_kind(p, r))


def _rule_of_kind(points: Points, r: int) -> Nodes:
    if points.log_nu is None:
        return Nodes.none(points.n_draws)
    return nodes.gauss(points.log_nu, GAUSS[r][1]) if r < len(GAUSS) else nodes.groups(points.log_nu, GROUPS)


def _needs(kernel, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per gene, over the draws, and for the neediest component and kind of cells: the rule that holds, the mean plus two

    standard deviations at the highest capture, and whether the narrow columns are needed.
    """
    found = [_needs_of_one(kernel, one) for one in points.singles()]
    return tuple(np.max(v, 0) for v in zip(*found, strict=True))


def _needs_of_one(kernel, points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one component and kind of cells. A law's width in log nu is its coefficient of variation."""
    ungated = replace(points, logit_gate=None)
    log_nu = np.zeros((points.n_draws, 1)) if points.log_nu is None else points.log_nu
    highest = Nodes.of(log_nu.max(1)[:, None], np.ones((points.n_draws, 1)))
    at = expected.moments(kernel, ungated, highest)
    seen = at.mean > 1e-100
    width = np.where(seen, np.sqrt(at.within) / np.where(seen, at.mean, 1.0), np.inf).min(0)
    rule = np.searchsorted([bound for bound, _ in GAUSS], np.ptp(log_nu, 1).max() / width)
    return rule, (at.mean + 2 * np.sqrt(at.within)).max(0), _narrow(kernel, ungated)


def _narrow(kernel, ungated: Points) -> np.ndarray:
    """Genes whose counts vary by less than a column's width from cell to cell, in more than a few draws."""
    found = expected.moments(kernel, ungated, _rule_of_kind(ungated, SMOOTH))
    spread = np.sqrt(found.within + found.between)
    return (spread * grid.COARSE < found.mean).mean(0) > FEW
