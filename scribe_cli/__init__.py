"""scribe: count models for single-cell data, fitted in batch."""

__version__ = "0.1.0"
