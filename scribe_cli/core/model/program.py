"""The one draw of a model, its log density, and its replay."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpyro
from numpyro import handlers
from numpyro.infer.util import log_density

from ..axes import CELL, DATASET, GENE, SLOT, Axes, in_order, shape3, union
from ..facts import Facts
from ..numerics import kernels, mixture
from ..numerics.natural import Natural
from .supports import SUPPORTS
from . import parameterizations, priors
from .capture import COORDINATES
from .spec import ModelSpec, Prior


class Context:
    """One pass over a model's sites: plates made once, arguments looked up, values rank 3.

    centred: the z of a hierarchy stands for location + scale z itself. The model is the same; what an engine moves in are
    then the values that the data see (Papaspiliopoulos, Roberts and Skold 2007).
    """

    def __init__(self, facts: Facts, centred: bool = False):
        self.facts, self.centred = facts, centred
        self.uncentred: dict = {}  # {site: z} of a centred pass
        self.drawn: dict = {}  # {parameter: log-scale value} of those that stand before
        self._families = priors.load()
        self._plates = {a: numpyro.plate(a, n, dim=SLOT[a]) for a, n in facts.sizes.items()}

    def theta(self, name: str, prior: Prior, axes: Axes, site: str):
        """The lifted value of a parameter, drawn from `prior`."""
        return self._families[prior.family].draw(self, name, prior, axes, site)

    def site(self, name: str, law, axes: Axes):
        """Sample `law(shape)` under the plates of `axes`; cells and genes carry the facts' weight."""
        with contextlib.ExitStack() as stack:
            if CELL in axes or (GENE in axes and self.facts.present is not None):
                stack.enter_context(handlers.scale(scale=self.facts.weight_of(axes)))
            for axis in axes:
                stack.enter_context(self._plates[axis])
            return numpyro.sample(name, law(shape3(axes, self.facts.sizes)))

    def arguments(self, prior: Prior) -> dict:
        """Hyperparameters as rank-3 arrays: numbers, or the facts or earlier parameters they name."""
        return {k: self._argument(v) for k, v in prior.args.items()}

    def _argument(self, value):
        if not isinstance(value, str):
            return jnp.full((1, 1, 1), value, float)
        # only a cell's prior names a parameter, and that is a dataset's
        return self.facts.to_cells(self.drawn[value]) if value in self.drawn else self.facts.array3(value)

    @staticmethod
    def broadcast(shape, *arguments):
        """Each argument at the site's full shape, so that no law has to expand."""
        return tuple(jnp.broadcast_to(jnp.asarray(a, float).reshape((1,) * (3 - jnp.ndim(a)) + jnp.shape(a)), shape) for a in arguments)


def draw(spec: ModelSpec, facts: Facts, centred: bool = False) -> dict:
    """{parameter: log-scale value, rank 3}. The only caller of numpyro.sample."""
    return from_thetas(spec, _draw_thetas(spec, Context(facts, centred)))


def _draw_thetas(spec: ModelSpec, context: Context) -> dict:
    thetas = {}
    for p in spec.params:
        thetas[p.name] = context.theta(p.name, p.prior, p.axes, f"{p.name}_unconstrained")
        context.drawn[p.name] = SUPPORTS[p.support].to_log(thetas[p.name])
    return thetas


def from_thetas(spec: ModelSpec, thetas: dict) -> dict:
    """{parameter: log-scale value, rank 3} from the lifted values."""
    return {p.name: SUPPORTS[p.support].to_log(thetas[p.name]) for p in spec.params}


def natural(spec: ModelSpec, x: dict) -> Natural:
    """Natural coordinates from log-scale values, neither thinned nor gathered to cells."""
    excess, gate, weights = (spec.role(role) for role in ("excess", "gate", "weights"))
    core = {coordinate: formula(x) for coordinate, formula in parameterizations.load(spec.parameterization).natural.items()}
    rows = union(*(p.axes for p in (*spec.core, excess, gate, weights) if p))
    return Natural(
        core=core | ({"log_omega": x[excess.name]} if excess else {}),
        log_nu=COORDINATES[spec.capture].to_log_nu(x[spec.capture]) if spec.capture else None,
        logit_gate=x[gate.name] if gate else None,
        log_weights=x[weights.name] if weights else None,
        row=next((a for a in (CELL, DATASET) if a in rows), None),
        confidence=spec.annotation_confidence,
    )


def log_likelihood(spec: ModelSpec, lane, x: dict, facts: Facts, stats: dict, mix=mixture.marginal):
    return sum(lane.terms(kernels.load(spec.kernel), natural(spec, x), facts, stats, mix).values())


def log_joint(spec: ModelSpec, lane, mix=mixture.marginal, centred: bool = False):
    """f(sites, facts, stats): log prior plus log likelihood, in the lifted coordinates.

    mix: how the components of a cell are put together (numerics/mixture.py); centred: as in Context.
    """

    def model(facts, stats):
        numpyro.factor("counts", log_likelihood(spec, lane, draw(spec, facts, centred), facts, stats, mix))

    return lambda sites, facts, stats: log_density(model, (facts, stats), {}, sites)[0]


def halves(spec: ModelSpec, lane, centred: bool = False):
    """f(sites, facts, stats): (log prior, of genes, of cells), the last two as `lane.halves` has them; None where it has none.

    No site is in both: capture alone is in that of cells, and no gene's parameter is drawn from it.
    """
    if lane.halves is None or not lane.halves.legal(spec):
        return None

    def model(facts, stats):
        of = lane.halves.apart(kernels.load(spec.kernel), natural(spec, draw(spec, facts, centred)), facts, stats)
        numpyro.deterministic("halves", of)

    def apart(sites, facts, stats):
        log_prior, trace = log_density(model, (facts, stats), {}, sites)
        return log_prior, *trace["halves"]["value"]

    return apart


def thetas(spec: ModelSpec, facts: Facts, sites: dict, centred: bool = False) -> dict:
    """{parameter: lifted value, rank 3} at given sites: the draw, with its latents substituted."""
    return _substituted(spec, Context(facts, centred), sites)


def uncentred(spec: ModelSpec, facts: Facts, sites: dict) -> dict:
    """Centred sites as those of the model itself."""
    context = Context(facts, centred=True)
    _substituted(spec, context, sites)
    return sites | context.uncentred


def _substituted(spec: ModelSpec, context: Context, sites: dict) -> dict:
    seeded = handlers.seed(lambda: _draw_thetas(spec, context), jax.random.PRNGKey(0))
    return handlers.substitute(seeded, data=sites)()


def replay(spec: ModelSpec, facts: Facts, sites: dict) -> dict:
    """{parameter: log-scale value} at given sites."""
    return from_thetas(spec, thetas(spec, facts, sites))


@dataclass(frozen=True)
class Site:
    """A sampled site: its shape (rank 3, plus an event axis for weights) and the axes it varies over."""

    shape: tuple[int, ...]
    axes: Axes


def sites(spec: ModelSpec, facts: Facts) -> dict[str, Site]:
    """{site: Site}, by shapes alone: nothing is run."""
    found = {}

    def record(key, arrays):
        seeded = handlers.seed(lambda: draw(spec, Facts(facts.sizes, arrays)), key)
        for name, site in handlers.trace(seeded).get_trace().items():
            if site["type"] == "sample":
                axes = in_order(frame.name for frame in site["cond_indep_stack"])
                found[name] = Site(jnp.shape(site["value"]), axes)

    jax.eval_shape(record, jax.random.PRNGKey(0), dict(facts.arrays))
    return found
