"""report.html: one file that says what was fitted and whether to believe it; a pure function of a stored fit."""
