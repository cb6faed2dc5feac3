"""Readers: every layout of a format gives the same counts and names; what is damaged is refused in one line."""

from __future__ import annotations

import gzip
import os

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.sparse import csc_matrix, csr_matrix

from scribe_cli.core import registry
from scribe_cli.data.counts import CountData
from scribe_cli.errors import BadData, InputMissing
from scribe_cli.io.readers import open_source

COUNTS = np.random.default_rng(7).poisson(0.7, (30, 12)).astype(np.float32)
CELLS = [f"cell{i}" for i in range(30)]
GENES = [f"g{i}" for i in range(12)]


def adata(x=COUNTS, **more) -> anndata.AnnData:
    obs = pd.DataFrame({"batch": pd.Categorical(["a", "b"] * 15)}, index=CELLS)
    return anndata.AnnData(x, obs=obs, var=pd.DataFrame({"gc": np.arange(12.0)}, index=GENES), **more)


def h5ad(path, data=None):
    (adata() if data is None else data).write_h5ad(path, compression="gzip")
    return path


def whole(source) -> np.ndarray:
    return np.concatenate([csr.toarray() for _, csr in source.chunks()])


def refused(path, *parts: str, **how) -> None:
    """BadData in one line that holds `parts`, whether on opening or on reading."""
    with pytest.raises(BadData) as caught:
        CountData.build(open_source(path, **how))
    text = str(caught.value)
    assert "\n" not in text
    for part in (str(path), *parts):
        assert part in text, text


def mtx(folder, counts=COUNTS, prefix="", genes="features.tsv", pack=False, names=True):
    """An MTX directory, genes x cells; `counts` is cells x genes."""
    folder.mkdir(exist_ok=True)
    cell, gene = np.nonzero(counts)
    lines = [f"{g + 1} {c + 1} {counts[c, g]:g}" for c, g in zip(cell, gene, strict=True)]
    sizes = f"{counts.shape[1]} {counts.shape[0]} {len(lines)}"
    files = {"matrix.mtx": ["%%MatrixMarket matrix coordinate integer general", "% made", sizes, *lines]}
    if names:
        files["barcodes.tsv"] = CELLS
        files[genes] = [f"ENSG{i}\t{g}\tGene Expression" for i, g in enumerate(GENES)]
    for name, rows in files.items():
        text = ("\n".join(rows) + "\n").encode()
        (folder / (prefix + name + (".gz" if pack else ""))).write_bytes(gzip.compress(text) if pack else text)
    return folder


# every way to write the same counts


def _h5ad_csr(p):
    return h5ad(p / "x.h5ad", adata(csr_matrix(COUNTS)))


def _h5ad_csc(p):
    return h5ad(p / "x.h5ad", adata(csc_matrix(COUNTS)))


def _h5ad_dense(p):
    return h5ad(p / "no_suffix", adata())


def _h5ad_int64(p):
    return h5ad(p / "x.h5ad", adata(csr_matrix(COUNTS.astype(np.int64))))


def _h5ad_half(p):
    path = _h5ad_dense(p)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = COUNTS.astype(np.float16)
    return path


def _h5ad_unsorted(p):
    path = _h5ad_csr(p)
    with h5py.File(path, "r+") as file:
        first, last = file["X/indptr"][3:5]
        for name in ("data", "indices"):
            file["X"][name][first:last] = file["X"][name][first:last][::-1]
    return path


def _h5ad_nullable(p):
    """Indices as nullable strings, as anndata on python 3.12 writes them."""
    path = _h5ad_csr(p)
    with h5py.File(path, "r+") as file:
        for frame, names in (("obs", CELLS), ("var", GENES)):
            values = np.array(names, h5py.string_dtype())
            del file[frame]["_index"]
            group = file[frame].create_group("_index")
            spec = {"encoding-type": "nullable-string-array", "encoding-version": "0.1.0", "na-value": "NaN"}
            group.attrs.update(spec)
            mask = np.zeros(len(values), bool)
            for name, array, kind in (("values", values, "string-array"), ("mask", mask, "array")):
                group[name] = array
                group[name].attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})
    return path


