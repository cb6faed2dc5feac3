"""Which genes are tabulated together: in blocks of one compiled shape, over the columns and nodes that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
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
GAUSS = ((2.5, 5), (6.0, 8), (14.0, 16), (28.0, 32))
GROUPS = 64
FEW = 0.05  # share of the draws
SMOOTH = -1  # the rule for moments, polynomials in capture of degree 4 at most
PREVIEW = 12  # every so many draws, one says how many columns genes need
SURE = 0.25  # of BEYOND, for the difference between these and all draws
ALIKE = 1.5  # times as many columns as the others of its block a gene may have


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


@dataclass(frozen=True)
class _Source:
    """What tables are made of: draws, cells of so many, and the rules that replace them, {rule: Nodes}."""

    kernel: object
    points: Points
    n_cells: int
    rules: dict[int, Nodes]

    def draws(self, index) -> _Source:
        """Some of the draws."""
        return replace(self, points=self.points.draws(index), rules={r: v.draws(index) for r, v in self.rules.items()})

    def table(self, genes: np.ndarray, rule: int, columns: Grid) -> Table:
        filled = self.points.genes(laws.padded(genes, laws.block_of(self.points)))
        return expected.table(self.kernel, filled, self.rules[rule], columns, len(genes))

    def left(self, pmf: np.ndarray) -> np.ndarray:
        """About how many cells are expected above a column with this pmf, (draws, genes)."""
        return 8 * self.n_cells * pmf.mean(0)


@dataclass(frozen=True)
class _Wanted:
    """Of a grid: the rule of each gene, and the number of columns it starts with, 0: none of this grid; (genes,) each."""

    grid: Grid
    rule: np.ndarray
    columns: np.ndarray


def summaries(kernel, points: Points, n_cells: int, maximum: np.ndarray, summary: Callable, threads: int) -> Iterator:
    """`summary(part)` of parts that hold every gene once; maximum: (genes,) the largest counts seen.

    A few draws say how many columns a gene needs; where all of them reach further it comes again with more.
    """
    with ThreadPoolExecutor(threads) as pool:
        rule, reach, narrow = _needs(kernel, points, pool)
        numbers = sorted({*rule.tolist(), SMOOTH})
        rules = dict(zip(numbers, pool.map(lambda r: _rule(points, r), numbers), strict=True))
        source = _Source(kernel, points, n_cells, rules)

        def summarised(genes, columns, table):
            return summary(Part(genes, columns, table, _moments(kernel, points, rules[SMOOTH], genes)))

        for whole, chosen in ((grid.ALL, ~narrow), (grid.NARROW, narrow)):
            start = np.where(chosen, grid.sized(whole, np.maximum(maximum, reach)), 0)
            wanted = _previewed(pool, source, _Wanted(whole, rule, start))
            yield from _tabulated(pool, source, wanted, summarised)


def _previewed(pool: Executor, source: _Source, wanted: _Wanted) -> _Wanted:
    """As many columns as some of the draws need, and no fewer than it starts with."""
    some = source.draws(slice(None, None, PREVIEW))
    ends = np.array([s.stop for s in wanted.grid.slices])
    columns = wanted.columns.copy()

    def needed(genes, part, table):
        at = ends[ends <= len(part.low)]
        more = np.stack([some.left(table.pmf[e - 1]) for e in at]) >= SURE * BEYOND
        last = len(at) - more[::-1].argmax(0)  # of the ends, the one after the last where too much is left
        return genes, at[np.where(more.any(0), np.minimum(last, len(at) - 1), 0)]

    for genes, found in _tabulated(pool, some, wanted, needed):
        columns[genes] = np.maximum(found, wanted.columns[genes])
    return replace(wanted, columns=columns)


def _tabulated(pool: Executor, source: _Source, wanted: _Wanted, use: Callable) -> Iterator:
    """`use(genes, their columns, Table)` until every gene has had columns enough."""
    sizes = np.array(grid.sizes(wanted.grid))

    def work(task):
        """(genes that need more columns, what is made of the others)."""
        genes, rule, size = task
        columns = wanted.grid.first(size)
        table = source.table(genes, rule, columns)
        enough = (source.left(table.pmf[-1]) < BEYOND) | (size == sizes[-1])
        made = use(genes[enough], columns, _some(table, enough)) if enough.any() else None
        return genes[~enough], size, made

    columns = wanted.columns
    while columns.any():
        tasks = list(_tasks(source.points, replace(wanted, columns=columns)))
        columns = np.zeros_like(columns)
        for wider, size, made in pool.map(work, tasks):
            columns[wider] = sizes[min(np.searchsorted(sizes, size, side="right"), len(sizes) - 1)]
            if made is not None:
                yield made


def _tasks(points: Points, wanted: _Wanted) -> Iterator[tuple[np.ndarray, int, int]]:
    """(genes, rule, columns) of like genes, that fit a compiled call and the memory."""
    block = laws.block_of(points)
    for rule in np.unique(wanted.rule):
        genes = np.flatnonzero((wanted.rule == rule) & (wanted.columns > 0))
        genes = genes[np.argsort(wanted.columns[genes], kind="stable")]
        sizes = wanted.columns[genes]
        a = 0
        while a < len(genes):
            alike = int(np.searchsorted(sizes[a : a + block], ALIKE * sizes[a], side="right"))
            fitting = max(1, ENTRIES // (points.n_draws * int(sizes[a + alike - 1])))
            b = a + min(alike, fitting)
            yield genes[a:b], int(rule), int(sizes[b - 1])
            a = b


def _some(arrays: Table | Moments, index):
    return type(arrays)(*(v[..., index] for v in vars(arrays).values()))


def _moments(kernel, points: Points, rule: Nodes, genes: np.ndarray) -> Moments:
    filled = points.genes(laws.padded(genes, laws.block_of(points)))
    return _some(expected.moments(kernel, filled, rule), slice(0, len(genes)))


def _rule(points: Points, r: int) -> Nodes:
    """The nodes of capture: for moments, of GAUSS in order, then of groups of cells."""
    return nodes.by_kind(points, lambda p: _rule_of_kind(p, r))


def _rule_of_kind(points: Points, r: int) -> Nodes:
    if points.log_nu is None:
        return Nodes.none(points.n_draws)
    if r == SMOOTH:
        return nodes.gauss_of_capture(points.log_nu, 3)
    return nodes.gauss(points.log_nu, GAUSS[r][1]) if r < len(GAUSS) else nodes.groups(points.log_nu, GROUPS)


def _needs(kernel, points: Points, pool: Executor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per gene, over the draws, and for the neediest component and kind of cells: the rule that holds, the mean plus two

    standard deviations at the highest capture, and whether the narrow columns are needed.
    """
    blocks = [np.arange(a, min(a + laws.BLOCK, points.n_genes)) for a in range(0, points.n_genes, laws.BLOCK)]
    found = []
    for one in points.singles():
        ungated = replace(one, logit_gate=None)
        highest = np.zeros((one.n_draws, 1)) if one.log_nu is None else one.log_nu.max(1)[:, None]
        range_ = 0.0 if one.log_nu is None else np.ptp(one.log_nu, 1).max()
        at = _Highest(kernel, ungated, Nodes.of(highest, np.ones_like(highest)), _rule_of_kind(ungated, SMOOTH), range_)
        found.append([np.concatenate(v) for v in zip(*pool.map(at.needs, blocks), strict=True)])
    return tuple(np.max(v, 0) for v in zip(*found, strict=True))


