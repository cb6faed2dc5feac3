"""Capture, whatever the kernel, the gate and the components: a gene's law is smooth in log capture (ENGINE.md 4 to 8).

log P(u) - log P(0) of the distinct counts u of each gene, and log P(0) of each gene, are taken at K nodes of log capture.
What a cell holds is a sparse product of the first with it; its own capture then picks from the nodes.
"""

from __future__ import annotations

from ...axes import CELL, COMPONENT, GENE
from .. import chebyshev, mixture
from ..pairs import of_genes, sums, table
from . import Halves, Lane


# Half widths of the strips that nodes are counted for. log P of a two-state gene has branch points where its P, of a complex
# rate, is 0, and log [g + (1-g) P(0)] where P(0) is -g/(1-g): nearer the more a gene expresses, with fewer zeros to matter.
STRIPS = {"two_state": 1.2}
GATED = 1.5


def legal(spec) -> bool:
    return bool(spec.capture)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    f = _of_cells(*apart(kernel, natural, facts, stats), facts, stats)
    if natural.log_weights is not None:
        f = mix(natural.weights(facts.to_cells(natural.log_weights), facts) + f)
    return {(COMPONENT, CELL, GENE): (f * facts.weight3()).sum()}


def apart(kernel, natural, facts, stats):
    """(tables of genes at the nodes, what each node counts for to each cell (1, cells, K))."""
    genes = of_genes(kernel, natural, stats["pairs"], stats["nodes"]["s"])
    return genes, chebyshev.weights(natural.log_nu.reshape(-1), stats["nodes"])[None]


def joined(genes, cells, facts, stats):
    return (_of_cells(genes, cells, facts, stats) * facts.weight3()).sum()


def _of_cells(genes, cells, facts, stats):
    """(components, cells, 1): the log probability of each cell, linear in either half."""
    held, of_counts = stats["cell_pairs"], table(genes, stats["pairs"])
    components, _, k = of_counts.shape
    of_cells = sums(held["cells"], held["pairs"], of_counts.transpose(1, 0, 2).reshape(-1, components * k))
    of_cells = of_cells.reshape(-1, components, k).transpose(1, 0, 2)
    return ((of_cells + facts.to_cells(genes["zero"])) * cells).sum(2, keepdims=True)


def node_count(spec, half: float) -> int:
    """Nodes on an interval of half width `half` in log capture."""
    return chebyshev.needed(half, strip(spec))


def strip(spec) -> float:
    """Half width of the strip in which the laws of genes are taken to be analytic."""
    return min(STRIPS.get(spec.kernel, chebyshev.STRIP), GATED if spec.gated else chebyshev.STRIP)


HALVES = Halves(lambda spec: not spec.mixed, apart, joined)
MEMBER = Lane("smooth", 3, legal, lambda spec: ("pairs", "cell_pairs", "nodes"), terms, HALVES, exact=False)
