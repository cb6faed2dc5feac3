"""Matrix Market: every vintage is found with its names; what is damaged, or lacks them, is refused in one line."""

from __future__ import annotations

import gzip
import os
import re

import numpy as np
import pytest

from scribe_cli.io.readers import mtx as mtx_reader
from scribe_cli.io.readers import open_source
from tests import forms
from tests.test_readers import CELLS, COUNTS, GENES, refused, whole


def mtx(folder, counts=COUNTS, **how):
    return forms.mtx(folder, m=forms.Matrix(counts, CELLS, GENES), **how)


@pytest.mark.parametrize("prefix", ["", "GSM4037316_pt1_"])
@pytest.mark.parametrize("genes", ["features.tsv", "genes.tsv"])
@pytest.mark.parametrize("pack", [False, True])
def test_an_mtx_directory_is_read(tmp_path, prefix, genes, pack):
    folder = mtx(tmp_path / "m", prefix=prefix, genes=genes, pack=pack)
    source = open_source(folder)
    assert np.array_equal(whole(source), COUNTS) and source.format == "mtx"
    assert list(source.cell_names) == CELLS and list(source.gene_names) == GENES
    assert list(source.var["gene_ids"]) == forms.ids(GENES)
    file = next(f for f in folder.iterdir() if "matrix" in f.name)
    assert np.array_equal(whole(open_source(file)), COUNTS)


def test_a_folder_of_one_genome_and_features_that_are_no_genes(tmp_path):
    mtx(tmp_path / "hg19")
    features = tmp_path / "hg19" / "features.tsv"
    lines = features.read_text().splitlines()
    others = [line.replace("Gene Expression", "Antibody Capture") for line in lines[-2:]]
    features.write_text("\n".join([*lines[:-2], *others]))
    source = open_source(tmp_path)
    assert np.array_equal(whole(source), COUNTS[:, :10]) and len(source.var) == 10
    assert "2 Antibody Capture" in source.notices[0]
    mtx(tmp_path / "mm10")
    refused(tmp_path, "hg19/matrix.mtx, mm10/matrix.mtx")


def test_names_that_fit_only_the_other_way_turn_the_matrix(tmp_path):
    folder = mtx(tmp_path / "m", COUNTS.T)
    source = open_source(folder)
    assert np.array_equal(whole(source), COUNTS) and "cells x genes" in source.notices[0]
    assert np.array_equal(whole(open_source(folder, transpose=True)), COUNTS)
    refused(mtx(tmp_path / "n"), "leave out --transpose", transpose=True)
    refused(mtx(tmp_path / "o", COUNTS[:5]), "12 x 5", "features.tsv gives 12 names and barcodes.tsv gives 30")


def test_a_bare_mtx_is_genes_by_cells_with_made_up_names(tmp_path):
    folder = mtx(tmp_path / "m", genes=None)
    file = folder / "matrix.mtx"
    source = open_source(file)
    assert np.array_equal(whole(source), COUNTS)
    assert source.gene_names[-1] == "gene_12" and source.cell_names[0] == "cell_1"
    assert "gives no names of genes" in source.notices[0] and "gives no names of cells" in source.notices[1]
    assert open_source(file, transpose=True).shape == (12, 30)
    refused(file, "no layers", layer="counts")
    refused(folder, "no features.tsv[.gz] and no barcodes.tsv[.gz]", "give the path of matrix.mtx itself")


@pytest.mark.parametrize("name", ["barcodes.tsv", "features.tsv"])
def test_a_directory_without_one_of_its_names_files_is_refused(tmp_path, name):
    folder = mtx(tmp_path / "m")
    (folder / name).unlink()
    refused(folder, f"no {name}[.gz] beside matrix.mtx", "add what is missing")
    assert np.array_equal(whole(open_source(folder / "matrix.mtx")), COUNTS)
    os.mkfifo(folder / name)
    refused(folder, f"no {name}[.gz]")


def test_several_matrices_with_prefixes_are_named_and_each_is_read_with_its_own_names(tmp_path):
    mtx(tmp_path / "m", prefix="GSM1_a_")
    mtx(tmp_path / "m", COUNTS + 1, prefix="GSM2_b_")
    refused(tmp_path / "m", "GSM1_a_matrix.mtx, GSM2_b_matrix.mtx", "give the path of one")
    source = open_source(tmp_path / "m" / "GSM2_b_matrix.mtx")
    assert np.array_equal(whole(source), COUNTS + 1) and list(source.cell_names) == CELLS
    (tmp_path / "m" / "GSM2_b_barcodes.tsv").unlink()
    assert open_source(tmp_path / "m" / "GSM2_b_matrix.mtx").cell_names[0] == "cell_1"


