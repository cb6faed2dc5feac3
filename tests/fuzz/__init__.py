"""Fuzzing of the parsers that are our own; not in the suite: make fuzz."""
