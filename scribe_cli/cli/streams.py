"""stdout and stderr, whatever the caller made of them."""

from __future__ import annotations

import io
import os
import sys


def open_for_results() -> None:
    """A stream that the caller closed leads nowhere. Text is UTF-8, under every locale; a path is the bytes it has."""
    for name, errors in (("stdout", "surrogateescape"), ("stderr", "backslashreplace")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