def test_a_header_line_in_a_names_file_is_left_out_and_told(tmp_path):
    folder = mtx(tmp_path / "m")
    for name, header in (("barcodes.tsv", '"x"'), ("features.tsv", "gene_id\tsymbol\ttype")):
        (folder / name).write_text(f"{header}\n" + (folder / name).read_text())
    source = open_source(folder)
    assert list(source.cell_names) == CELLS and list(source.gene_names) == GENES
    assert [n.split(" is a header")[0] for n in source.notices] == [
        "the first line of features.tsv",
        "the first line of barcodes.tsv",
    ]
    (folder / "barcodes.tsv").write_text("\n".join(["AAAC", *CELLS]))
    refused(folder, "barcodes.tsv gives 31 names")
    (folder / "barcodes.tsv").write_text("\n".join(f'"{cell}"' for cell in CELLS))
    assert list(open_source(folder).cell_names) == CELLS


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ("12 30 1000000000000", "there is no such matrix"),
        ("12 3000000000 5", "there is no such matrix"),
        ("12000 30000 300000", "bytes cannot hold"),
        ("12 100000000 200", "no barcodes.tsv[.gz] names them"),
    ],
)
def test_sizes_that_the_file_cannot_hold_are_refused_before_anything_is_made(tmp_path, sizes, told):
    folder = mtx(tmp_path / "m")
    (folder / "barcodes.tsv").unlink()
    file = folder / "matrix.mtx"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([*lines[:2], sizes, *lines[3:]]))
    refused(file, told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.rsplit("\n", 2)[0] + "\n", "entries, "),
        (lambda t: t + "1 1 3\n", "entries, "),
        (lambda t: t.rsplit(" ", 1)[0], "not row, column and value"),
        (lambda t: t + "13 1 3\n", "outside 1 .. 12"),
        (lambda t: t.replace("12 30", "12 thirty"), "line of sizes"),
        (lambda t: t.replace("12 30", "12 -30"), "none can be negative"),
        (lambda t: re.sub(r"(?m)^(\d+ \d+ \d+)$", r"\1 7", t).replace(" 7\n", "\n", 1), "not row, column and value"),
        (lambda t: t.replace("integer", "pattern"), 'header "%%MatrixMarket matrix coordinate pattern general"'),
        (lambda t: t.replace("general", "symmetric"), "coordinate integer general"),
        (lambda t: t.replace("coordinate", "array"), "coordinate integer general"),
        (lambda t: t.rsplit("\n", 2)[0] + "\n1 1 2 3\n", "not row, column and value"),
        (lambda t: t.rsplit("\n", 1)[0] + "\0\n", "a NUL byte"),
        (lambda t: t + "99999999999999999999 1 3\n", "not row, column and value"),
        (lambda t: t.rsplit("\n", 2)[0] + "\n1 1 2,5\n", "not row, column and value"),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_an_mtx_that_is_not_what_its_header_says_is_refused(tmp_path, change, told, pack):
    file = mtx(tmp_path / "m") / "matrix.mtx"
    text = change(file.read_text()).encode()
    file.write_bytes(gzip.compress(text) if pack else text)
    refused(file, told)


def test_fractions_under_an_integer_header_and_repeats_are_seen(tmp_path):
    file = mtx(tmp_path / "m") / "matrix.mtx"
    head, first, rest = file.read_text().split("\n", 4)[:3], *file.read_text().split("\n", 4)[3:]
    row, column, _ = first.split()
    file.write_text("\n".join([*head, f"{row} {column} 1.5", rest]))
    refused(file, "1 fractional", "1.5")
    file.write_text("\n".join([*head, first, first, rest.split("\n", 1)[1]]))
    refused(file, "given twice")


def test_a_cut_gzip_is_refused(tmp_path):
    file = mtx(tmp_path / "m", pack=True) / "matrix.mtx.gz"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * 2 // 3])
    refused(file, "damaged gzip file")


def test_a_matrix_of_no_entries_is_read_as_zeros(tmp_path):
    file = mtx(tmp_path / "m", genes=None) / "matrix.mtx"
    file.write_text("%%MatrixMarket matrix coordinate integer general\n12 30 0\n")
    refused(file, "all 30 x 12 counts are zero")


def test_a_body_of_many_blocks_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(mtx_reader, "BLOCK", 64)
    assert np.array_equal(whole(open_source(mtx(tmp_path / "m"))), COUNTS)
