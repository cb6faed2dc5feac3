"""Several inputs as datasets: genes by name, barcodes by input, what is told, and the fit of them."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scribe_cli
from scribe_cli.cli.main import main
from scribe_cli.data.counts import CountData
from scribe_cli.data.doubts import doubts
from scribe_cli.data.selection import Selection
from scribe_cli.errors import BadData, InputMissing, UsageError
from scribe_cli.run import reading
from scribe_cli.run.options import output_folder, stems

GENES = [f"g{i}" for i in range(9)]


def made(path: Path, genes, cells, seed: int, dtype=np.int32, **obs) -> Path:
    counts = np.random.default_rng(seed).poisson(2.0, (len(cells), len(genes)))
    path.parent.mkdir(parents=True, exist_ok=True)
    data = anndata.AnnData(
        sp.csr_matrix(counts.astype(dtype)),
        obs=pd.DataFrame(obs, index=pd.Index(cells, dtype=object)),
        var=pd.DataFrame(index=pd.Index(genes, dtype=object)),
    )
    data.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, Path]:
    """The second has two genes less, in reverse order, shares barcodes c5..c9, and is float32."""
    folder = tmp_path_factory.mktemp("several")
    a = made(folder / "a.h5ad", GENES, [f"c{i}" for i in range(10)], 1, batch=["x", "y"] * 5, only_a=range(10))
    b = made(folder / "b.h5ad", GENES[:1:-1], [f"c{i}" for i in range(5, 15)], 2, np.float32, batch=["x", "z"] * 5)
    return a, b


def counts_of(paths, **selection) -> CountData:
    return CountData.build(reading.open_data(paths, None, False), Selection(**selection))


def frame_of(path: Path) -> pd.DataFrame:
    data = anndata.read_h5ad(path)
    return pd.DataFrame(data.X.toarray(), data.obs_names, data.var_names)


def test_counts_are_those_of_each_input_on_the_shared_genes(two):
    counts = counts_of(two)
    expected = np.vstack([frame_of(path)[GENES[2:]].to_numpy() for path in two])
    np.testing.assert_array_equal(counts.csr.toarray(), expected)
    assert counts.gene_names.tolist() == GENES[2:]
    np.testing.assert_array_equal(counts.library_all, expected.sum(1))


def test_blocks_that_cross_the_inputs_hold_what_one_read_does(two):
    source = reading.open_data(two, None, False)
    whole = source.read(0, 20).toarray()
    pieces = [source.read(a, min(a + 3, 20)).toarray() for a in range(0, 20, 3)]
    np.testing.assert_array_equal(np.vstack(pieces), whole)
    assert {source.read(a, a + 1).dtype for a in (0, 19)} == {np.dtype(np.float64)}


def test_dataset_is_the_file_stem_and_equal_barcodes_get_it(two):
    counts = counts_of(two)
    assert counts.source.obs["dataset"].tolist() == ["a"] * 10 + ["b"] * 10
    names = counts.cell_names.tolist()
    assert names[:5] == [f"c{i}" for i in range(5)] and names[15:] == [f"c{i}" for i in range(10, 15)]
    assert names[5:10] == [f"c{i}-a" for i in range(5, 10)] and names[10:15] == [f"c{i}-b" for i in range(5, 10)]


def test_a_smaller_intersection_is_a_warning_with_both_numbers(two):
    text = counts_of(two).warnings["genes_not_shared"]
    assert "7 genes" in text and "a has 9" in text
    one, _ = two
    assert "genes_not_shared" not in counts_of([one]).warnings


def test_columns_that_not_all_have_are_left_out_and_told(two):
    counts = counts_of(two)
    assert set(counts.source.obs) == {"batch", "dataset"}
    assert any("only_a" in notice for notice in counts.notices)


def test_the_order_of_the_inputs_and_their_names_are_part_of_the_content(two, tmp_path):
    a, b = two
    renamed = tmp_path / "c.h5ad"
    renamed.write_bytes(b.read_bytes())
    digests = {counts_of(paths).digest for paths in ([a, b], [b, a], [a, renamed])}
    assert len(digests) == 3


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_gene_named_twice_is_matched_by_its_place_or_its_id(tmp_path):
    a = made(tmp_path / "a.h5ad", ["x", "x", "y"], ["c1", "c2"], 3)
    b = made(tmp_path / "b.h5ad", ["x", "y", "x"], ["c3", "c4"], 4)
    np.testing.assert_array_equal(
        counts_of([a, b]).csr.toarray()[2:], anndata.read_h5ad(b).X.toarray()[:, [0, 2, 1]]
    )
    for path, ids in ((a, ["1", "2", "3"]), (b, ["2", "3", "1"])):
        data = anndata.read_h5ad(path)
        data.var["gene_ids"] = ids
        data.write_h5ad(path)
    np.testing.assert_array_equal(
        counts_of([a, b]).csr.toarray()[2:], anndata.read_h5ad(b).X.toarray()[:, [2, 0, 1]]
    )


def test_an_offender_is_named_with_its_own_file_row_and_column(two, tmp_path):
    bad = tmp_path / "bad.h5ad"
    data = anndata.read_h5ad(two[1])
    data.X[3, 6] = 0.5  # gene g2
    data.write_h5ad(bad)
    with pytest.raises(BadData, match=r"bad\.h5ad \(X\).*gene \"g2\" \(row 3, column 6\)"):
        counts_of([two[0], bad])


def test_inputs_without_a_common_gene_are_refused(two, tmp_path):
    other = made(tmp_path / "other.h5ad", ["ENSG1", "ENSG2"], ["c1"], 5)
    with pytest.raises(BadData, match="share no gene name.*ENSG1"):
        counts_of([two[0], other])


def test_a_missing_one_of_several_is_named(two, tmp_path):
    with pytest.raises(InputMissing, match="absent"):
        reading.open_data([two[0], tmp_path / "absent.h5ad"], None, False)


def test_names_of_inputs():
    assert stems([Path("x/s1.h5ad"), Path("s2.csv.gz")]) == ["s1", "s2"]
    runs = [Path(f"runs/{s}/outs/filtered_feature_bc_matrix.h5") for s in ("s1", "s2")]
    assert stems(runs) == ["s1", "s2"]
    assert output_folder(None, runs, "nbvcp.yaml") == Path("filtered_feature_bc_matrix+1.nbvcp.scribe")
    with pytest.raises(UsageError, match="twice"):
        stems([Path("a.h5ad"), Path("b/../a.h5ad")])


def test_a_fit_of_several_splits_its_checks_by_input_and_is_scored_by_them(two, tmp_path):
    steps = {"svi__n_steps": 20, "svi__early_stopping": False, "svi__n_samples": 10}
    fit = scribe_cli.fit(list(two), "nbdm", tmp_path / "out", **steps)
    assert fit.metrics["warning_genes_not_shared"] is True
    data = anndata.read_h5ad(tmp_path / "out" / "fit.h5ad")
    assert data.obs["dataset"].astype(str).tolist() == ["a"] * 10 + ["b"] * 10
    np.testing.assert_array_equal(data.X.toarray(), counts_of(two).csr.toarray())
    checks = pd.read_csv(tmp_path / "out" / "tables" / "ppc_gene.tsv.gz", sep="\t", keep_default_na=False)
    assert set(checks["dataset"]) == {"", "a", "b"}
    assert np.isfinite(fit.log_likelihood(list(two)))
    own = [*("ppc", str(tmp_path / "out")), str(two[1]), "-o", str(tmp_path / "checks"), "-q"]
    assert main(own) == 0  # one of the inputs has no column that names its dataset
    assert "dataset" not in pd.read_csv(tmp_path / "checks" / "ppc_gene.tsv.gz", sep="\t")
    assert main([*own, "--dataset-key", "dataset"]) == 65
    again = scribe_cli.fit(list(two), "nbdm", tmp_path / "out", **steps)
    assert again.metrics == fit.metrics
    with pytest.raises(scribe_cli.errors.ScribeError, match="input"):
        scribe_cli.fit(list(two)[::-1], "nbdm", tmp_path / "out", **steps)


def test_an_input_is_a_part_of_the_fit_though_no_parameter_is_its_own(two, tmp_path):
    steps = {"svi__n_steps": 20, "svi__early_stopping": False, "svi__n_samples": 10}
    fit = scribe_cli.fit(list(two), "nbdm", tmp_path / "out", **steps)
    part = fit.get_dataset("b")
    assert part.cells.tolist() == counts_of(two).cell_names[10:].tolist() and len(fit.get_dataset(0).cells) == 10
    assert {n: v.shape for n, v in part.get_map().items()} == {n: v.shape for n, v in fit.get_map().items()}
    np.testing.assert_array_equal(part.log_likelihood(list(two), by="cell"), fit.log_likelihood(list(two), by="cell")[10:])
    assert part.log_likelihood(list(two)) + fit.get_dataset("a").log_likelihood(list(two)) == pytest.approx(fit.log_likelihood(list(two)))
    assert part.to_anndata().obs["dataset"].astype(str).tolist() == ["b"] * 10
    assert part.get_ppc_samples(2).shape == (2, 10, 7)
    with pytest.raises(UsageError, match="there are a, b"):
        fit.get_dataset("c")


def test_a_dataset_key_of_ones_own_goes_before_the_inputs(two, tmp_path):
    steps = {"svi__n_steps": 20, "svi__early_stopping": False, "svi__n_samples": 10}
    scribe_cli.fit(list(two), "nbdm", tmp_path / "out", dataset_key="batch", **steps)
    assert "\ndataset_key: batch" in (tmp_path / "out" / "recipe.resolved.yaml").read_text()


def test_doubts_about_datasets_of_one_cell_and_library_sizes_below_the_totals(tmp_path):
    library = np.full(4, 1000.0)
    path = made(tmp_path / "a.h5ad", GENES, list("wxyz"), 6, donor=["p", "p", "p", "q"], whole=library, part=[1000.0] * 3 + [1.0])
    good = counts_of([path], library_size="whole")
    assert doubts(good, None, "whole") == {}
    found = doubts(good, "donor", "whole")
    assert list(found) == ["dataset_of_one_cell"] and "(q)" in found["dataset_of_one_cell"]
    found = doubts(counts_of([path], library_size="part"), None, "part")
    assert list(found) == ["library_size_below_total"] and '1 of 4 cells, the first "z"' in found["library_size_below_total"]
