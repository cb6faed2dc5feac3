"""Parameters given by a user, in their natural domains and by any of their names, as a point of a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import BadData, did_you_mean, listed
from ..axes import CELL, COMPONENT, DATASET, GENE, SLOT, shape3, squeezed
from ..facts import Facts
from ..model import derive, parameterizations
from ..model.capture import COORDINATES
from ..model.spec import ModelSpec
from ..model.supports import SUPPORTS
from ..numerics.natural import Natural

# ends of a domain that belong to it: no inflation, no loss, no overdispersion
CLOSED = {"gate": 0.0, "p_capture": 1.0, "phi_capture": 0.0, "eta_capture": 0.0, "omega": 0.0}
SAME = 1e-3  # relative; what one parameter given twice may differ by (float32 files, p near 1)
WHOLE = 1e-5  # what weights may sum to besides 1
KAPPA = "bnb_concentration"


def natural_of(spec: ModelSpec, given: Mapping[str, object], facts: Facts) -> Natural:
    """The point at which `given` ({name: array}, CONTRACT 3 `--params`) sets the model. Errors: BadData.

    The core may come under the names of any parameterization of the kernel. Names that say the same twice must agree.
    Weights are those of cells without a label.
    """
    return natural_at(spec, _log_scales(spec, given, facts))


def sampled_of(spec: ModelSpec, given: Mapping[str, object], facts: Facts) -> dict:
    """{sampled parameter: log-scale value, rank 3} at the same point.

    mu_eta is in no likelihood: where it is not given it stands where its prior has it.
    """
    x = _log_scales(spec, given, facts)
    natural, table = natural_at(spec, x), derive.table(spec)
    found = {p.name: np.asarray(table[p.name][1](natural.core)) for p in spec.core}
    apart = {"excess": natural.core.get("log_omega"), "gate": natural.logit_gate, "weights": natural.log_weights}
    found |= {spec.role(role).name: value for role, value in apart.items() if value is not None}
    if spec.capture:
        found[spec.capture] = np.asarray(COORDINATES[spec.capture].from_log_nu(natural.log_nu))
    if scaling := spec.role("scaling"):
        found[scaling.name] = x.get(scaling.name, np.full(shape3(scaling.axes, facts.sizes), spec.log_M0))
    return found


def natural_at(spec: ModelSpec, x: Mapping[str, np.ndarray]) -> Natural:
    """The point from log-scale values under any names."""
    core = _core(spec, x)
    if spec.role("excess"):
        core["log_omega"] = _shared(spec, "log_omega", _log_omega(x, core["log_r"]))
    log_nu = _log_nu(spec, x)
    gate, weights = (_needed(spec, role, x) for role in ("gate", "weights"))
    _agree(spec, x, core)
    found = [v for v in (*core.values(), gate, weights) if v is not None]
    return Natural(core, log_nu, gate, weights, row=DATASET if any(v.shape[SLOT[DATASET]] > 1 for v in found) else None)


def _log_scales(spec: ModelSpec, given: Mapping[str, object], facts: Facts) -> dict[str, np.ndarray]:
    """{name: log-scale value, rank 3} of what is given, each checked by itself."""
    rows = {row.name: row for row in derive.reported(spec)}
    unknown = sorted(set(given) - set(rows))
    if unknown:
        near = did_you_mean(unknown[0], rows)
        raise BadData(f"parameter {unknown[0]}: this model has none of that name{near}; it has {listed(rows)}")
    return {name: _log_scale(rows[name], value, facts) for name, value in given.items()}


def _log_scale(row: derive.Reported, value, facts: Facts) -> np.ndarray:
    """The log-scale value, rank 3, of one given array, its shape and domain checked; of kappa log(kappa - 2)."""
    try:
        value = np.asarray(value, float)
    except (TypeError, ValueError):
        raise BadData(f"parameter {row.name} is not an array of numbers: {str(value)[:60]}") from None
    shape = squeezed(row.axes, facts.sizes)
    if value.shape != shape:
        want = f"({', '.join(row.axes)}) = {shape}" if shape else "a single number, shape ()"
        raise BadData(f"parameter {row.name} has shape {value.shape}; this model and these data need {want}")
    _check_domain(row, value)
    value = value.reshape(shape3(row.axes, facts.sizes))
    if row.support == "simplex":
        _check_whole(row, value)
        value = value / value.sum(0, keepdims=True)
    with np.errstate(divide="ignore"):  # log 0 at a closed end is meant
        return np.log(value - 2.0) if row.name == KAPPA else np.asarray(SUPPORTS[row.support].from_value(value))


def _check_domain(row: derive.Reported, value: np.ndarray) -> None:
    domain = "(2, inf)" if row.name == KAPPA else SUPPORTS[row.support].domain
    inside = np.isfinite(value) & {
        "(0, inf)": value > 0,
        "(2, inf)": value > 2,
        "(0, 1)": (value > 0) & (value < 1),
        "(-inf, inf)": np.full(value.shape, True),
        "simplex": value >= 0,
    }[domain]
    inside |= value == CLOSED.get(row.name, np.nan)
    if inside.all():
        return
    at = np.unravel_index(np.flatnonzero(~inside)[0], value.shape)
    where = f"[{', '.join(map(str, at))}]" if value.shape else ""
    raise BadData(
        f"parameter {row.name}{where} is {float(value[at])!r}, outside {'[0, 1]' if domain == 'simplex' else domain} "
        f"({int((~inside).sum())} of {value.size} values are)"
    )


def _check_whole(row: derive.Reported, value: np.ndarray) -> None:
    total = value.sum(0).ravel()
    worst = total[np.argmax(np.abs(total - 1.0))]
    if abs(worst - 1.0) > WHOLE:
        raise BadData(f"parameter {row.name} sums to {worst:.9g} along {COMPONENT}; weights sum to 1: divide by their sum")


def _core(spec: ModelSpec, x: Mapping[str, np.ndarray]) -> dict:
    """Natural coordinates from the first parameterization, the model's own foremost, all of whose names are given."""
    own = parameterizations.load(spec.parameterization)
    others = [m for m in parameterizations.members().values() if m.kernel == spec.family and m is not own]
    for member in (own, *others):
        if all(name in x for name, _, _ in member.samples):
            core = {c: np.asarray(formula(x)) for c, formula in member.natural.items()}
            return {c: _shared(spec, c, v) for c, v in core.items()}
    sets = "; or ".join(", ".join(n for n, _, _ in m.samples) for m in (own, *others))
    raise BadData(f"parameters are missing: needed are {sets}; given are {listed(sorted(x))}")


