"""ModelSpec: the one description of a model. Data only: no arrays, complete, JSON both ways."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..axes import CELL, DATASET, Axes, union
from . import parameterizations

CORE_ROLES = ("mean", "prob", "dispersion", "burst", "switching")


@dataclass(frozen=True)
class Prior:
    """A law of a parameter's theta. A string argument names an array of Facts, or a parameter that stands before.

    A family with `over` is a hierarchy along that axis; its location is drawn from `base`.
    """

    family: str
    args: Mapping[str, float | str] = field(default_factory=dict)
    over: str | None = None
    base: Prior | None = None

    @property
    def innermost(self) -> Prior:
        """The law of the innermost location; of a prior that is no hierarchy itself."""
        return self if self.base is None else self.base.innermost


@dataclass(frozen=True)
class ParamSpec:
    """One sampled parameter: its role (what it does in a kernel), support, axes and prior."""

    name: str
    role: str
    support: str
    axes: Axes
    prior: Prior


@dataclass(frozen=True)
class ModelSpec:
    """kernel x parameterization x a prior and axes per parameter, under thin (capture), gate and mix."""

    kernel: str
    parameterization: str
    params: tuple[ParamSpec, ...]
    capture: str | None = None
    gated: bool = False
    mixed: bool = False
    annotation_confidence: float = 0.0

    def __getitem__(self, name: str) -> ParamSpec:
        return next(p for p in self.params if p.name == name)

    def role(self, role: str) -> ParamSpec | None:
        return next((p for p in self.params if p.role == role), None)

    @property
    def family(self) -> str:
        """The kernel that the parameterization is of: a beta negative binomial has those of the negative binomial."""
        return parameterizations.load(self.parameterization).kernel

    @property
    def core(self) -> tuple[ParamSpec, ...]:
        """The parameters of the parameterization."""
        return tuple(p for p in self.params if p.role in CORE_ROLES)

    @property
    def hierarchical(self) -> bool:
        """Whether any prior is a hierarchy: then the joint mode is no estimate (MODELS.md 6)."""
        return any(p.prior.base is not None for p in self.params)

    @property
    def per_cell(self) -> bool:
        """Whether some parameter is a cell's own."""
        return any(CELL in p.axes for p in self.params)

    @property
    def by_dataset(self) -> bool:
        """Whether some parameter has a value for each dataset."""
        return any(DATASET in p.axes for p in self.params)

    @property
    def log_M0(self) -> float | None:
        """The log number of molecules in a cell that the capture prior knows; of a hierarchy its population's location."""
        prior = self[self.capture].prior if self.capture else None
        if prior is None or prior.family != "library_size":
            return None
        known = prior.args["log_M0"]
        return self[known].prior.innermost.args["loc"] if isinstance(known, str) else known

    def coordinate_axes(self, coordinate: str) -> Axes:
        """The axes of a natural coordinate: the union of its inputs' axes."""
        if coordinate == "log_omega":
            return self.role("excess").axes
        inputs = parameterizations.load(self.parameterization).natural[coordinate].inputs
        return union(*(self[name].axes for name in inputs))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        data = json.loads(text)
        params = tuple(
            ParamSpec(**{**p, "axes": tuple(p["axes"]), "prior": _prior(p["prior"])}) for p in data.pop("params")
        )
        return cls(params=params, **data)


def _prior(data: dict | None) -> Prior | None:
    return data and Prior(data["family"], data["args"], data["over"], _prior(data["base"]))
