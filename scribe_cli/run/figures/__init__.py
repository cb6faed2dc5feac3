"""The pictures of reports and of `scribe ppc`: one picture a file, a function of plain arrays that returns a Figure.

Importing a picture loads matplotlib; no pyplot, no state.
"""
