"""`scribe report`: report.html of a finished fit, built again. Loads no jax."""

from __future__ import annotations

from pathlib import Path

from ..io import manifest
from ..io.schema import REPORT
from ..io.stored import open_fit
from . import device
from .options import ReportOptions
from .terminal import table


def report(asked: ReportOptions) -> Path:
    """The file written. Errors: 66 where there is no fit, 74 where it is of two runs, 73 where the file cannot be."""
    stored = open_fit(asked.fit)
    own = asked.output is None or asked.output.absolute() == (stored.out / REPORT).absolute()
    if not own:
        table.refuse_unwritable(asked.output)
    device.open_cache(device.cache_root())  # matplotlib keeps its own there
    from .reporting import build

    text = build.build(stored, manifest.told(stored.out))
    if own:
        manifest.put_report(stored.out, text)
        return stored.out / REPORT
    table.write(asked.output, [text.removesuffix("\n")])
    return asked.output
