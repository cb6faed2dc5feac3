"""`python -m scribe_cli`."""

from .cli.main import process

process()
