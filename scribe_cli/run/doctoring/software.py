"""Versions, and what jax computes on."""

from __future__ import annotations

from importlib import metadata

from ...errors import DeviceUnavailable
from .. import device, record
from ..options import Machine
from .finding import PROBLEM, WARNING, Finding


def versions() -> Finding:
    """The tool, Python, and the libraries that a result depends on."""
    try:
        there = record.versions()
    except metadata.PackageNotFoundError as error:
        return Finding("versions", f"{error.name} is not installed", PROBLEM, "install scribe-singlecell anew")
    return Finding("versions", ", ".join(f"{name} {version}" for name, version in there.items()))


def devices(machine: Machine) -> tuple[list[Finding], DeviceUnavailable | None]:
    """What a run would compute on; the error of a device that was asked for and is not there."""
    try:
        chosen = device.start(machine)
    except DeviceUnavailable as error:
        return [_apart("device", str(error), PROBLEM)], error
    import jax

    seen = ", ".join(f"{d.device_kind} {d.id}" for d in jax.devices())
    found = Finding("device", f"{chosen.platform}; jax sees {seen}")
    return [found, *(_apart("gpu", text, WARNING) for text in chosen.warnings.values())], None


def _apart(what: str, text: str, state: str) -> Finding:
    """A message's remedy is what follows its first semicolon."""
    found, _, remedy = text.partition("; ")
    return Finding(what, found, state, remedy)
