"""What is fuzzed: a strategy of inputs, and a function that must end well or in one of our errors."""

from __future__ import annotations

import gzip
import string
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from scribe_cli.data.counts import CountData
from scribe_cli.errors import BadData, BadRecipe, InputMissing, ScribeError
from scribe_cli.io.readers import open_source
from scribe_cli.run.recipe import config, recipe_file, yaml12
from tests import forms

from . import oracles

SMALL = forms.Matrix(forms.COUNTS[:6, :5], forms.CELLS[:6], forms.GENES[:5])


@dataclass(frozen=True)
class Target:
    """run(folder, input): reads one; allowed: the errors it may end in; seconds: the longest it may take."""

    inputs: st.SearchStrategy[bytes]
    run: Callable[[Path, bytes], object]
    allowed: tuple[type[ScribeError], ...]
    seconds: float = 2.0


def pieces(*words: str) -> st.SearchStrategy[bytes]:
    """What is put into a valid file: its own words, and what numbers and texts trip over."""
    odd = [
        "",
        "\0",
        "\r",
        "\n\n",
        "\t",
        " ",
        '"',
        '""',
        "'",
        ",",
        ";",
        "%",
        "#",
        "\ufeff",
        "\u0663",
        "\x85",
        "\u2028",
        "é",
    ]
    numbers = [
        "-1",
        "0",
        "1.5",
        "1e400",
        "-0",
        "1e-5",
        "nan",
        "inf",
        "NA",
        "1_0",
        "0x1",
        "1,5",
        "+1",
        "9" * 25,
        "1" * 400,
    ]
    known = st.sampled_from([word.encode() for word in (*words, *odd, *numbers)])
    return st.one_of(known, known, st.binary(max_size=12), st.text(string.printable, max_size=12).map(str.encode))


@st.composite
def mutated(draw, seeds: list[bytes], parts: st.SearchStrategy[bytes]) -> bytes:
    """A valid file in which some stretches are cut, doubled, moved or replaced; packed now and then, and cut again."""
    made = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(made)))
        stop = min(len(made), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30])))
        new = draw(st.one_of(parts, parts, st.just(made[start:stop] * 2), st.just(made[:40])))
        made = made[:start] + new + made[stop:]
    if draw(st.integers(0, 9)) == 0:
        made = gzip.compress(made)
        made = made[: draw(st.integers(0, len(made)))] if draw(st.booleans()) else made
    return made


def written(make: Callable[[Path], Path], name: str | None = None) -> bytes:
    """The bytes of a file that one of tests/forms.py writes."""
    with tempfile.TemporaryDirectory() as scratch:
        path = make(Path(scratch))
        return (path / name if name else path).read_bytes()


def lines(words: st.SearchStrategy[str], separator: str) -> st.SearchStrategy[bytes]:
    """Lines of words, ragged or not."""
    line = st.lists(words, max_size=6).map(separator.join)
    return st.lists(line, max_size=12).map(lambda rows: "\n".join(rows).encode())


@st.composite
def entries(draw) -> bytes:
    """Sizes and as many entries, one of them odd at most."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    row = st.tuples(st.integers(1, rows), st.integers(1, columns), st.integers(0, 9))
    found = draw(st.lists(row, max_size=8, unique_by=lambda e: e[:2]))
    body = [" ".join(map(str, e)) for e in [(rows, columns, len(found)), *found]]
    at = draw(st.integers(0, len(body)))
    if draw(st.booleans()):
        body[at:] = [*body[at : at + 1], draw(st.sampled_from(ODD_LINES)), *body[at + 1 :]]
    return draw(st.sampled_from(["\n", "\r\n", " \n", "\n\n"])).join(body).encode()


@st.composite
def tables(draw) -> bytes:
    """A table with names and counts, one of its cells odd at most."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    head = [draw(st.sampled_from(["", "cell", '"a b"', "é"])), *(f"g{i}" for i in range(columns))]
    body = [
        [f"c{i}", *map(str, draw(st.lists(st.integers(0, 12), min_size=columns, max_size=columns)))]
        for i in range(rows)
    ]
    made = [head[draw(st.integers(0, 1)) :] if columns > 1 else head, *body]
    if draw(st.booleans()):
        row = draw(st.sampled_from(made))
        row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(ODD_CELLS))
    separator, end = draw(st.sampled_from(",\t;")), draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
    return end.join(separator.join(row) for row in made).encode() + draw(st.sampled_from([b"", b"\n", b"\r\n", b" "]))


def read(name: str, oracle: Callable[[bytes], list[np.ndarray]]) -> Callable[[Path, bytes], object]:
    """Write the input under a name and read it whole; what is read must be what the oracle reads, turned or not."""

    def run(folder: Path, content: bytes) -> object:
        path = folder / name
        path.write_bytes(content)
        counts = CountData.build(open_source(path))
        same(counts, oracle(content))
        return counts

    return run


def same(counts: CountData, plain: list[np.ndarray]) -> None:
    read = counts.csr.toarray()
    if not any(np.array_equal(read, np.rint(whole)) for table in plain for whole in (table, table.T)):
        raise AssertionError(f"read as {read.tolist()}, and it is {[table.tolist() for table in plain]}")


