"""Parameters given by a user, in their natural domains and by any of their names, as a point of a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import BadData, did_you_mean, listed
from ..axes import CELL, GENE, shape3, squeezed
from ..facts import Facts
from ..model import derive, parameterizations
from ..model.capture import COORDINATES
from ..model.spec import ModelSpec
from ..numerics.natural import Natural
from ..model.supports import SUPPORTS

# ends of a domain that belong to it: no inflation, no loss
CLOSED = {"gate": 0.0, "p_capture": 1.0, "phi_capture": 0.0, "eta_capture": 0.0}
SAME = 1e-3  # relative; what one parameter given twice may differ by (float32 files, p near 1)


def natural_of(spec: ModelSpec, given: Mapping[str, object], facts: Facts) -> Natural:
    """The point at which `given` ({name: array}, CONTRACT 3 `--params`) sets the model. Errors: BadData.

    The core may come under the names of any parameterization of the kernel. Names that say the same twice must agree.
    """
    rows = {row.name: row for row in derive.reported(spec)}
    unknown = sorted(set(given) - set(rows))
    if unknown:
        near = did_you_mean(unknown[0], rows)
        raise BadData(f"parameter {unknown[0]}: this model has none of that name{near}; it has {listed(rows)}")
    x = {name: _log_scale(rows[name], value, facts) for name, value in given.items()}
    core = _core(spec, x)
    log_nu = _log_nu(spec, x)
    if spec.gated and "gate" not in x:
        raise BadData(f"parameter gate is missing: the model is gated; given are {listed(sorted(given))}")
    _agree(spec, x, core)
    return Natural(core, log_nu, x["gate"] if spec.gated else None)


def sampled_of(spec: ModelSpec, natural: Natural) -> dict:
    """{sampled parameter: log-scale value, rank 3}: the way back from a point to what the model samples."""
    table = derive.REPORTED[spec.kernel]
    x = {p.name: table[p.name][1](natural.core) for p in spec.core}
    if spec.gated:
        x["gate"] = natural.logit_gate
    if spec.capture:
        x[spec.capture] = COORDINATES[spec.capture].from_log_nu(natural.log_nu)
    return x


def _log_scale(row: derive.Reported, value, facts: Facts) -> np.ndarray:
    """The log-scale value, rank 3, of one given array, its shape and domain checked."""
    try:
        value = np.asarray(value, float)
    except (TypeError, ValueError):
        raise BadData(f"parameter {row.name} is not an array of numbers: {str(value)[:60]}") from None
    shape = squeezed(row.axes, facts.sizes)
    if value.shape != shape:
        want = f"({', '.join(row.axes)}) = {shape}" if shape else "a single number, shape ()"
        raise BadData(f"parameter {row.name} has shape {value.shape}; this model and these data need {want}")
    support = SUPPORTS[row.support]
    inside = {"(0, inf)": (value > 0) & np.isfinite(value), "(0, 1)": (value > 0) & (value < 1)}[support.domain]
    inside |= value == CLOSED.get(row.name, np.nan)
    if not inside.all():
        at = np.unravel_index(np.flatnonzero(~inside)[0], shape)
        where = f"[{', '.join(map(str, at))}]" if shape else ""
        raise BadData(
            f"parameter {row.name}{where} is {float(value[at])!r}, outside {support.domain} ({int((~inside).sum())} of "
            f"{value.size} values are)"
        )
    with np.errstate(divide="ignore"):  # log 0 at a closed end is meant
        return np.asarray(support.from_value(value.reshape(shape3(row.axes, facts.sizes))))


def _core(spec: ModelSpec, x: dict) -> dict:
    """Natural coordinates from the first parameterization, the model's own foremost, all of whose names are given."""
    own = parameterizations.load(spec.parameterization)
    others = [m for m in parameterizations.members().values() if m.kernel == spec.kernel and m is not own]
    for member in (own, *others):
        if all(name in x for name, _, _ in member.samples):
            core = {c: np.asarray(formula(x)) for c, formula in member.natural.items()}
            return {c: _shared(spec, c, v) for c, v in core.items()}
    sets = "; or ".join(", ".join(n for n, _, _ in m.samples) for m in (own, *others))
    raise BadData(f"parameters are missing: needed are {sets}; given are {listed(sorted(x))}")


def _shared(spec: ModelSpec, coordinate: str, value: np.ndarray) -> np.ndarray:
    """A coordinate that the model shares between genes, from inputs that hold it gene by gene."""
    if GENE in spec.coordinate_axes(coordinate) or value.shape[-1] == 1:
        return value
    if np.ptp(value) > SAME:
        raise BadData(
            f"the parameters given imply a p of each gene's own ({coordinate} from {value.min():g} to "
            f"{value.max():g}); this model shares one p: give p or phi, or use mean_disp"
        )
    return value[..., :1]


def _log_nu(spec: ModelSpec, x: dict) -> np.ndarray | None:
    names = [name for name in COORDINATES if name in x]
    if spec.capture is None:
        return None
    if not names:
        raise BadData(f"a capture parameter ({CELL},) is missing: one of {listed(COORDINATES)}")
    values = [np.asarray(COORDINATES[n].to_log_nu(x[n])) for n in names]
    for name, value in zip(names[1:], values[1:], strict=True):
        _same(name, value, values[0], names[0])
    return values[0]


def _agree(spec: ModelSpec, x: dict, core: dict) -> None:
    """Every given core parameter, also those the point was not made from, has its value there."""
    for name, (_, formula) in derive.REPORTED[spec.kernel].items():
        if name in x:
            _same(name, x[name], np.asarray(formula(core)), "the others")


def _same(name: str, value: np.ndarray, other: np.ndarray, source: str) -> None:
    with np.errstate(invalid="ignore"):  # equal infinities at a closed end agree
        worst = np.max(np.abs(value - other), where=value != other, initial=0.0)
    if worst > SAME:
        raise BadData(
            f"parameter {name} contradicts {source}: they differ by {worst:.3g} on the log scale; give one of them"
        )
