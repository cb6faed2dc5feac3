"""The input beside the results: every form of it, whole or without its matrices; from h5ad to h5ad by HDF5 alone."""

from __future__ import annotations

import dataclasses

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse
from tests import fits, forms

from scribe_cli.io import elements
from scribe_cli.io.fit import write_fit
from scribe_cli.io.outputs import Layer
from scribe_cli.io.readers import open_source

# what anndata and zarr say when older forms are written
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

INPUTS = (
    "csr-int32",
    "csc-float32",
    "dense-float64",
    "zarr-2",
    "zarr-3",
    "10x-2",
    "10x-3",
    "mtx-3",
    "mtx-bare",
    "loom",
    "csv-gz",
)
CELLS, FITTED = np.array([0, 3, 4, 30]), np.array([1, 5, 22, -1])


def layers(n_cells: int, n_genes: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {"ppc": rng.poisson(1.0, (n_cells, n_genes)), "expected": rng.random((n_cells, n_genes), np.float32)}


def as_layers(made: dict[str, np.ndarray]) -> dict[str, Layer]:
    """In two blocks each, the first sparse."""
    half = len(made["ppc"]) // 2
    sparse = lambda: (scipy.sparse.csr_array(x.astype(np.int32)) for x in (made["ppc"][:half], made["ppc"][half:]))  # noqa: E731
    dense = lambda: iter((made["expected"][:half], made["expected"][half:]))  # noqa: E731
    return {"ppc": Layer(sparse, True, np.int32), "expected": Layer(dense, False, np.float32)}


def fitted(folder, source, results_only: bool, **which) -> anndata.AnnData:
    """fit.h5ad or fit.zarr of a made-up fit on a source, opened by anndata."""
    form = "zarr" if source.format == "zarr" else "h5ad"
    fit = fits.outputs(source, record=fits.record(format=form, results_only=results_only), **which)
    made = layers(len(fit.selected.cells), len(fit.selected.genes))
    write_fit(folder / "out", dataclasses.replace(fit, layers=as_layers(made)))
    return (anndata.read_zarr if form == "zarr" else anndata.read_h5ad)(folder / "out" / f"fit.{form}")


def dense(x) -> np.ndarray:
    return x.toarray() if scipy.sparse.issparse(x) else np.asarray(x)


@pytest.mark.parametrize("results_only", [False, True], ids=["full", "results"])
@pytest.mark.parametrize("name", INPUTS)
def test_every_form_of_input_has_its_layers_and_its_counts_or_none(tmp_path, name, results_only):
    form = forms.FORMS[name]
    source = open_source(form.write(tmp_path), form.layer, form.transpose)
    out = fitted(tmp_path, source, results_only)
    assert out.shape == forms.COUNTS.shape and list(out.obs_names) == list(source.cell_names)
    made = layers(*out.shape)
    assert set(elements.named(out.layers)) == {"scribe_ppc", "scribe_expected"}
    np.testing.assert_array_equal(dense(out.layers["scribe_ppc"]), made["ppc"])
    np.testing.assert_array_equal(dense(out.layers["scribe_expected"]), made["expected"])
    if results_only:
        assert out.X is None
    else:
        np.testing.assert_array_equal(dense(out.X), forms.COUNTS)


def test_layers_of_a_part_stand_in_the_whole(tmp_path):
    out = fitted(tmp_path, open_source(forms.h5ad(tmp_path)), False, cells=CELLS, genes=FITTED)
    made = layers(len(CELLS), len(FITTED))
    expected = np.full(forms.COUNTS.shape, np.nan, np.float32)
    expected[np.ix_(CELLS, FITTED[:3])] = made["expected"][:, :3]
    np.testing.assert_array_equal(out.layers["scribe_expected"], expected)
    ppc = np.zeros(forms.COUNTS.shape, int)
    ppc[np.ix_(CELLS, FITTED[:3])] = made["ppc"][:, :3]
    np.testing.assert_array_equal(dense(out.layers["scribe_ppc"]), ppc)


def test_arrays_go_from_h5ad_to_h5ad_as_their_packed_bytes(tmp_path, monkeypatch):
    """Nothing is unpacked: the bytes of each chunk, their size and their filters are those of the input."""
    x = scipy.sparse.csr_matrix(forms.COUNTS)
    path = forms.h5ad(tmp_path, x, layers={"twice": 2 * x, "flat": forms.COUNTS.astype(np.float64)})
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        file.create_dataset("X/data", data=values, chunks=(16,), compression="gzip", compression_opts=9, shuffle=True)
        file["X/data"].attrs["encoding-type"], file["X/data"].attrs["encoding-version"] = "array", "0.2.0"
    monkeypatch.setattr(elements, "_stream", None)
    fitted(tmp_path, open_source(path), False)
    with h5py.File(path) as before, h5py.File(tmp_path / "out" / "fit.h5ad") as after:
        for key in ("X/data", "X/indices", "X/indptr", "layers/twice/data", "layers/flat"):
            assert packed(after[key]) == packed(before[key]), key
            assert dict(after[key].attrs) == dict(before[key].attrs)


def packed(dataset: h5py.Dataset) -> tuple:
    """Chunks, filters, and what lies in the file of every chunk."""
    chunks = (
        [dataset.id.get_chunk_info(i).chunk_offset for i in range(dataset.id.get_num_chunks())]
        if dataset.chunks
        else []
    )
    made = dataset.id.get_create_plist()
    filters = [made.get_filter(i)[:3] for i in range(made.get_nfilters())]
    held = [dataset.id.read_direct_chunk(offset)[1] for offset in chunks] or [dataset[()].tobytes()]
    return dataset.chunks, filters, held


@pytest.mark.parametrize("to", ["h5ad", "zarr"])
def test_arrays_between_formats_are_copied_in_steps(tmp_path, monkeypatch, to):
    monkeypatch.setattr(elements, "STEP_BYTES", 100)
    source = open_source(forms.h5ad(tmp_path, forms.COUNTS) if to == "zarr" else forms.zarr(tmp_path, 2, np.asarray))
    write_fit(tmp_path / "out", fits.outputs(source, record=fits.record(format=to)))
    read = anndata.read_zarr if to == "zarr" else anndata.read_h5ad
    np.testing.assert_array_equal(read(tmp_path / "out" / f"fit.{to}").X, forms.COUNTS)
