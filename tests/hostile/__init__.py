"""Hostile and malformed inputs of every format. CASES: {name: Case}; python -m tests.hostile runs them all."""

from __future__ import annotations

from . import hdf5, others, recipes, text, zarr

CASES = {**hdf5.CASES, **zarr.CASES, **text.CASES, **others.CASES, **recipes.CASES}
