"""The equations of a model as HTML: Greek letters, hats and indices."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

GREEK = {
    **{"mu": "\u03bc", "phi": "\u03c6", "nu": "\u03bd", "eta": "\u03b7", "omega": "\u03c9"},
    **{"kappa": "\u03ba", "alpha": "\u03b1", "beta": "\u03b2", "delta": "\u03b4"},
}
HAT = "\u0302"
INDEX = re.compile(r"[kdcgl]+")
WORD = re.compile(r"[A-Za-z]\w*")
SIGNS = {"~": "\u223c", ">=": "\u2265", "-": "\u2212", "log_library": "log L"}


def html(equation: str) -> Markup:
    """`log mu_g ~ normal(loc 0, scale 3)` with its symbols as they are written on paper."""
    for plain, sign in SIGNS.items():
        equation = equation.replace(plain, sign)
    parts, end = [], 0
    for found in WORD.finditer(equation):
        power = equation[found.start() - 1 : found.start()] == "^"
        parts.append(escape(equation[end : found.start() - power]))
        parts.append(Markup("<sup>{}</sup>").format(_word(found[0])) if power else _word(found[0]))
        end = found.end()
    return Markup("").join([*parts, escape(equation[end:])])


def _word(word: str) -> Markup:
    """A name with its indices; names of one letter, and Greek ones, are in italics."""
    pieces = word.split("_")
    index = pieces.pop() if len(pieces) > 1 and INDEX.fullmatch(pieces[-1]) else ""
    hat = pieces.pop() if pieces[-1] == "hat" else ""
    lower = pieces.pop() if len(pieces) == 2 and pieces[1] in GREEK | {"0": ""} else ""
    name = "_".join(pieces)
    symbol = GREEK.get(name, name) + (HAT if hat else "")
    below = Markup("<sub>{}</sub>").format(GREEK.get(lower, lower) + index) if lower or index else ""
    return Markup("<var>{}</var>{}").format(symbol, below) if len(GREEK.get(name, name)) == 1 or index else escape(word)
