"""--fail-on gates: NAME OP NUMBER over the keys of metrics.json."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import UsageError, did_you_mean, listed

OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
FORM = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Gate:
    """The run fails where `metrics[name] op number` holds, or where the metric is not a number."""

    text: str
    name: str
    op: str
    number: float


def parse(text: str, known: Sequence[str]) -> Gate:
    """A gate over one of the `known` metrics. Errors: 2."""
    match = FORM.fullmatch(text)
    try:
        name, op, number = match.groups()
        gate = Gate(text, name, op, float(number))
    except (AttributeError, ValueError):
        raise UsageError(f'--fail-on "{text}": a gate is NAME OP NUMBER, as in --fail-on "rhat>1.05"') from None
    if name not in known:
        near = did_you_mean(name, known)
        raise UsageError(f'--fail-on "{text}": no number among the metrics of this run is called {name}{near}; there are {listed(known, 80)}')
    return gate


def failures(gates: Sequence[Gate], metrics: Mapping[str, float | None]) -> list[str]:
    """What did not hold, one text a gate. A metric that is no number fails every gate: it shows nothing to be well."""
    return [f"{g.name} = {metrics.get(g.name)} ({g.text})" for g in gates if _fails(g, metrics.get(g.name))]


def _fails(gate: Gate, value: float | None) -> bool:
    return value is None or math.isnan(value) or OPERATORS[gate.op](value, gate.number)
