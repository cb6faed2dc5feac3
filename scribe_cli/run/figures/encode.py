"""A picture as bytes or as a file. Equal pictures are equal bytes with the same versions of the libraries."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from .style import RC

DPI = 150
# letters stay letters; ids do not change from run to run
SVG = {"svg.fonttype": "none", "svg.hashsalt": "scribe"}
NO_DATES = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def encode(figure: Figure, format: str = "svg") -> bytes:
    """The file's content; in svg what has many points is an image within it."""
    out = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # scripts that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC | SVG)
        figure.savefig(out, format=format, dpi=DPI, metadata=NO_DATES[format])
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Written in the format of the path's ending, svg or png."""
    path.write_bytes(encode(figure, path.suffix.removeprefix(".")))
