"""10x HDF5 and loom: which matrix, names and annotation are read, and what is damaged is refused in one line."""

from __future__ import annotations

from functools import partial

import h5py
import numpy as np
import pytest

from scribe_cli.io.readers import loom as loom_reader
from scribe_cli.io.readers import open_source
from tests import forms
from tests.forms import CELLS, COUNTS, GENES
from tests.test_readers import refused, whole

IDS = forms.ids(GENES)
SIDES = (("Gene", GENES), ("CellID", CELLS))


def loom(folder, *more):
    return forms.loom(folder, *SIDES, COUNTS.T, *more)


def changed(path, key: str, change):
    """The file with the dataset at `key` replaced by what `change` makes of its values; None: taken out."""
    with h5py.File(path, "r+") as file:
        values = file[key][()] if isinstance(file[key], h5py.Dataset) else None
        del file[key]
        if change is not None:
            file[key] = change(values)
    return path


def test_10x_2_has_symbols_for_names_and_ids(tmp_path):
    source = open_source(forms.tenx(tmp_path, 2))
    assert source.format == "10x" and list(source.var["gene_ids"]) == IDS
    assert list(source.gene_names) == GENES and list(source.var) == ["gene_ids"]


def test_features_of_10x_3_that_are_no_genes_are_left_out_with_a_notice(tmp_path):
    source = open_source(forms.tenx(tmp_path, 3))
    assert np.array_equal(whole(source), COUNTS) and source.shape == COUNTS.shape
    assert np.array_equal(source.read(3, 7).toarray(), COUNTS[3:7])
    assert source.notices == ("features of v3.h5 that are no genes are left out: 2 Antibody Capture",)
    assert list(source.var["gene_ids"]) == IDS
    assert set(source.var["feature_types"]) == {"Gene Expression"} and set(source.var["genome"]) == {"GRCh38"}


def test_10x_of_several_genomes(tmp_path):
    path = forms.tenx(tmp_path, 2)
    with h5py.File(path, "r+") as file:
        file.copy("GRCh38", "mm10")
    refused(path, "2 genomes: GRCh38, mm10", "as the MTX folder of that genome")
    path = forms.tenx(tmp_path, 3)
    source = open_source(changed(path, "matrix/features/genome", lambda v: np.where(np.arange(25) < 12, v, b"mm10")))
    assert np.array_equal(whole(source), COUNTS) and "genes of 2 genomes: GRCh38, mm10" in source.notices[1]


def test_10x_takes_no_layer_and_no_transpose(tmp_path):
    refused(forms.tenx(tmp_path, 3), "which has no layers", layer="counts")
    refused(forms.tenx(tmp_path, 3), "leave out --transpose", transpose=True)


@pytest.mark.parametrize(
    ("key", "change", "told"),
    [
        ("indices", lambda v: v + 5, "outside 0 .. 24"),
        ("indices", lambda v: v[:-1], "the matrix is damaged"),
        ("indices", lambda v: v.astype(float), "not integers"),
        ("indptr", lambda v: v[:-1], "not 32 integers"),
        ("indptr", lambda v: v[::-1], "not upwards"),
        ("indptr", None, "no list of numbers called indptr"),
        ("data", lambda v: v.astype("S4"), "not numbers"),
        ("data", lambda v: v.reshape(1, -1), "no list of numbers called data"),
        ("data", None, "no list of numbers called data"),
        ("shape", lambda v: v[::-1], "features/name has 25 entries for 31"),
        ("shape", lambda v: np.array([25, 31, 1]), "shape is not two integers"),
        ("shape", lambda v: np.array([25.0, 31.0]), "shape is not two integers"),
        ("shape", None, "lacks the array shape"),
        ("barcodes", lambda v: v[:-1], "barcodes has 30 entries for 31"),
        ("barcodes", lambda v: np.array([b"\xff"] * 31), "not text in UTF-8"),
        ("features/name", lambda v: v[:-1], "features/name has 24 entries for 25"),
        ("features/name", None, "lacks the array features/name"),
        ("features/id", lambda v: v.reshape(5, 5), "features/id has shape (5, 5)"),
        ("features", None, "lacks the array gene_names"),
    ],
)
def test_a_damaged_10x_file_is_refused(tmp_path, key, change, told):
    refused(changed(forms.tenx(tmp_path, 3), f"matrix/{key}", change), told)