def _h5ad_old(p):
    """As anndata 0.6 wrote: record arrays, h5sparse attributes, categories in uns."""
    path = p / "old.h5ad"
    x = csr_matrix(COUNTS)
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": x.shape})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
        obs = np.zeros(30, [("index", "S16"), ("batch", "i1")])
        obs["index"], obs["batch"] = [c.encode() for c in CELLS], [0, 1] * 15
        var = np.zeros(12, [("index", "S16"), ("gc", "f8")])
        var["index"], var["gc"] = [g.encode() for g in GENES], np.arange(12.0)
        file["obs"], file["var"], file["uns/batch_categories"] = obs, var, np.array([b"a", b"b"])
    return path


def _zarr(version):
    def write(p):
        with anndata.settings.override(zarr_write_format=version):
            adata(csr_matrix(COUNTS)).write_zarr(p / "x.zarr")
        return p / "x.zarr"

    return write


WAYS = {
    "csr": _h5ad_csr,
    "csc": _h5ad_csc,
    "dense": _h5ad_dense,
    "int64": _h5ad_int64,
    "float16": _h5ad_half,
    "unsorted": _h5ad_unsorted,
    "nullable": _h5ad_nullable,
    "old": _h5ad_old,
    "zarr2": _zarr(2),
    "zarr3": _zarr(3),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_every_layout_of_anndata_reads_the_same(tmp_path, way):
    source = open_source(WAYS[way](tmp_path))
    assert np.array_equal(whole(source), COUNTS)
    assert list(source.cell_names) == CELLS and list(source.gene_names) == GENES
    assert source.obs.index.dtype == object and source.var.index.dtype == object
    assert list(source.obs["batch"]) == ["a", "b"] * 15 and list(source.var["gc"]) == list(range(12))
    assert np.array_equal(source.read(4, 9).toarray(), COUNTS[4:9])
    reference = CountData.build(open_source(_h5ad_csr(tmp_path)))
    assert CountData.build(source).digest == reference.digest


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", ["csr", "csc", "dense", "zarr2"])
def test_transpose_turns_genes_by_cells(tmp_path, way):
    source = open_source(WAYS[way](tmp_path), transpose=True)
    assert source.transposed and source.shape == (12, 30)
    assert np.array_equal(whole(source), COUNTS.T)
    assert list(source.cell_names) == GENES and list(source.obs["gc"]) == list(range(12))


def layered(path):
    """X log-normalised, a normalised layer, counts in another, raw over more genes."""
    x = adata(np.log1p(COUNTS), layers={"counts": csr_matrix(COUNTS), "scaled": COUNTS * 0.37})
    raw = anndata.AnnData(np.hstack([COUNTS, COUNTS]), var=pd.DataFrame(index=GENES + [f"{g}x" for g in GENES]))
    x.raw = raw
    return h5ad(path / "layered.h5ad", x)


def test_a_layer_and_raw_are_read(tmp_path):
    path = layered(tmp_path)
    source = open_source(path, layer="counts")
    assert source.element == "layers/counts" and np.array_equal(whole(source), COUNTS)
    assert source.alternatives() == ["X", "layers/scaled", "raw/X"]
    raw = open_source(path, layer="raw")
    assert raw.element == "raw/X" and raw.shape == (30, 24) and raw.gene_names[-1] == "g11x"


def test_a_missing_layer_names_those_there_are(tmp_path):
    refused(layered(tmp_path), 'no layer "count"', 'mean "counts"', "X, counts, scaled, raw", layer="count")
    path = h5ad(tmp_path / "nox.h5ad", adata(None, layers={"counts": COUNTS}))
    refused(path, "no X", "it has counts")


@pytest.mark.parametrize(
    ("element", "change", "told"),
    [
        ("indptr", lambda v: np.append(v[:-1], 10**6), "1,000,000"),
        ("indptr", lambda v: np.append(v[:3], np.append(10**6, v[4:])), "not upwards"),
        ("indptr", lambda v: v[:-1], "not 31 integers"),
        ("indices", lambda v: v + 5, "outside 0 .. 11"),
        ("indices", lambda v: v - 1, "outside 0 .. 11"),
        ("indices", lambda v: v.astype(float), "not integers"),
        ("data", lambda v: v[:-1], "the matrix is damaged"),
        ("data", lambda v: v.astype(complex), "not numbers"),
    ],
)
def test_a_damaged_sparse_matrix_is_refused_before_scipy_sees_it(tmp_path, element, change, told):
    path = _h5ad_csr(tmp_path)
    with h5py.File(path, "r+") as file:
        values = change(file["X"][element][()])
        del file["X"][element]
        file["X"][element] = values
    refused(path, told)


def test_a_truncated_or_damaged_h5ad_is_refused(tmp_path):
    path = _h5ad_csr(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, "truncated HDF5 file")
    with h5py.File(WAYS["csr"](tmp_path), "r+") as file:
        file["X"].attrs["shape"] = [31, 12]
    refused(path, "31 x 12, but obs has 30 rows")
    with h5py.File(WAYS["csr"](tmp_path), "r+") as file:
        del file["obs/_index"]
    refused(path, "obs cannot be read as a table")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_zarr_that_lost_a_chunk_is_refused(tmp_path):
    path = WAYS["zarr2"](tmp_path)
    (path / "X" / "data" / "0").unlink()
    refused(path, "0 of its 1 chunks")
    zarr.open_group(str(tmp_path / "other.zarr"), mode="w").create_group("posterior")
    refused(tmp_path / "other.zarr", "without obs and var")


@pytest.mark.parametrize("prefix", ["", "GSM4037316_pt1_"])
@pytest.mark.parametrize("genes", ["features.tsv", "genes.tsv"])
@pytest.mark.parametrize("pack", [False, True])
def test_an_mtx_directory_is_read(tmp_path, prefix, genes, pack):
    folder = mtx(tmp_path / "m", prefix=prefix, genes=genes, pack=pack)
    source = open_source(folder)
    assert np.array_equal(whole(source), COUNTS) and source.format == "mtx"
    assert list(source.cell_names) == CELLS and list(source.gene_names) == GENES
    assert list(source.var["gene_ids"]) == [f"ENSG{i}" for i in range(12)]
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
    file = mtx(tmp_path / "m", names=False) / "matrix.mtx"
    source = open_source(file)
    assert np.array_equal(whole(source), COUNTS)
    assert source.gene_names[-1] == "gene_12" and source.cell_names[0] == "cell_1"
    assert open_source(file, transpose=True).shape == (12, 30)
    refused(file, "no layers", layer="counts")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.rsplit("\n", 2)[0] + "\n", "entries, "),
        (lambda t: t + "1 1 3\n", "entries, "),
        (lambda t: t.rsplit(" ", 1)[0], "not row, column and value"),
        (lambda t: t + "13 1 3\n", "outside 1 .. 12"),
        (lambda t: t.replace("12 30", "12 thirty"), "line of sizes"),
        (lambda t: t.replace("12 30", "12 -30"), "none can be negative"),
        (lambda t: t.replace("integer", "pattern"), 'header "%%MatrixMarket matrix coordinate pattern general"'),
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
    refused(file, "truncated or damaged gzip")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest", "zip archive: unzip it"),
        (b"gene,cell1\na,3\n", "a text table"),
        (gzip.compress(b"gene\tcell1\na\t3\n"), "a text table"),
        (b"\x00\x01\x02", "not known"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path, content, told):
    path = tmp_path / "x.h5ad"
    path.write_bytes(content)
    refused(path, told, "what is read: AnnData .h5ad")


def test_other_hdf5_files_directories_and_pipes_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.loom", "w") as file:
        file["matrix"] = COUNTS
        file.create_group("row_attrs")
        file.create_group("col_attrs")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["hg19/barcodes"] = file["mm10/barcodes"] = np.array([b"A"])
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "x.loom", "a loom file")
    refused(tmp_path / "x.h5", "10x HDF5 file with genomes hg19, mm10")
    refused(tmp_path / "empty", "it holds none")
    refused(tmp_path / "pipe", "a pipe")


def test_nothing_at_a_path_is_input_missing(tmp_path):
    for path in (tmp_path / "no.h5ad", tmp_path / "no" / "no.h5ad"):
        with pytest.raises(InputMissing, match="no such file"):
            open_source(path)


def test_every_reader_says_what_it_reads():
    members = registry.load("scribe_cli.io.readers")
    assert set(members) == {"h5ad", "zarr", "mtx"}
    assert all(m.reads for m in members.values())
