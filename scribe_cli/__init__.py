"""scribe: count models for single-cell data, fitted in batch.

In Python: `res = scribe_cli.fit(adata_or_path, recipe_or_dict)`, `scribe_cli.load(OUT)`.
"""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__", "fit", "load"]


def __getattr__(name: str):
    """`fit` and `load` are loaded when they are asked for (PEP 562): importing the package loads nothing heavy."""
    if name in ("fit", "load"):
        from .run import api

        return {"fit": api.fit, "load": api.load}[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
