"""One matrix in every input form: each a function that writes it into a folder and returns its path."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix, csr_matrix

N_CELLS, N_GENES = 31, 23
TEXT = h5py.string_dtype()


def counts() -> np.ndarray:
    """(31, 23) int32: some hundred entries; the last but one cell and the last but two gene are empty."""
    rng = np.random.default_rng(20)
    made = rng.negative_binomial(0.6, 0.6 / (0.6 + rng.gamma(1.0, 2.0, N_GENES)), (N_CELLS, N_GENES)).astype(np.int32)
    made[4, 5] = 201
    made[-2], made[:, -3] = 0, 0
    return made


COUNTS = counts()
CELLS = [f"Zelle-{i}" for i in range(N_CELLS - 2)] + ["细胞_1", "célula, ñ"]
GENES = [f"GENE{i}" for i in range(N_GENES - 3)] + ["γ-actin", "HLA-A, B", "IL2Rα"]


@dataclass(frozen=True)
class Form:
    """write(folder) -> path; layer, transpose: how it is to be read; named: whether it holds the names."""

    write: Callable[[Path], Path]
    layer: str | None = None
    transpose: bool = False
    named: bool = True

    @property
    def flags(self) -> list[str]:
        return [*(["--layer", self.layer] if self.layer else []), *(["--transpose"] if self.transpose else [])]


@dataclass(frozen=True)
class Matrix:
    """What is written; by itself the one above."""

    counts: np.ndarray = field(default_factory=counts)
    cells: list[str] = field(default_factory=lambda: CELLS)
    genes: list[str] = field(default_factory=lambda: GENES)


ONE = Matrix()


def ids(genes: list[str]) -> list[str]:
    return [f"ENSG{i:011d}" for i in range(len(genes))]


# AnnData


def frames(m: Matrix) -> dict[str, pd.DataFrame]:
    return {k: pd.DataFrame(index=pd.Index(names, dtype=object)) for k, names in (("obs", m.cells), ("var", m.genes))}


def h5ad(folder: Path, x=None, m: Matrix = ONE, **more) -> Path:
    path = folder / "x.h5ad"
    x = csr_matrix(m.counts) if x is None else x
    anndata.AnnData(x, **frames(m), **more).write_h5ad(path, compression="gzip")
    return path


def of_type(make, dtype) -> Callable[[Path], Path]:
    return lambda folder: h5ad(folder, make(COUNTS.astype(dtype)))


def replaced(folder: Path, changes: dict[str, Callable], make=csr_matrix) -> Path:
    """An h5ad with datasets written anew: {key: function of the old values}."""
    path = h5ad(folder, make(COUNTS))
    with h5py.File(path, "r+") as file:
        for key, change in changes.items():
            attributes = dict(file[key].attrs)
            values = change(file[key][()])
            del file[key]
            file[key] = values
            file[key].attrs.update(attributes)
    return path


def unsorted(folder: Path) -> Path:
    ends = csr_matrix(COUNTS).indptr

    def backwards(values):
        return np.concatenate([values[a:b][::-1] for a, b in zip(ends, ends[1:], strict=False)])

    return replaced(folder, {"X/data": backwards, "X/indices": backwards})


def explicit_zeros(folder: Path) -> Path:
    x = csr_matrix(COUNTS + 1)
    x.data -= 1
    assert (x.data == 0).any()
    return h5ad(folder, x)


def near_integers(folder: Path) -> Path:
    x = csr_matrix(COUNTS.astype(np.float64))
    x.data += np.where(np.arange(x.nnz) % 2, 1e-4, -1e-4)
    return h5ad(folder, x)


def layered(folder: Path) -> Path:
    """The counts in a layer and in .raw, which has the same genes; X is on a log scale."""
    x = csr_matrix(np.log1p(COUNTS))
    made = anndata.AnnData(x, **frames(ONE), layers={"counts": csr_matrix(COUNTS)})
    made.raw = anndata.AnnData(csr_matrix(COUNTS), **frames(ONE))
    path = folder / "layered.h5ad"
    made.write_h5ad(path)
    return path


def turned(folder: Path, make=csr_matrix) -> Path:
    path = folder / "turned.h5ad"
    sides = frames(ONE)
    anndata.AnnData(make(COUNTS.T), obs=sides["var"], var=sides["obs"]).write_h5ad(path)
    return path


def zarr(folder: Path, version: int, make=csr_matrix) -> Path:
    with anndata.settings.override(zarr_write_format=version):
        anndata.AnnData(make(COUNTS), **frames(ONE)).write_zarr(folder / "x.zarr")
    return folder / "x.zarr"


def h5ad_06(folder: Path, raw: bool = False) -> Path:
    """As anndata 0.5 and 0.6 wrote: obs and var record arrays, the matrix with attributes of h5sparse, no encodings.

    raw: X is on a log scale, the counts are in raw.X.
    """
    path = folder / "old.h5ad"
    x = csr_matrix(COUNTS.astype(np.float32))
    matrices = {"X": x.log1p(), "raw.X": x} if raw else {"X": x}
    with h5py.File(path, "w") as file:
        for key, matrix in matrices.items():
            group = file.create_group(key)
            group.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": matrix.shape})
            for name in ("data", "indices", "indptr"):
                group[name] = getattr(matrix, name)
        for key, names in (("obs", CELLS), ("var", GENES), ("raw.var", GENES))[: 2 + raw]:
            table = np.zeros(len(names), [("index", TEXT), ("n", "f8")])
            table["index"] = [name.encode() for name in names]
            file[key] = table
    return path


def h5ad_07(folder: Path) -> Path:
    """As anndata 0.7 wrote: groups with encodings of version 0.1.0, strings without, categories beside the codes."""
    path = folder / "old.h5ad"
    x = csr_matrix(COUNTS.astype(np.float32))
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": x.shape})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
        for key, names in (("obs", CELLS), ("var", GENES)):
            table = file.create_group(key)
            table.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "index"})
            table.attrs["column-order"] = np.array(["kind"], TEXT)
            table["index"] = np.array(names, TEXT)
            table["kind"] = np.arange(len(names), dtype=np.int8) % 2
            table["__categories/kind"] = np.array(["a", "b"], TEXT)
            table["kind"].attrs["categories"] = table["__categories/kind"].ref
    return path


def h5ad_nullable(folder: Path) -> Path:
    """Names as nullable strings, as anndata on python 3.12 writes them."""
    path = h5ad(folder)
    with h5py.File(path, "r+") as file:
        for frame, names in (("obs", CELLS), ("var", GENES)):
            del file[frame]["_index"]
            group = file[frame].create_group("_index")
            spec = {"encoding-type": "nullable-string-array", "encoding-version": "0.1.0", "na-value": "NaN"}
            group.attrs.update(spec)
            arrays = {"values": (np.array(names, TEXT), "string-array"), "mask": (np.zeros(len(names), bool), "array")}
            for name, (array, kind) in arrays.items():
                group[name] = array
                group[name].attrs.update({"encoding-type": kind, "encoding-version": "0.2.0"})
    return path


# 10x HDF5 and loom


def tenx(folder: Path, version: int, m: Matrix = ONE) -> Path:
    """Genes x cells, compressed by cells; names of fixed width. Version 3 with two antibodies, which are no genes."""
    path = folder / f"v{version}.h5"
    others = np.ones((len(m.cells), 2 * (version == 3)), int)
    x = csr_matrix(np.hstack([m.counts[:, :9], others, m.counts[:, 9:]]))
    with h5py.File(path, "w") as file:
        group = file.create_group("GRCh38" if version == 2 else "matrix")
        for name in ("data", "indices", "indptr"):
            values = getattr(x, name).astype("i4" if name == "data" else "i8")
            group.create_dataset(name, data=values, chunks=(64,), maxshape=(None,), compression="gzip")
        group["shape"] = np.array(x.shape[::-1], np.int32)
        group["barcodes"] = fixed(m.cells)
        if version == 2:
            group["genes"], group["gene_names"] = fixed(ids(m.genes)), fixed(m.genes)
            return path
        kinds = ["Gene Expression"] * len(m.genes)
        columns = {"name": (m.genes, "CD3"), "id": (ids(m.genes), "CD3_TotalSeq")}
        columns["feature_type"] = kinds, "Antibody Capture"
        for name, (of_genes, other) in columns.items():
            group[f"features/{name}"] = fixed([*of_genes[:9], other, other, *of_genes[9:]])
        group["features/genome"] = fixed(["GRCh38"] * 9 + ["", ""] + ["GRCh38"] * (len(m.genes) - 9))
        group["features/_all_tag_keys"] = fixed(["genome"])
    return path


def fixed(names: list[str]) -> np.ndarray:
    return np.array([name.encode() for name in names])


def loom(folder: Path, rows: tuple[str, list[str]], columns: tuple[str, list[str]], matrix, layers=None) -> Path:
    path = folder / "x.loom"
    with h5py.File(path, "w") as file:
        for name, values in {"matrix": matrix, **(layers or {})}.items():
            file.create_dataset(name, data=values, chunks=(8, 8), compression="gzip")
        for key, (name, names) in (("row_attrs", rows), ("col_attrs", columns)):
            file[f"{key}/{name}"] = np.array(names, TEXT)
            file[f"{key}/Number"] = np.arange(len(names))
        for key in ("row_graphs", "col_graphs"):
            file.create_group(key)
        file["attrs/LOOM_SPEC_VERSION"] = "3.0.0"
    return path


def loom_layer(folder: Path) -> Path:
    sides = ("var_names", GENES), ("obs_names", CELLS)
    return loom(folder, *sides, np.log1p(COUNTS.T), {"layers/spliced": COUNTS.T.astype(np.float32)})


# Matrix Market


def mtx(folder: Path, genes: str | None = "features.tsv", m: Matrix = ONE, **how) -> Path:
    """A directory, genes x cells. genes: the features file; how: name, prefix, pack, columns, header, across."""
    folder.mkdir(exist_ok=True)
    x = m.counts if how.get("across") else m.counts.T
    row, column = np.nonzero(x)
    lines = [f"{r + 1} {c + 1} {x[r, c]:g}" for r, c in zip(row, column, strict=True)]
    sizes = f"{x.shape[0]} {x.shape[1]} {len(lines)}"
    header = ["%%MatrixMarket matrix coordinate integer general", '%metadata_json: {"v": 2}']
    files = {how.get("name", "matrix.mtx"): [*header, sizes, *lines]}
    if genes is not None:
        rows = zip(ids(m.genes), m.genes, ["Gene Expression"] * len(m.genes), strict=True)
        files[genes] = ["\t".join(row[: how.get("columns", 3)]) for row in rows]
        files["barcodes.tsv"] = ["barcode"] * bool(how.get("header")) + m.cells
    for file, rows in files.items():
        text = ("\n".join(rows) + "\n").encode()
        target = folder / (how.get("prefix", "") + file)
        if how.get("pack"):
            target.with_name(target.name + ".gz").write_bytes(gzip.compress(text))
        else:
            target.write_bytes(text)
    return folder


def bare(folder: Path, across: bool = False) -> Path:
    return mtx(folder, None, across=across) / "matrix.mtx"


# text


def text(folder: Path, name: str = "x.csv", m: Matrix = ONE, across: bool = False, **how) -> Path:
    """A table by pandas; how: its options, and mark (a byte order mark), corner=False (R's own: none)."""
    mark, corner = how.pop("mark", b""), how.pop("corner", True)
    frame = pd.DataFrame(m.counts, index=m.cells, columns=m.genes)
    said = (frame.T if across else frame).to_csv(**how)
    content = mark + (said if corner else said[1:]).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return path


TYPES = ("uint8", "int16", "uint16", "int32", "int64", "uint64", "float32", "float64")
GEO = {"prefix": "GSM4037316_pt1_", "pack": True}
FORMS = {
    **{f"csr-{dtype}": Form(of_type(csr_matrix, dtype)) for dtype in TYPES},
    **{f"csc-{dtype}": Form(of_type(csc_matrix, dtype)) for dtype in ("int32", "float32")},
    **{f"dense-{dtype}": Form(of_type(np.asarray, dtype)) for dtype in ("float16", *TYPES)},
    "csr-float16": Form(partial(replaced, changes={"X/data": np.float16})),
    "csr-index64": Form(partial(replaced, changes={"X/indptr": np.int64, "X/indices": np.int64})),
    "unsorted": Form(unsorted),
    "explicit-zeros": Form(explicit_zeros),
    "near-integers": Form(near_integers),
    "layer": Form(layered, layer="counts"),
    "raw": Form(layered, layer="raw"),
    "h5ad-0.6": Form(h5ad_06),
    "raw-0.6": Form(partial(h5ad_06, raw=True), layer="raw"),
    "h5ad-0.7": Form(h5ad_07),
    "h5ad-nullable": Form(h5ad_nullable),
    "h5ad-transposed": Form(turned, transpose=True),
    "h5ad-transposed-csc": Form(partial(turned, make=csc_matrix), transpose=True),
    "h5ad-transposed-dense": Form(partial(turned, make=np.asarray), transpose=True),
    "zarr-2": Form(partial(zarr, version=2)),
    "zarr-3": Form(partial(zarr, version=3)),
    "zarr-2-csc": Form(partial(zarr, version=2, make=csc_matrix)),
    "zarr-3-dense": Form(partial(zarr, version=3, make=np.asarray)),
    "10x-2": Form(partial(tenx, version=2)),
    "10x-3": Form(partial(tenx, version=3)),
    "mtx-2": Form(partial(mtx, genes="genes.tsv", columns=2)),
    "mtx-3": Form(partial(mtx, pack=True)),
    "mtx-geo": Form(partial(mtx, **GEO)),
    "mtx-geo-dotted": Form(partial(mtx, **{**GEO, "prefix": "GSM4037316."})),
    "mtx-geo-file": Form(lambda folder: mtx(folder, **GEO) / "GSM4037316_pt1_matrix.mtx.gz"),
    "mtx-other-name": Form(partial(mtx, name="counts.mtx", genes="genes.tsv", prefix="GSE1_")),
    "mtx-header": Form(partial(mtx, header=True)),
    "mtx-across": Form(partial(mtx, across=True)),
    "mtx-bare": Form(bare, named=False),
    "mtx-bare-transposed": Form(partial(bare, across=True), transpose=True, named=False),
    "loom": Form(lambda folder: loom(folder, ("Gene", GENES), ("CellID", CELLS), COUNTS.T)),
    "loom-layer": Form(loom_layer, layer="spliced"),
    "loom-transposed": Form(lambda f: loom(f, ("CellID", CELLS), ("Gene", GENES), COUNTS), transpose=True),
    "csv": Form(text),
    "csv-gz": Form(partial(text, name="x.csv.gz")),
    "csv-floats": Form(partial(text, m=Matrix(COUNTS.astype(float)))),
    "csv-semicolon": Form(partial(text, sep=";")),
    "csv-quoted": Form(partial(text, quoting=1)),
    "csv-mark-crlf": Form(partial(text, mark=b"\xef\xbb\xbf", lineterminator="\r\n")),
    "csv-transposed": Form(partial(text, across=True), transpose=True),
    "tsv": Form(partial(text, name="x.tsv", sep="\t")),
    "tsv-gz-transposed": Form(partial(text, name="x.tsv.gz", sep="\t", across=True), transpose=True),
    "txt-without-corner": Form(partial(text, name="x.txt", sep="\t", corner=False)),
}
