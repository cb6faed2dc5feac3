"""CountData: what is a count, what is selected, what a user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.data import names
from scribe_cli.data import source as source_module
from scribe_cli.data.counts import CountData
from scribe_cli.data.facts import facts_of
from scribe_cli.data.selection import Selection
from scribe_cli.data.source import InMemory, Source, block_rows
from scribe_cli.errors import BadData, InputMissing

COUNTS = np.random.default_rng(3).poisson([0.1, 0.4, 1, 3, 9, 0, 0.6], (40, 7))


def source(x=COUNTS, genes=None, obs=None, layers=None) -> Source:
    """A Source over arrays, one for X and one for each of `layers`."""
    x = np.asarray(x)
    cells = [f"c{i}" for i in range(x.shape[0])]
    frame = pd.DataFrame(obs or {}, index=pd.Index(cells, dtype=object))
    var = pd.DataFrame(index=pd.Index(genes or [f"g{i}" for i in range(x.shape[1])], dtype=object))
    elements = {"X": x, **{f"layers/{k}": v for k, v in (layers or {}).items()}}

    def at(element: str) -> Source:
        rows = InMemory(x.shape, x.size, lambda: csr_array(elements[element]))
        return Source(Path("in.h5ad"), "h5ad", element, rows, frame, var, tuple(elements), at)

    return at("X")


def refusal(*args, **selection) -> str:
    with pytest.raises(BadData) as caught:
        CountData.build(source(*args), Selection(**selection))
    text = str(caught.value)
    assert "\n" not in text and "in.h5ad" in text
    return text


def with_value(value, at=(5, 2)):
    x = COUNTS.astype(float)
    x[at] = value
    return x


def test_everything_is_kept_when_nothing_is_selected():
    data = CountData.build(source(COUNTS.astype(np.float32)))
    assert np.array_equal(data.csr.toarray(), COUNTS) and data.csr.dtype == np.int32
    assert (data.n_cells, data.n_genes, data.nnz) == (40, 7, np.count_nonzero(COUNTS))
    assert np.array_equal(data.library_all, COUNTS.sum(1)) and np.array_equal(data.total, COUNTS.sum(1))
    assert data.fitted_cells.all() and data.fitted_genes.all() and not data.pooled
    assert list(data.gene_index) == list(range(7)) and list(data.cell_index) == list(range(40))
    assert data.notices == ("fitted genes without a count, kept: 1",) and data.warnings == {}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (-1.0, "negative"),
        (-0.5, "negative"),
        (0.7, "fractional"),
        (1.002, "fractional"),
        (np.nan, "missing"),
        (np.inf, "infinite"),
        (-np.inf, "infinite"),
        (2.0**31, "over 2^31"),
    ],
)
def test_what_is_no_count_is_refused_with_the_first_offender(value, kind):
    text = refusal(with_value(value))
    assert f"1 {kind}; the first, {kind}, is {value:.10g} of cell \"c5\", gene \"g2\" (row 5, column 2)" in text
    assert "give the raw counts" in text


def test_offenders_are_counted_over_all_chunks(monkeypatch):
    monkeypatch.setattr(source_module, "SMALLEST_BLOCK", 8)
    monkeypatch.setattr(source_module, "BLOCK_VALUES", 1)
    x = with_value(0.5)
    x[30, 1], x[39, 3] = -2, np.nan
    text = refusal(x)
    assert "1 missing, 1 negative, 1 fractional; the first, fractional, is 0.5 of cell \"c5\"" in text


def test_values_close_to_an_integer_are_rounded_with_a_notice():
    x = COUNTS + np.random.default_rng(0).uniform(-9e-4, 9e-4, COUNTS.shape) * (COUNTS > 0)
    data = CountData.build(source(x))
    assert np.array_equal(data.csr.toarray(), COUNTS)
    assert f"values within 1e-3 of an integer, rounded to it: {np.count_nonzero(COUNTS)}" in data.notices
    assert data.digest == CountData.build(source()).digest


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint64, np.float64])
def test_any_dtype_that_holds_counts_is_taken(dtype):
    x = np.minimum(COUNTS, 1).astype(dtype)
    assert np.array_equal(CountData.build(source(x)).csr.toarray(), np.minimum(COUNTS, 1))


def test_the_layer_that_holds_counts_is_named():
    layers = {"scaled": np.log1p(COUNTS), "empty": 0 * COUNTS, "counts": COUNTS}
    with pytest.raises(BadData, match="layers/counts does hold counts: --layer counts"):
        CountData.build(source(np.log1p(COUNTS), layers=layers))
    with pytest.raises(BadData, match="nor does layers/scaled; give the raw counts"):
        CountData.build(source(np.log1p(COUNTS), layers={"scaled": np.log1p(COUNTS)}))


def test_no_cells_no_genes_and_no_counts_are_refused():
    assert "zero cells (0 cells x 7 genes)" in refusal(COUNTS[:0])
    assert "zero genes" in refusal(COUNTS[:, :0])
    assert "all 40 x 7 counts are zero" in refusal(0 * COUNTS)
    assert "every count of the selected" in refusal(COUNTS, genes=["g5"])


def test_repeated_entries_are_refused():
    rows = csr_array((np.ones(3), [1, 1, 2], [0, 3]), shape=(1, 3))
    var = pd.DataFrame(index=pd.Index(list("abc"), dtype=object))
    obs = pd.DataFrame(index=pd.Index(["c"], dtype=object))
    twice = Source(Path("in.h5ad"), "h5ad", "X", InMemory((1, 3), 3, lambda: rows), obs, var, ("X",), None)
    with pytest.raises(BadData, match='1 given twice; the first, given twice, is 1 of cell "c", gene "b"'):
        CountData.build(twice)


def test_repeated_names_are_kept_with_a_warning():
    data = CountData.build(source(genes=["a", "b", "a", "a-1", "b", "a", "c"]))
    assert list(data.gene_names) == ["a", "b", "a-2", "a-1", "b-1", "a-3", "c"]
    assert "2 gene names stand more than once: a, b" in data.warnings["duplicate_gene_names"]
    assert list(data.source.gene_names[:3]) == ["a", "b", "a"]


@given(st.lists(st.sampled_from(["a", "a-1", "a-1-1", "b", "-1", ""]), max_size=12))
def test_unique_names_are_unique_and_keep_the_first(given_names):
    made = names.unique(given_names)
    assert len(set(made)) == len(given_names)
    for i, name in enumerate(given_names):
        assert made[i].startswith(name)
        if name not in given_names[:i]:
            assert made[i] == name


# selection


def labelled() -> Source:
    kind = pd.Categorical(["T", "B", None, "T"] * 10)
    return source(obs={"kind": kind, "plate": [1.0, 2.0] * 20, "size": np.arange(40.0) + 0.5})


def test_where_fits_cells_with_one_of_the_values_in_every_column():
    data = CountData.build(labelled(), Selection(where={"kind": ["T", "B"], "plate": [1]}))
    rows = [i for i in range(40) if i % 4 in (0, 1, 3) and i % 2 == 0]
    assert list(data.cell_index) == rows and list(data.cell_names) == [f"c{i}" for i in rows]
    assert np.array_equal(data.csr.toarray(), COUNTS[rows]) and len(data.library_all) == len(rows)
    assert list(data.column("kind")) == ["T"] * 10
    assert data.digest == CountData.build(labelled()).digest


def test_where_names_what_is_missing():
    for where, told in (
        ({"kid": ["T"]}, 'no obs column "kid" (did you mean "kind"?); there are kind, plate, size'),
        ({"kind": ["Tt"]}, 'no cell has "Tt" in obs column "kind" (data.where) (did you mean "T"?); there are B, T'),
        ({"kind": ["B"], "plate": ["1"]}, "leaves no cell"),
    ):
        with pytest.raises(BadData) as caught:
            CountData.build(labelled(), Selection(where=where))
        assert told in str(caught.value)


def test_rare_genes_are_left_out():
    seen, totals = (COUNTS > 0).sum(0), COUNTS.sum(0)
    data = CountData.build(source(), Selection(min_cells=10, min_counts=30))
    keep = (seen >= 10) & (totals >= 30)
    assert np.array_equal(data.fitted_genes, keep) and np.array_equal(data.csr.toarray(), COUNTS[:, keep])
    assert np.array_equal(data.library_all, COUNTS.sum(1)) and np.array_equal(data.total, COUNTS[:, keep].sum(1))
    assert "no gene is left of 7" in refusal(COUNTS, min_cells=41)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_gene_coverage_pools_the_rest_so_that_totals_stay(share):
    data = CountData.build(source(), Selection(gene_coverage=share))
    totals, own = COUNTS.sum(0), data.fitted_genes
    assert totals[own].sum() >= share * totals.sum()
    assert totals[own].sum() - totals[own].min() < share * totals.sum()
    assert data.pooled and data.gene_names[-1] == "_other" and data.gene_index[-1] == -1
    assert np.array_equal(data.csr.toarray(), np.column_stack([COUNTS[:, own], COUNTS[:, ~own].sum(1)]))
    assert np.array_equal(data.total, COUNTS.sum(1)) and data.csr.has_canonical_format


def test_genes_left_out_are_not_pooled_and_other_may_be_taken():
    data = CountData.build(source(genes=[*"abcdef", "_other"]), Selection(gene_coverage=0.5, min_cells=20))
    keep = (COUNTS > 0).sum(0) >= 20
    assert np.array_equal(data.total, COUNTS[:, keep].sum(1)) and data.gene_names[-1] == "_other-1"


def test_genes_by_name_or_from_a_file(tmp_path):
    file = tmp_path / "genes.txt"
    file.write_text("g4\n\ng1\n")
    for genes in (["g4", "g1"], str(file)):
        data = CountData.build(source(), Selection(genes=genes))
        assert list(data.gene_names) == ["g1", "g4"]
    assert 'are not there: gg4 (did you mean "g4"?)' in refusal(COUNTS, genes=["g1", "gg4"])
    with pytest.raises(InputMissing, match="no such file"):
        CountData.build(source(), Selection(genes=str(tmp_path / "no.txt")))


def test_labels_are_sorted_and_may_be_missing():
    data = CountData.build(labelled())
    codes, texts = data.labels("kind")
    assert texts == ["B", "T"] and list(codes[:4]) == [1, 0, -1, 1]
    assert data.labels("plate")[1] == ["1", "2"]
    with pytest.raises(BadData, match='"kind" has no value for 10 of the fitted cells, the first "c2"'):
        data.labels("kind", complete=True)


# facts


def capture_spec(args) -> ModelSpec:
    normal = Prior("normal", {"loc": 0.0, "scale": 1.0})
    params = (
        ParamSpec("mu", "mean", "positive", ("gene",), normal),
        ParamSpec("eta_capture", "capture", "positive", ("cell",), Prior("library_size", args)),
    )
    return ModelSpec("negative_binomial", "mean_odds", params, capture="eta_capture")


def test_facts_hold_what_priors_name():
    x = COUNTS.copy()
    x[7] = 0
    data = CountData.build(source(x), Selection(genes=["g0", "g3"]))
    facts = facts_of(data, capture_spec({"log_library": "log_library", "log_M0": 9.0}))
    assert facts.sizes == {"cell": 40, "gene": 2} and list(facts.arrays) == ["log_library"]
    assert np.allclose(facts.arrays["log_library"], np.log(np.maximum(1, x.sum(1))), rtol=1e-15)
    assert facts_of(data, capture_spec({"log_M0": 9.0})).arrays == {}


def test_library_sizes_may_come_from_obs():
    data = CountData.build(labelled(), Selection(library_size="size", where={"plate": [2]}))
    assert np.array_equal(data.library, np.arange(1.0, 40, 2) + 0.5)
    with pytest.raises(BadData, match="40 values that are no library sizes, the first"):
        CountData.build(source(obs={"size": ["x"] * 40}), Selection(library_size="size"))


# the plan and the digest


def test_blocks_depend_on_the_file_alone():
    assert block_rows(3774, 2_702_861) == 4096
    assert block_rows(10**6, 10**9) == 4096 and block_rows(10**6, 2 * 10**9) == 2048
    assert block_rows(100, 10) == 2048


def test_the_digest_merges_and_sees_every_change(monkeypatch):
    first = CountData.build(source()).digest
    monkeypatch.setattr(source_module, "SMALLEST_BLOCK", 8)
    monkeypatch.setattr(source_module, "BLOCK_VALUES", 1)
    assert len(list(source().chunks())) == 5
    assert CountData.build(source()).digest == first
    moved = COUNTS.copy()
    moved[[1, 2]] = moved[[2, 1]]
    more = COUNTS.copy()
    more[3, 3] += 1
    others = [source(moved), source(more), source(genes=list("abcdefg")), labelled(), source(COUNTS[:, ::-1])]
    assert len({first, *(CountData.build(s).digest for s in others)}) == 6