def _shared(spec: ModelSpec, coordinate: str, value: np.ndarray) -> np.ndarray:
    """A coordinate that the model shares along some axis, from inputs that hold it place by place."""
    axes = spec.coordinate_axes(coordinate)
    for axis in (COMPONENT, DATASET, GENE):
        if axis in axes or value.shape[SLOT[axis]] == 1:
            continue
        if np.ptp(value, SLOT[axis]).max() > SAME:
            raise BadData(_differs(coordinate, axis, value))
        value = np.take(value, [0], SLOT[axis])
    return value


def _differs(coordinate: str, axis: str, value: np.ndarray) -> str:
    range_ = f"({coordinate} from {value.min():g} to {value.max():g})"
    if (coordinate, axis) == ("logit_p", GENE):
        return (
            f"the parameters given imply a p of each gene's own {range_}; this model shares one p: give p or phi, or use "
            "mean_disp"
        )
    return (
        f"the parameters given imply a value of each {axis}'s own {range_}, which this model shares between them: give "
        "the parameters that it samples"
    )


def _log_omega(x: Mapping[str, np.ndarray], log_r: np.ndarray) -> np.ndarray:
    """From omega, or from kappa = 2 + (r + 1)/omega."""
    of_kappa = np.logaddexp(log_r, 0.0) - x[KAPPA] if KAPPA in x else None
    if "omega" in x and of_kappa is not None:
        _same(KAPPA, of_kappa, x["omega"], "omega")
    if "omega" not in x and of_kappa is None:
        raise BadData(f"an overdispersion parameter is missing: one of omega, {KAPPA}; given are {listed(sorted(x))}")
    return x["omega"] if "omega" in x else of_kappa


def _needed(spec: ModelSpec, role: str, x: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The value of the parameter with this role, None of a model without."""
    param, why = spec.role(role), {"gate": "the model is gated", "weights": "the model is a mixture"}[role]
    if param is not None and param.name not in x:
        raise BadData(f"parameter {param.name} is missing: {why}; given are {listed(sorted(x))}")
    return None if param is None else x[param.name]


def _log_nu(spec: ModelSpec, x: Mapping[str, np.ndarray]) -> np.ndarray | None:
    names = [name for name in COORDINATES if name in x]
    if spec.capture is None:
        return None
    if not names:
        raise BadData(f"a capture parameter ({CELL},) is missing: one of {listed(COORDINATES)}")
    values = [np.asarray(COORDINATES[n].to_log_nu(x[n])) for n in names]
    for name, value in zip(names[1:], values[1:], strict=True):
        _same(name, value, values[0], names[0])
    return values[0]


def _agree(spec: ModelSpec, x: Mapping[str, np.ndarray], core: dict) -> None:
    """Every given core parameter, also those the point was not made from, has its value there."""
    for name, (_, formula) in derive.table(spec).items():
        if name in x and name != KAPPA:
            _same(name, x[name], np.asarray(formula(core)), "the others")


def _same(name: str, value: np.ndarray, other: np.ndarray, source: str) -> None:
    with np.errstate(invalid="ignore"):  # equal infinities at a closed end agree
        worst = np.max(np.abs(value - other), where=value != other, initial=0.0)
    if worst > SAME:
        raise BadData(
            f"parameter {name} contradicts {source}: they differ by {worst:.3g} on the log scale; give one of them"
        )