def test_attributes_of_loom_are_columns(tmp_path):
    path = loom(tmp_path)
    with h5py.File(path, "r+") as file:
        file["row_attrs/Accession"] = np.array(IDS, forms.TEXT)
        file["col_attrs/Batch"] = np.array([b"a &amp; b", b"c"] * 15 + [b"c"])
        file["col_attrs/PCA"] = np.zeros((len(CELLS), 2))
    source = open_source(path)
    assert list(source.gene_names) == GENES and list(source.var["gene_ids"]) == IDS
    assert list(source.obs["Batch"][:2]) == ["a & b", "c"] and list(source.obs["Number"]) == list(range(31))
    assert source.notices == ("x.loom: attributes that are no list of texts or numbers are left out: col_attrs/PCA",)
    assert source.obs["Batch"].dtype == object
    changed(path, "row_attrs/Gene", None)
    assert list(open_source(path).gene_names) == IDS and list(open_source(path).var["gene_ids"]) == IDS
    changed(changed(path, "row_attrs/Accession", None), "col_attrs/CellID", None)
    nameless = open_source(path)
    assert nameless.gene_names[0] == "gene_1" and nameless.cell_names[-1] == "cell_31"
    assert "no names of cells" in nameless.notices[0] and "no names of genes" in nameless.notices[1]


def test_layers_of_loom_are_named_and_read_by_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(loom_reader, "BLOCK_VALUES", 1)
    monkeypatch.setattr(loom_reader, "WIDTH", 4)
    path = loom(tmp_path, {"layers/spliced": COUNTS.T * 2, "layers/log": np.log1p(COUNTS.T)})
    source = open_source(path, layer="spliced")
    assert np.array_equal(whole(source), COUNTS * 2) and np.array_equal(source.read(5, 14).toarray(), COUNTS[5:14] * 2)
    assert source.alternatives() == ["X", "layers/log"]
    refused(path, 'no layer "splice"', 'mean "spliced"', "X, log, spliced", layer="splice")
    refused(path, "X does hold counts: --layer X", layer="log")


@pytest.mark.parametrize(
    ("key", "change", "told"),
    [
        ("row_attrs", None, "without row_attrs"),
        ("col_attrs/CellID", lambda v: v[:-1], "col_attrs/CellID has 30 entries for 31"),
        ("row_attrs/Gene", lambda v: v[:-1], "row_attrs/Gene has 22 entries for 23"),
        ("col_attrs/CellID", lambda v: np.zeros((31, 2)), "col_attrs/CellID is no list of names"),
        ("row_attrs", lambda v: np.arange(3), "without row_attrs"),
        ("matrix", lambda v: v[None], "matrix has shape (1, 23, 31)"),
        ("matrix", lambda v: v.astype("S3"), "not numbers"),
        ("matrix", lambda v: v * 0.5, "fractional"),
        ("matrix", lambda v: v[:, :5], "CellID has 31 entries for 5"),
    ],
)
def test_a_damaged_loom_is_refused(tmp_path, key, change, told):
    refused(changed(loom(tmp_path), key, change), told)


def test_a_group_where_the_matrix_should_be_is_refused(tmp_path):
    path = changed(loom(tmp_path), "matrix", None)
    with h5py.File(path, "r+") as file:
        file["matrix/values"] = COUNTS
    refused(path, "has a group at matrix, not an array")


@pytest.mark.parametrize("make", [partial(forms.tenx, version=3), loom], ids=["10x", "loom"])
def test_an_array_that_claims_more_than_is_stored_is_refused(tmp_path, make):
    path = make(tmp_path)
    with h5py.File(path, "r+") as file:
        for key, shape in (("matrix/data", (10**10,)), ("matrix", (10**5, 10**5))):
            if isinstance(file.get(key), h5py.Dataset):
                del file[key]
                file.create_dataset(key, shape, "i4", chunks=tuple(min(n, 1000) for n in shape))
                break
    refused(path, "copy")
