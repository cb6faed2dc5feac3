"""Which matrix of an input is meant, where there is but one."""

from __future__ import annotations

from pathlib import Path

from ...errors import BadData


def only_x(path: Path, layer: str | None, kind: str) -> None:
    """BadData for a layer of a format that has none. kind: the format, in a message's words."""
    if layer not in (None, "X"):
        raise BadData(f'{path} is {kind}, which has no layers; leave out --layer "{layer}"')