def read_folder(folder: Path, content: bytes) -> object:
    """The input as matrix, features and barcodes of one directory, parted by a line of three dashes."""
    inside = folder / "m"
    inside.mkdir(exist_ok=True)
    parts = (content.split(b"---\n") + [b"", b""])[:3]
    for name, part in zip(("matrix.mtx", "features.tsv", "barcodes.tsv"), parts, strict=True):
        (inside / name).write_bytes(part)
    counts = CountData.build(open_source(inside))
    plain = oracles.mtx(parts[0])
    if sorted(counts.csr.shape) == sorted(plain[0].shape):  # else features that are no genes are left out
        same(counts, plain)
    return counts


def parse_recipe(folder: Path, content: bytes) -> object:
    """Parse a recipe, and resolve it; what is written of it is parsed to the same again."""
    path = folder / "r.yaml"
    path.write_bytes(content)
    document = recipe_file.read(path).document.value
    again = yaml12.parse(yaml12.flow(document), "again").value
    if repr(again) != repr(document):
        raise AssertionError(f"{document} was written as {yaml12.flow(document)}")
    return config.load(path, ()).resolve()


def mtx_seeds() -> list[bytes]:
    bare = written(lambda f: forms.mtx(f, m=SMALL), "matrix.mtx")
    return [bare, bare.replace(b"integer", b"real").replace(b" 1\n", b" 1.0\n"), bare.replace(b"\n", b"\r\n")]


def folder_seeds() -> list[bytes]:
    names = ("matrix.mtx", "features.tsv", "barcodes.tsv")
    return [b"---\n".join(written(lambda f: forms.mtx(f, genes="features.tsv", m=SMALL), n) for n in names)]


def table_seeds() -> list[bytes]:
    ways = ({}, {"sep": "\t"}, {"sep": ";"}, {"quoting": 1}, {"corner": False, "sep": "\t"}, {"mark": b"\xef\xbb\xbf"})
    return [written(lambda f, how=how: forms.text(f, m=SMALL, **how)) for how in ways]


def recipe_seeds() -> list[bytes]:
    full = b"model: zinbvcp\npriors: {organism: human, gate: [1, 9]}\nsvi: {n_steps: 1e3, batch_size: null}\nseed: 3\n"
    return [full, *(file.read_bytes() for file in recipe_file.bundled().values())]


HEADER = b"%%MatrixMarket matrix coordinate integer general\n"
ODD_CELLS = (
    '"3"',
    '"',
    '""',
    "3.0",
    "1e1",
    " 2",
    "2 ",
    "",
    "NA",
    "-0",
    "+1",
    "0.9999",
    "1,5",
    "a,b",
    "\\x00",
    "0x1",
    "1_0",
    "1e400",
    "00",
    "٣",
)
ODD_LINES = (
    "% 1 1 1",
    "1 1 1 %",
    "%",
    "1 1 1.0",
    "1 1 1e0",
    "1 1",
    "1 1 1 1",
    "1.0 1 1",
    "1\t1\t1",
    "+1 1 1",
    " 1 1 1",
    "1 1 -0",
)
MTX_WORDS = ("%%MatrixMarket", "matrix", "coordinate", "integer", "real", "general", "symmetric", "array", "1 1 1\n")
YAML_WORDS = (
    ": ",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!str ",
    "|",
    ">",
    "---\n",
    "...",
    "%YAML",
    "<<",
    "no",
    "~",
)
KEYS = ("model", "nbdm", "svi", "n_steps", "priors", "organism", "data", "genes", "mcmc", "output", "guide")
NUMBERS = st.one_of(st.integers(-2, 12).map(str), st.floats().map(str), st.sampled_from(["", "NA", "1.0", "x", "1e2"]))
DATA = (BadData,)
TARGETS = {
    "mtx": Target(
        st.one_of(
            mutated(mtx_seeds(), pieces(*MTX_WORDS)),
            lines(NUMBERS, " ").map(lambda body: HEADER + body),
            entries().map(lambda body: HEADER + body),
            st.binary(max_size=200).map(lambda body: b"%%MatrixMarket" + body),
        ),
        read("x.mtx", oracles.mtx),
        DATA,
    ),
    "mtx-folder": Target(mutated(folder_seeds(), pieces(*MTX_WORDS, "\tGene Expression", "---\n")), read_folder, DATA),
    "csv": Target(
        st.one_of(
            mutated(table_seeds(), pieces("gene", "\r\n")),
            tables(),
            tables(),
            st.sampled_from(",\t;").flatmap(lambda s: lines(st.one_of(NUMBERS, st.text('ab",;\t', max_size=4)), s)),
            st.binary(max_size=200),
        ),
        read("x.csv", oracles.tables),
        DATA,
    ),
    "recipe": Target(
        st.one_of(
            mutated(recipe_seeds(), pieces(*YAML_WORDS, *KEYS)),
            st.lists(st.sampled_from([*YAML_WORDS, *KEYS, "\n", "  ", " "]), max_size=40).map("".join).map(str.encode),
            st.binary(max_size=200),
        ),
        parse_recipe,
        (BadRecipe, InputMissing),
    ),
}
