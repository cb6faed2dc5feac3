"""Text tables: separator, header and encoding are told by content; what is no table of counts is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scribe_cli.data.counts import CountData
from scribe_cli.errors import BadData
from scribe_cli.io.readers import _table, open_source
from tests.test_readers import refused

GOOD = "cell,g1,g2,g3\na,1,0,3\nb,0,0,2\nc,0,4,0\n"


def table(folder, text: str | bytes, name: str = "x.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.replace("b,0,0,2", "b,0,0"), 'line 3 (row "b") has 3 fields, the header asks for 4'),
        (GOOD.replace("b,0,0,2", "b,0,0,2,5"), 'line 3 (row "b") has 5 fields'),
        (GOOD.replace("b,0,0,2", "b,0,0,2,"), 'line 3 (row "b") has 5 fields'),
        (GOOD.replace("b,0,0,2", "b"), 'line 3 (row "b") has 1 fields'),
        (GOOD.replace("b,0,0,2", "b,0,T cell,2"), "line 3, column \"g2\": 'T cell' is no number"),
        (GOOD.replace("b,0,0,2", "b,0,1_000,2"), "'1_000' is no number"),
        (GOOD.replace("b,0,0,2", "b,0,0x10,2"), "'0x10' is no number"),
        (GOOD.replace("b,0,0,2", "b,0,١,2"), "is no number"),
        (GOOD.replace("b,0,0,2", 'b,0,"1,000",2'), "'1,000' is no number"),
        (GOOD.replace("b,0,0,2", 'b,0,"1,2'), "line 3 cannot be split"),
        (GOOD.replace(",", "\t").replace("b\t0\t0\t2", "b\t0\t1,2\t"), "'1,2' is no number"),
        (GOOD.replace("b,0,0,2", '"b,0,0,2'), "line 3 cannot be split"),
        (GOOD.replace("b,0,0,2", '"b"c,0,0,2'), "line 3 cannot be split"),
        (GOOD.replace("b,0,0,2", "b,0,,2"), '1 missing; the first, missing, is nan of cell "b", gene "g2"'),
        (GOOD.replace("b,0,0,2", "b,0,NA,2"), "1 missing"),
        (GOOD.replace("b,0,0,2", "b,nan,nan,2"), "2 missing"),
        (GOOD.replace("b,0,0,2", "b,0,inf,2"), "1 infinite"),
        (GOOD.replace("b,0,0,2", "b,0,1e400,2"), "1 infinite"),
        (GOOD.replace("b,0,0,2", "b,0,-1,2"), '1 negative; the first, negative, is -1 of cell "b", gene "g2"'),
        (GOOD.replace("b,0,0,2", "b,0,0.5,2"), "1 fractional"),
        (GOOD.replace("b,0,0,2", "b,0,3\0,2"), "line 3 holds a NUL byte"),
        (GOOD.encode("utf-16"), "text in UTF-16; convert it to UTF-8"),
        (GOOD.encode("utf-16-le"), "NUL byte"),
        (GOOD.replace("a,1", "é,1").encode("latin-1"), "line 2 is not text in UTF-8 (byte 1); convert it to UTF-8"),
        (GOOD.replace("g1", "é").encode("latin-1"), "line 1 is not text in UTF-8"),
        ("1,0,3\n0,0,2\n", "the first line is numbers, not names"),
        ("g1,g2\n1,0\n3,2\n1,1\n", 'the first column ("g1") is numbers that repeat, no names'),
        ("cell,g1,g2\n", "a header line at most"),
        ("cell,g1\na,1,2,3\n", "line 1 has 2 fields and line 2 4"),
        ("gene,a,b\ng1,0,0\n", "counts are zero"),
        ("model: nbvcp  # of genes, cells\nseed: 1\n", "is no table"),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_what_is_no_table_of_counts_is_refused_with_its_place(tmp_path, text, told, pack):
    content = text if isinstance(text, bytes) else text.encode()
    refused(table(tmp_path, gzip.compress(content) if pack else content), told)


def test_a_cut_gzip_and_a_layer_are_refused(tmp_path):
    lines = "".join(f"c{i},{i % 7},{i % 3},0\n" for i in range(30_000))
    content = gzip.compress(("cell,g1,g2,g3\n" + lines).encode())
    refused(table(tmp_path, content[: len(content) // 2], "cut.csv.gz"), "damaged gzip file")
    refused(table(tmp_path, GOOD), "a text table, which has no layers", layer="counts")


@pytest.mark.parametrize(
    ("text", "cells", "genes"),
    [
        (GOOD.replace("cell,", ""), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace(",", "\t"), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace(",", ";"), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace("\n", "\r\n"), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace("\n", "\n\n"), "abc", ["g1", "g2", "g3"]),
        (GOOD.rstrip("\n"), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace("1,0,3", '"1"," 0 ",3.0'), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace("cell,", ","), "abc", ["g1", "g2", "g3"]),
        (GOOD.replace("cell,", "").replace("g", ""), "abc", ["1", "2", "3"]),
        (GOOD.replace("g2", '"HLA-A, B"').replace("\nb", '\n"b"'), "abc", ["g1", "HLA-A, B", "g3"]),
        ("\t".join(["x", '"a, b"', "c", "d"]) + "\na\t1\t0\t3\nb\t0\t0\t2\nc\t0\t4\t0", "abc", ["a, b", "c", "d"]),
        (GOOD.replace("a,", "1,").replace("b,", "2,").replace("c,", "3,"), "123", ["g1", "g2", "g3"]),
    ],
)
def test_the_shapes_that_tables_come_in(tmp_path, text, cells, genes):
    source = open_source(table(tmp_path, text, "table"))
    assert np.array_equal(CountData.build(source).csr.toarray(), [[1, 0, 3], [0, 0, 2], [0, 4, 0]])
    assert list(source.cell_names) == list(cells) and list(source.gene_names) == genes


def test_genes_as_rows_need_transpose_and_the_notice_says_so(tmp_path):
    path = table(tmp_path, GOOD)
    assert "read as 3 cells x 3 genes; if its rows are genes, --transpose" in open_source(path).notices[0]
    turned = open_source(path, transpose=True)
    assert turned.transposed and not turned.notices and list(turned.cell_names) == ["g1", "g2", "g3"]


def test_a_wide_table_is_read_in_the_memory_of_its_counts(tmp_path):
    n = 20_000
    rows = [",".join(["0"] * i + ["7"] + ["0"] * (n - 1 - i)) for i in range(0, n, 500)]
    header = ",".join(f"gene_{i}" for i in range(n))
    text = f"cell,{header}\n" + "".join(f"c{i},{row}\n" for i, row in enumerate(rows))
    source = open_source(table(tmp_path, gzip.compress(text.encode(), 1)))
    assert source.shape == (40, n) and source.rows.stored == 40
    assert source.read(0, 40).indices.tolist() == list(range(0, n, 500))
    text = text.replace(",0", ",0.00").replace(",7", ",7.0")
    assert open_source(table(tmp_path, text)).rows.stored == 40


# fields that one way of reading numbers might take and another not
FIELDS = ["0", "1", "12", "0.0", "0.00", "1.5", "", " ", "nan", "NA", "inf", "-1", "+0", "1e3", '"3"', "0x1", "1 2"]
FIELDS += ["1,2", "00", ".", "0.", ".0", "1.0.0", "0 ", " 0", "1_0", "e", "0e5", "nan(1)", "1d2", "#", "١"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=5), st.sampled_from("\t,;"), st.integers(1, 4))
def test_the_quick_way_reads_a_line_as_the_careful_one_does(fields, separator, n):
    form = _table.Form(Path("x"), separator, [f"g{i}" for i in range(n)], "cell")
    line = _table.Line(1, separator.join(["a", *fields]).encode())
    found = []
    for way in (_table._row, _table._row_by_field):
        try:
            found.append([part.tolist() if isinstance(part, np.ndarray) else part for part in way(form, line)])
        except BadData as error:
            found.append(str(error))
    assert repr(found[0]) == repr(found[1])


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from([b",", b"\t", b";"]))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, lines, separator):
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(b"\n".join([b"cell" + separator + b"g", *lines]))
    try:
        CountData.build(open_source(path))
    except BadData as error:
        assert "\n" not in str(error)
