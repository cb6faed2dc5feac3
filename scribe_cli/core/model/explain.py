"""A model written out: its equations, its sites, and the ways its likelihood can be summed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..axes import CELL, COMPONENT, DATASET, GENE, LATENT, ORDER, Axes
from ..facts import ARRAY_AXIS, CODES, Facts
from ..numerics import choose, kernels
from .supports import SUPPORTS
from . import parameterizations, program
from .capture import COORDINATES
from .derive import NAMES
from .spec import ModelSpec, ParamSpec, Prior

INDEX = {COMPONENT: "k", DATASET: "d", CELL: "c", GENE: "g", LATENT: "l"}

# families as laws are written; of the others the name and the arguments
LAWS = {
    "normal": "Normal({loc}, {scale})",
    "beta": "Beta({a}, {b})",
    "beta_prime": "BetaPrime({a}, {b})",
    "dirichlet": "Dirichlet({a})",
    "library_size": "Normal({log_M0} - {log_library}, {sigma_M}) truncated to >= 0",
}
# natural coordinates by the names of what is reported, and with capture in them
CALLED = {"log_rate": "r_hat"}
THINNED = {"logit_p": "p_hat", "log_rate": "L"}
# laws of the value; the others are laws of theta
OF_VALUE = ("beta", "beta_prime", "dirichlet", "library_size")


@dataclass(frozen=True)
class SiteRow:
    """A sampled site. shape: sizes of its axes where the data are known, else None."""

    site: str
    parameter: str
    axes: Axes
    shape: tuple[int, ...] | None
    coordinate: str
    prior: str


@dataclass(frozen=True)
class Explanation:
    equations: tuple[str, ...]
    sites: tuple[SiteRow, ...]
    lanes: tuple[str, ...]


def explain(spec: ModelSpec, sizes: Mapping[str, int] | None = None) -> Explanation:
    """`sizes`: of each axis, where the data are known. Lanes: the legal ones, cheapest first."""
    lanes = tuple(lane.name for lane in choose.legal(spec))
    return Explanation((*_equations(spec), *map(_prior_line, spec.params)), _sites(spec, sizes), lanes)


def _symbol(name: str, axes: Axes) -> str:
    index = "".join(INDEX[axis] for axis in ORDER if axis in axes)
    return f"{NAMES[name].symbol if name in NAMES else name}{'_' if index else ''}{index}"


def _equations(spec: ModelSpec) -> list[str]:
    """The law of the counts and what its coordinates are made of."""
    lines = []
    kernel = kernels.load(spec.kernel)
    symbols = {}
    for coordinate, formula in parameterizations.load(spec.parameterization).natural.items():
        name = CALLED.get(coordinate, coordinate.partition("_")[2])
        axes = spec.coordinate_axes(coordinate)
        symbols[coordinate] = _symbol(name, axes)
        if formula.inputs != (name,):
            lines.append(f"{symbols[coordinate]} = {_with_axes(formula.text, spec, formula.inputs)}")
    if spec.role("excess"):
        symbols["log_omega"] = _symbol("omega", spec.coordinate_axes("log_omega"))
    if spec.capture:
        thinned = kernel.thinned
        scale = thinned.partition("_")[0]
        hat = _symbol(THINNED[thinned], (*spec.coordinate_axes(thinned), CELL))
        nu = _symbol("p_capture", (CELL,))
        lines.insert(0, f"{scale} {hat} = {scale} {symbols[thinned]} + log {nu}")
        symbols[thinned] = hat
        if spec.capture != "p_capture":
            lines.append(f"{_symbol(spec.capture, (CELL,))} = {COORDINATES[spec.capture].text.replace('nu', nu)}")
    law = f"{kernel.symbol}({', '.join(symbols.values())})"
    if spec.gated:
        gate = _symbol("gate", spec["gate"].axes)
        law = f"{gate} delta_0 + (1 - {gate}) {law}"
    if spec.mixed:
        return [*_mixture(spec), f"u_cg of a cell of component k ~ {law}", kernel.equation, *lines]
    return [f"u_cg ~ {law}", kernel.equation, *lines]


def _mixture(spec: ModelSpec) -> list[str]:
    """How a cell comes by its component."""
    weights = _symbol("mixing_weights", spec["mixing_weights"].axes)
    lines = [f"component of cell c ~ Categorical({weights} over k)"]
    if spec.annotation_confidence > 0:
        lines.append(
            f"of a cell with label l ~ Categorical(softmax_k(log {weights} + {spec.annotation_confidence:g} 1[k = l]))"
        )
    return lines


def _with_axes(formula: str, spec: ModelSpec, inputs: tuple[str, ...]) -> str:
    """A formula's text with the indices of its inputs."""
    words = {NAMES[name].symbol: _symbol(name, spec[name].axes) for name in inputs}
    for symbol in sorted(words, key=len, reverse=True):
        formula = re.sub(rf"\b{re.escape(symbol)}\b", words[symbol], formula)
    return formula


def _prior_line(param: ParamSpec) -> str:
    symbol = _symbol(param.name, param.axes)
    if param.role == "excess":
        symbol = _symbol("omega", param.axes)
    plain = param.prior.family in OF_VALUE or param.support == "real"
    return f"{symbol if plain else f'{SUPPORTS[param.support].coordinate} {symbol}'} ~ {_law(param.prior)}"


def _named(argument: str) -> str:
    """An array of Facts, or a parameter of datasets, as it is written."""
    return f"{argument}_{INDEX[ARRAY_AXIS[argument]]}" if argument in ARRAY_AXIS else _symbol(argument, (DATASET,))


def _law(prior: Prior) -> str:
    """Family(arguments), and of a hierarchy what it is over and around."""
    words = {k: _named(v) if isinstance(v, str) else f"{v:.6g}" for k, v in prior.args.items()}
    if prior.family in LAWS and prior.base is None:
        return LAWS[prior.family].format(**words)
    law = f"{prior.family}({', '.join(f'{k} {v}' for k, v in words.items())})"
    law += f" over {prior.over}" if prior.over else ""
    return law + (f" around {_law(prior.base)}" if prior.base else "")


def _sites(spec: ModelSpec, sizes: Mapping[str, int] | None) -> tuple[SiteRow, ...]:
    used = sizes or {axis: 2 for axis in (COMPONENT, DATASET, CELL, GENE)}
    arrays = {name: np.zeros(used[axis], int if name in CODES else float) for name, axis in ARRAY_AXIS.items() if axis in used}
    rows = []
    for site, found in program.sites(spec, Facts(used, arrays)).items():
        param = max((p for p in spec.params if site.startswith(p.name)), key=lambda p: len(p.name))
        shape = tuple(sizes[axis] for axis in found.axes) if sizes else None
        coordinate = (
            f"{SUPPORTS[param.support].coordinate} {param.name}" if site == f"{param.name}_unconstrained" else ""
        )
        rows.append(SiteRow(site, param.name, found.axes, shape, coordinate, _law(param.prior)))
    return tuple(rows)
