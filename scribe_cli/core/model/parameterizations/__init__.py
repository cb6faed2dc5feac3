"""Parameterizations: from sampled parameters to a kernel's natural coordinates, log scale in, log scale out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ... import registry
from ..formula import Formula


@dataclass(frozen=True)
class Parameterization:
    """samples: (name, role, support) of each sampled core parameter; natural: {coordinate: Formula of them};

    capture: the capture coordinate it samples by default. The inverse is the kernel's table of reported
    parameters (derive.py), which holds every sampled name.
    """

    name: str
    aliases: tuple[str, ...]
    kernel: str
    samples: tuple[tuple[str, str, str], ...]
    natural: Mapping[str, Formula]
    capture: str


def load(name: str) -> Parameterization:
    return registry.load(__name__)[name]


def members() -> dict[str, Parameterization]:
    return registry.load(__name__)


def canonical_name(name: str) -> str | None:
    """The first spelling of a name or alias; None if it is neither."""
    return next((m.name for m in members().values() if name == m.name or name in m.aliases), None)
