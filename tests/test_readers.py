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


# ways to write the same counts with the same annotation; the forms of the counts themselves: tests/forms.py


def _h5ad_csr(p):
    return h5ad(p / "x.h5ad", adata(csr_matrix(COUNTS)))


def _h5ad_csc(p):
    return h5ad(p / "x.h5ad", adata(csc_matrix(COUNTS)))


def _h5ad_dense(p):
    return h5ad(p / "no_suffix", adata())


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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04rest", "zip archive: unzip it"),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "an Excel workbook: save its sheet as .csv"),
        (b"PAR1\x15\x04", "a Parquet file: write it as .csv.gz"),
        (gzip.compress(b"RDX3\nX\n\0\0", mtime=0), "an R data file: write the counts from R"),
        (gzip.compress(b"X\n\0\0\0\3", mtime=0), "an R data file"),
        (gzip.compress(b"\x89HDF\r\n\x1a\n", mtime=0), "a gzipped HDF5 file: gunzip it"),
        (gzip.compress(bytes(257) + b"ustar", mtime=0), "a tar archive: unpack it"),
        (gzip.compress(b"@SRR1,2\nACGT\n+\nFFFF\n", mtime=0), "reads or alignments (FASTQ, SAM): count it first"),
        (b"\x1f\x8bcut", "a damaged gzip file"),
        (b"\x80\x04\x95pickle", "a Python pickle, which is never opened"),
        (b"<html>404, not found</html>", "was the download refused?"),
        (b'{"a": 1, "b": 2}', "a JSON file"),
        (b"a list\nof names\n", "text without commas or tabs"),
        (b"\x00\x01\x02", "not known"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path, content, told):
    path = tmp_path / "x.h5ad"
    path.write_bytes(content)
    refused(path, told, "what is read: AnnData .h5ad")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("assays/RNA", "cell.names", "meta.data"), "an h5Seurat file"),
        (("mod/rna", "obsmap"), 'mdata["rna"].write_h5ad'),
        (("barcode_idx", "umi"), "molecule_info.h5"),
        (("matrix",), "without names"),
        (("something",), "it holds something"),
    ],
)
def test_other_hdf5_files_are_refused_by_what_they_are(tmp_path, keys, told):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for key in keys:
            file[key] = COUNTS
    refused(tmp_path / "x.h5", told)


def test_other_directories_and_pipes_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "several").mkdir()
    for name in ("a.h5ad", "b.h5ad"):
        h5ad(tmp_path / "several" / name)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "empty", "it holds none")
    refused(tmp_path / "several", "it holds a.h5ad, b.h5ad", "give the path of a file")
    refused(tmp_path / "pipe", "a pipe")


def test_links_to_an_input_are_followed(tmp_path):
    h5ad(tmp_path / "real.h5ad")
    (tmp_path / "link.h5ad").symlink_to(tmp_path / "real.h5ad")
    assert np.array_equal(whole(open_source(tmp_path / "link.h5ad")), COUNTS)


def test_nothing_at_a_path_is_input_missing(tmp_path):
    for path in (tmp_path / "no.h5ad", tmp_path / "no" / "no.h5ad"):
        with pytest.raises(InputMissing, match="no such file"):
            open_source(path)


def test_every_reader_says_what_it_reads():
    members = registry.load("scribe_cli.io.readers")
    assert set(members) == {"h5ad", "zarr", "mtx", "tenx", "loom", "text"}
    assert all(m.reads for m in members.values())