@dataclass(frozen=True)
class _Highest:
    """One component and one kind of cells: a node at the highest capture, the rule for moments, and the range of log nu."""

    kernel: object
    ungated: Points
    highest: Nodes
    smooth: Nodes
    range: float

    def needs(self, genes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A law's width in log nu is its coefficient of variation."""
        at = _moments(self.kernel, self.ungated, self.highest, genes)
        seen = at.mean > 1e-100
        width = np.where(seen, np.sqrt(at.within) / np.where(seen, at.mean, 1.0), np.inf).min(0)
        rule = np.searchsorted([bound for bound, _ in GAUSS], self.range / width)
        return rule, (at.mean + 2 * np.sqrt(at.within)).max(0), self._narrow(genes, at.mean)

    def _narrow(self, genes: np.ndarray, highest: np.ndarray) -> np.ndarray:
        """Genes whose counts vary by less than a column's width from cell to cell, in more than a few draws.

        No kernel varies less than a Poisson, of which the mean decides.
        """
        narrow = (highest > grid.COARSE**2).mean(0) > FEW
        if narrow.any():
            found = _moments(self.kernel, self.ungated, self.smooth, genes[narrow])
            spread = np.sqrt(found.within + found.between)
            narrow[narrow] = (spread * grid.COARSE < found.mean).mean(0) > FEW
        return narrow
