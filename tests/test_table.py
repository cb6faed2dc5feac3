"""Tables for reading: they fit the terminal and lose nothing in it; and where they can be written."""

from __future__ import annotations

import os

import pytest

from scribe_cli.errors import CannotCreate
from scribe_cli.run.terminal.table import Table, lines, refuse_unwritable

NUMBERS = Table(
    ("parameter", "gene", "map", "mean", "q05", "q95"),
    [("mu", "CD3E", 12345.678, 0.1, 4.0, 1e-5), ("gate", "LYZ", 1.5, float("nan"), 0.0, 3)],
    "Gene parameters",
)


def test_numbers_have_four_digits_and_stand_on_the_right():
    assert list(lines(NUMBERS, "table")) == [
        "Gene parameters",
        "parameter  gene        map    mean    q05        q95",
        "mu         CD3E  1.235e+04  0.1000  4.000  1.000e-05",
        "gate       LYZ       1.500     nan  0.000          3",
    ]


def test_a_wide_table_goes_on_below_with_its_labels():
    assert list(lines(NUMBERS, "table", width=41)) == [
        "Gene parameters",
        "parameter  gene        map    mean    q05",
        "mu         CD3E  1.235e+04  0.1000  4.000",
        "gate       LYZ       1.500     nan  0.000",
        "",
        "parameter  gene        q95",
        "mu         CD3E  1.000e-05",
        "gate       LYZ           3",
    ]


@pytest.mark.parametrize("width", [1, 20, 26, 30, 35, 52, 53, 80])
def test_every_number_is_shown_in_any_width(width):
    shown = list(lines(NUMBERS, "table", width))
    words = " ".join(shown).split()
    assert all(words.count(word) == 1 for word in ("map", "mean", "q05", "q95", "1.235e+04", "0.1000", "nan", "3"))
    narrowest = len("parameter  gene  1.235e+04")  # the labels with one number
    assert max(map(len, shown)) <= max(width, narrowest)


def test_text_in_the_last_column_is_wrapped_under_itself():
    table = Table(("recipe", "about"), [("zinb", "a gate beyond the zeros of the count"), ("nbdm", "")])
    assert list(lines(table, "table", width=32)) == [
        "recipe  about",
        "zinb    a gate beyond the zeros",
        "        of the count",
        "nbdm",
    ]
    assert "zinb    a gate beyond the zeros of the count" in lines(table, "table")


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path):
    refuse_unwritable(tmp_path / "new.tsv")
    (tmp_path / "old.tsv").touch()
    refuse_unwritable(tmp_path / "old.tsv")
    refuse_unwritable(type(tmp_path)("/dev/stdout"))
    for path, said in ((tmp_path, "is a directory"), (tmp_path / "no" / "x.tsv", f"no folder {tmp_path / 'no'}")):
        with pytest.raises(CannotCreate, match=said):
            refuse_unwritable(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CannotCreate, match="permission denied"):
        refuse_unwritable(tmp_path / "x.tsv")
