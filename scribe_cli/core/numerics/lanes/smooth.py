"""Capture, whatever the kernel, the gate and the components: a gene's law is smooth in log capture (ENGINE.md 4 to 8).

log P(u) - log P(0) of the distinct counts u of each gene, and log P(0) of each gene, are taken at K nodes of log capture.
What a cell holds is a sparse product of the first with it; its own capture then picks from the nodes. Genes are in parts, each
with nodes of its own: few genes need many.
"""

from __future__ import annotations

import jax.numpy as jnp

from ...axes import CELL, COMPONENT, GENE
from .. import chebyshev, gate, mixture
from ..pairs import last_coefficients, of_genes, of_zeros, sums, table
from . import Halves, Lane

# Half widths of the strips that nodes are counted for. log P of a two-state gene has branch points where its P, of a complex
# rate, is 0, and log [g + (1-g) P(0)] where P(0) is -g/(1-g): nearer the more a gene expresses, with fewer zeros to matter.
STRIPS = {"two_state": 1.2}
GATED = 1.3
SMALL_GATE = -5.0  # added to the log odds of a gate, that it may come to
LOST = 1e-6  # nats of a gene's zeros, were they at every cell, that nodes of the whole strip may lose


def legal(spec) -> bool:
    return bool(spec.capture)


def terms(kernel, natural, facts, stats, mix=mixture.marginal):
    f = _of_cells(*apart(kernel, natural, facts, stats), facts, stats)
    if natural.log_weights is not None:
        f = mix(natural.weights(facts.to_cells(natural.log_weights), facts) + f)
    return {(COMPONENT, CELL, GENE): (f * facts.weight3()).sum()}


def apart(kernel, natural, facts, stats):
    """(tables of genes at the nodes, the polynomials of each cell (K + 2, cells)), both of each part."""
    log_nu = natural.log_nu.reshape(-1)
    genes = tuple(of_genes(kernel, natural, part["pairs"], part["nodes"]["s"]) for part in stats["parts"])
    return genes, tuple(chebyshev.rows(log_nu, part["nodes"]) for part in stats["parts"])


def joined(genes, cells, facts, stats):
    return (_of_cells(genes, cells, facts, stats) * facts.weight3()).sum()


def _of_cells(genes, cells, facts, stats):
    """(components, cells, 1): the log probability of each cell, linear in either half."""
    return sum(_of_part(*part, facts) for part in zip(genes, cells, stats["parts"], strict=True))


def _of_part(genes, cells, part, facts):
    held, of_counts = part["cell_pairs"], table(genes, part["pairs"])
    components, _, k = of_counts.shape
    of_cells = sums(held["cells"], held["pairs"], of_counts.transpose(1, 0, 2).reshape(-1, components * k))
    of_cells = of_cells.reshape(-1, components, k).transpose(1, 0, 2)
    return ((of_cells + facts.to_cells(of_zeros(genes))) * chebyshev.of_rows(cells, part["nodes"])[None]).sum(2, keepdims=True)


def doubtful(spec) -> bool:
    """Whether nothing bounds what is lost between the nodes, so that it is checked afterwards."""
    return spec.gated or spec.kernel in STRIPS


def lost(kernel, natural, stats):
    """Nats between the nodes, by the last coefficients of each row."""
    of_parts = (
        last_coefficients(of_genes(kernel, natural, part["pairs"], part["nodes"]["s"]), part["pairs"], part["nodes"]["transform"])
        for part in stats["parts"]
    )
    return sum(of_parts)


def told_apart(spec) -> bool:
    """Whether genes differ in the nodes they need: by their gates alone, of a cell's one component."""
    return spec.gated and not spec.mixed and spec.kernel not in STRIPS


def few_will_do(kernel, natural, nodes, n_cells):
    """(genes,): whether `nodes` of the whole strip do for a gated gene, whose counts need no others: its zeros' coefficients say."""
    core = kernel.thin({name: v[..., None] for name, v in natural.core.items()}, nodes["s"].reshape(1, 1, 1, -1))
    ungated, logit = kernel.log_prob_zero(core), natural.logit_gate[..., None]
    last = sum(jnp.abs(gate.log_zero(ungated, logit + shift) @ nodes["transform"][-2:].T).sum(-1) for shift in (0.0, SMALL_GATE))
    return (n_cells * last).max((0, 1)) < LOST


def strip(spec) -> float:
    """Half width of the strip in which the laws of genes are taken to be analytic."""
    return min(STRIPS.get(spec.kernel, chebyshev.STRIP), GATED if spec.gated else chebyshev.STRIP)


HALVES = Halves(lambda spec: not spec.mixed, apart, joined)
MEMBER = Lane("smooth", 3, legal, lambda spec: ("parts",), terms, HALVES, exact=False)
