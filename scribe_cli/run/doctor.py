"""`scribe doctor`: whether runs will do on this machine, and what to mend."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import IOFailure, NumericalError, ScribeError
from .doctoring import machine, software
from .doctoring.finding import OK, PROBLEM, Finding
from .options import Machine
from .terminal.console import Console
from .terminal.table import Table


@dataclass(frozen=True)
class Diagnosis:
    """error: what a run would end with, and the command ends with after its findings; None if runs will do."""

    findings: tuple[Finding, ...]
    error: ScribeError | None


def doctor(asked: Machine, console: Console) -> Diagnosis:
    """Look at everything, and fit once. Nothing is left behind but compiled programs in the cache."""
    found = [software.versions()]
    devices, error = software.devices(asked)
    found += [*devices, *machine.findings(asked)]
    if error is None and (wrong := next((f for f in found if f.state == PROBLEM), None)):
        error = IOFailure(f"{wrong.what}: {wrong.found}; {wrong.remedy}")
    if error is None:
        with console.phase("trial fit"):
            last, error = _trial(asked)
        found.append(last)
    return Diagnosis(tuple(found), error)


def _trial(asked: Machine) -> tuple[Finding, ScribeError | None]:
    from .doctoring import trial

    try:
        finding = trial.finding(trial.fitted(asked))
    except ScribeError as error:
        return Finding("trial fit", str(error), PROBLEM, "mend this before any other fit"), error
    if finding.state == OK:
        return finding, None
    return finding, NumericalError(f"trial fit: {finding.found}; {finding.remedy}")


def table(diagnosis: Diagnosis) -> Table:
    rows = [(f.what, f.state, f"{f.found}; {f.remedy}" if f.remedy else f.found) for f in diagnosis.findings]
    return Table(("what", "state", "found"), rows)


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {"good": diagnosis.error is None, "findings": [asdict(f) for f in diagnosis.findings]}
