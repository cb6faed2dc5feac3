"""`scribe ppc`: its tables against replicate data sets, against those of the fit, and on other data; what it refuses."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import scribe_cli
from scribe_cli.cli.main import main
from scribe_cli.io.stored import open_fit
from scribe_cli.run import redraw
from scribe_cli.run.figures import encode
from tests.test_predictive import STATISTICS
from tests.test_sample import chains

CELLS, GENES, DRAWS = 48, 9, 40
CELL_NAMES, GENE_NAMES = np.array([f"c{i}" for i in range(CELLS)]), np.array([f"g{i}" for i in range(GENES)])
BATCH = np.where(np.arange(CELLS) % 3 == 0, "b", "a")
# in minibatches: no search for the mode to compile
SHORT = (f"svi={{n_steps: 40, batch_size: 16, n_samples: {DRAWS}}}", f"output={{ppc_samples: {DRAWS}, layers: []}}")
TABLES = ("ppc_gene", "ppc_hist", "cell")


def made(seed: int = 0) -> np.ndarray:
    """Counts with capture and gates; gene 0 is rare."""
    rng = np.random.default_rng(seed)
    nu = np.exp(rng.normal(-1.0, 0.4, CELLS))
    mu = np.geomspace(0.3, 60.0, GENES)
    counts = rng.poisson(rng.gamma(0.5 * mu, 2.0, (CELLS, GENES)) * nu[:, None])
    return counts * (rng.random((CELLS, GENES)) > 0.2)


def write(path: Path, counts, cells=CELL_NAMES, genes=GENE_NAMES, **obs) -> Path:
    frame = pd.DataFrame(obs, index=pd.Index(cells, dtype=object))
    var = pd.DataFrame(index=pd.Index(genes, dtype=object))
    anndata.AnnData(scipy.sparse.csr_matrix(np.asarray(counts, np.float32)), frame, var).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "counts.h5ad", made(), batch=BATCH)


@pytest.fixture(scope="module")
def fits(tmp_path_factory, data) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fits")
    found = {"chains": chains(folder)}
    for name, keys in {"zinbvcp": (*SHORT, "dataset_key=batch"), "nbdm": SHORT}.items():
        found[name] = folder / name
        words = ["fit", data, "--recipe", name, "-o", found[name], "-q"]
        assert main([*map(str, words), *(w for key in keys for w in ("--set", key))]) == 0
    return found


def ppc(capsys, *words) -> Path:
    """The directory written, which is all that stdout holds."""
    code = main(["ppc", *map(str, words), "-q"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return Path(out.removesuffix("\n"))


def refused(capsys, *words) -> tuple[int, str]:
    code = main(["ppc", *map(str, words), "-q"])
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return code, err


def text(folder: Path, stem: str) -> bytes:
    return gzip.decompress((folder / f"{stem}.tsv.gz").read_bytes())


def table(folder: Path, stem: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(text(folder, stem)), sep="\t", keep_default_na=False)


def test_of_the_fits_own_counts_the_tables_are_the_fits(fits, data, tmp_path, capsys):
    """To the bit, from the store alone and from the data given again, on one thread and on two."""
    own = ppc(capsys, fits["zinbvcp"], "-o", tmp_path / "own", "--threads", 1)
    given = ppc(capsys, fits["zinbvcp"] / "fit.h5ad", data, "-o", tmp_path / "given", "--threads", 2)
    for stem in ("ppc_gene", "ppc_hist"):
        assert text(own, stem) == text(given, stem) == text(fits["zinbvcp"] / "tables", stem)
    totals = table(fits["zinbvcp"] / "tables", "cell")[["cell", "total_obs", "total_q05", "total_q95", "total_p"]]
    pd.testing.assert_frame_equal(table(own, "cell"), totals)
    assert text(own, "cell") == text(given, "cell")
    assert set(table(own, "ppc_gene")["dataset"]) == {"", "a", "b"}


def replicates(fit: Path, kind: str, per_draw: int = 150) -> np.ndarray:
    """(replicates, cells, genes) drawn entry by entry from the parameters as the Python interface gives them."""
    res, rng = scribe_cli.load(fit), np.random.default_rng(1)
    if kind == "map":
        values = {name: v[None] for name, v in res.get_map().items()}
        per_draw *= DRAWS
    else:
        values = res.get_posterior_samples(DRAWS)
    odds = np.ones((1, CELLS)) if kind == "biological" else values["p_capture"]
    rate = odds[:, :, None] / values["phi"][:, None, None]
    u = rng.poisson(rng.gamma(values["r"][:, None], size=(per_draw, len(rate), CELLS, GENES)) * rate)
    if kind != "biological":
        u *= rng.random(u.shape) >= values["gate"][:, None]
    return u.reshape(-1, CELLS, GENES)


def agrees(row: dict, values: np.ndarray, observed: np.ndarray) -> None:
    """pred, q05, q95, p of a table against replicates (replicates, elements) of the statistic; 1,000 and 6,000 draws."""
    error = values.std(0) * np.sqrt(1 / 1000 + 1 / len(values))
    np.testing.assert_array_less(np.abs(row["pred"] - values.mean(0)), 5 * error + 1e-9)
    np.testing.assert_allclose(row["p"], (values > observed).mean(0) + 0.5 * (values == observed).mean(0), atol=0.08)
    slack = 1e-9 + 1e-3 * np.abs(values.mean(0))
    for level, q in ((0.05, row["q05"]), (0.95, row["q95"])):
        assert ((values < q - slack).mean(0) < level + 0.035).all() and ((values <= q + slack).mean(0) > level - 0.035).all()


@pytest.mark.parametrize("kind", ["posterior", "map", "biological"])
def test_tables_are_those_of_replicate_data_sets(kind, fits, data, tmp_path, capsys):
    out = ppc(capsys, fits["zinbvcp"], "-o", tmp_path / "out", "--kind", kind)
    drawn, counts = replicates(fits["zinbvcp"], kind), made()
    genes, totals, bins = (table(out, stem) for stem in ("ppc_gene", "cell", "ppc_hist"))
    genes, bins = genes[genes["dataset"] == ""], bins[bins["dataset"] == ""]
    for name, statistic in STATISTICS.items():
        row = {part: genes[f"{name}_{part}"].to_numpy() for part in ("pred", "q05", "q95", "p")}
        agrees(row, statistic(drawn), statistic(counts))
        np.testing.assert_allclose(genes[f"{name}_obs"], statistic(counts), rtol=1e-12)
    values = drawn.sum(2)
    row = {part: totals[f"total_{part}"].to_numpy() for part in ("q05", "q95", "p")}
    agrees(row | {"pred": values.mean(0)}, values, counts.sum(1))
    for _, b in bins.iterrows():
        inside = (drawn[:, :, int(b["gene"][1:])] >= b["count_from"]) & (drawn[:, :, int(b["gene"][1:])] <= b["count_to"])
        n = inside.sum(1)
        assert abs(b["pred"] - n.mean()) < 5 * n.std() / np.sqrt(1000) + 5e-3


def test_at_the_map_there_is_one_point(fits, tmp_path, capsys):
    out = ppc(capsys, fits["nbdm"], "-o", tmp_path / "out", "--kind", "map")
    at_map = scribe_cli.load(fits["nbdm"]).get_map()
    np.testing.assert_allclose(table(out, "ppc_gene")["mean_pred"], at_map["mu"], rtol=1e-9)
    assert json.loads((out / "ppc.json").read_text())["draws"] == 1


def test_one_dataset(fits, data, tmp_path, capsys):
    """The rows of the whole table, and the totals of its cells."""
    whole = table(ppc(capsys, fits["zinbvcp"], "-o", tmp_path / "whole"), "ppc_gene")
    for words in ((), (data,)):
        out = ppc(capsys, fits["zinbvcp"], *words, "-o", tmp_path / "one", "--dataset", "b")
        part = whole[whole["dataset"] == "b"].reset_index(drop=True)
        pd.testing.assert_frame_equal(table(out, "ppc_gene"), part)
        assert table(out, "cell")["cell"].tolist() == CELL_NAMES[BATCH == "b"].tolist()
        np.testing.assert_array_equal(table(out, "cell")["total_obs"], made()[BATCH == "b"].sum(1))
        np.testing.assert_allclose(part["mean_obs"], made()[BATCH == "b"].mean(0))
    code, line = refused(capsys, fits["zinbvcp"], "-o", tmp_path / "none", "--dataset", "aa")
    assert code == 65 and 'did you mean "a"' in line and "a, b" in line
    code, line = refused(capsys, fits["nbdm"], "-o", tmp_path / "none", "--dataset", "a")
    assert code == 2 and "--dataset-key" in line
    out = ppc(capsys, fits["nbdm"], data, "-o", tmp_path / "keyed", "--dataset-key", "batch", "--dataset", "a")
    assert json.loads((out / "ppc.json").read_text())["n_cells"] == (BATCH == "a").sum()


def test_cells_and_genes_are_found_by_name(fits, data, tmp_path, capsys):
    """In another order, with a gene too many and one too few, each keeps what it is predicted."""
    rng = np.random.default_rng(3)
    cells, genes = rng.permutation(CELLS), np.r_[rng.permutation(GENES - 1), 0]
    names = np.append(GENE_NAMES[genes[:-1]], "stranger")
    other = write(tmp_path / "other.h5ad", made()[np.ix_(cells, genes)], CELL_NAMES[cells], names, batch=BATCH[cells])
    code = main(["ppc", *map(str, (fits["zinbvcp"], other, "-o", tmp_path / "other", "-q"))])
    assert code == 0 and "has 9 genes and the fit 9; the 8 that both have" in capsys.readouterr().err
    whole = ppc(capsys, fits["zinbvcp"], data, "-o", tmp_path / "whole", "--genes", ",".join(GENE_NAMES[:-1]))
    pd.testing.assert_frame_equal(table(tmp_path / "other", "ppc_gene"), table(whole, "ppc_gene"), rtol=1e-9)
    found = table(tmp_path / "other", "cell").set_index("cell")["total_obs"]
    np.testing.assert_array_equal(found[CELL_NAMES], made()[:, :-1].sum(1))


def test_a_cell_the_fit_has_not_seen(fits, tmp_path, capsys):
    """Is refused where its capture would be needed."""
    new = write(tmp_path / "new.h5ad", made(), [*CELL_NAMES[:-1], "newcomer"], batch=BATCH)
    code, line = refused(capsys, fits["zinbvcp"], new, "-o", tmp_path / "out")
    assert code == 65 and "newcomer" in line and not (tmp_path / "out").exists()
    for words in ((fits["nbdm"], new), (fits["zinbvcp"], new, "--kind", "biological")):
        assert "newcomer" in table(ppc(capsys, *words, "-o", tmp_path / "out"), "cell")["cell"].tolist()


def test_new_counts_of_the_fit_pass_and_others_fail(fits, tmp_path, capsys):
    stored = open_fit(fits["zinbvcp"])
    p = []
    for seed in range(8):
        new = write(tmp_path / "new.h5ad", redraw.counts(stored, 1, seed=100 + seed)[0], batch=BATCH)
        genes = table(ppc(capsys, stored.out, new, "-o", tmp_path / "new"), "ppc_gene").iloc[:GENES]
        p.append(genes[[f"{s}_p" for s in ("var", "zero", "max")]].to_numpy()[3:])
    p = np.stack(p)
    # 48 of each statistic: 4 standard errors of the mean of uniform ones, and of the share of the outermost tenth
    assert (np.abs(p.mean((0, 1)) - 0.5) < 4 * 0.29 / np.sqrt(48)).all()
    assert (np.abs(p - 0.5) > 0.45).mean() < 0.1 + 4 * 0.3 / np.sqrt(p.size)
    other = redraw.counts(stored, 1, seed=7)[0]
    other[:, 4] = np.where(np.arange(CELLS) % 2, 3 * other[:, 4] + 30, 0)
    out = ppc(capsys, stored.out, write(tmp_path / "bad.h5ad", other, batch=BATCH), "-o", tmp_path / "bad")
    found = json.loads((out / "ppc.json").read_text())
    assert found["failed_above"]["var"] >= 1 and "g4" in list(found["histograms"].values())[:2]


def test_the_seed_is_all_that_is_random(fits, tmp_path, capsys):
    def made_with(name, *words):
        return ppc(capsys, fits["nbdm"], "-o", tmp_path / name, "-n", 7, *words)

    one, two, other = made_with("one", "--seed", 5), made_with("two", "--seed", 5), made_with("other", "--seed", 6)
    assert {f.name for f in one.iterdir()} == {f.name for f in two.iterdir()}
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name
    assert text(one, "ppc_gene") != text(other, "ppc_gene")


def test_several_inputs_are_datasets(fits, data, tmp_path, capsys):
    for name, part in (("one", slice(None, 20)), ("two", slice(20, None))):
        write(tmp_path / f"{name}.h5ad", made()[part], CELL_NAMES[part])
    parts = [tmp_path / "one.h5ad", tmp_path / "two.h5ad"]
    whole = table(ppc(capsys, fits["nbdm"], data, "-o", tmp_path / "whole"), "ppc_gene")
    out = ppc(capsys, fits["nbdm"], *parts, "-o", tmp_path / "out")
    found = table(out, "ppc_gene")
    assert list(dict.fromkeys(found["dataset"])) == ["", "one", "two"]
    pd.testing.assert_frame_equal(found.iloc[:GENES].drop(columns="dataset"), whole)
    np.testing.assert_allclose(found["mean_obs"][found["dataset"] == "two"], made()[20:].mean(0))


def test_chosen_genes(fits, tmp_path, capsys):
    """Tables of these alone, a picture of each called by its number; totals are those of all genes."""
    out = ppc(capsys, fits["nbdm"], "-o", tmp_path / "out", "--genes", "g7,g2")
    assert table(out, "ppc_gene")["gene"].tolist() == ["g7", "g2"]
    assert list(dict.fromkeys(table(out, "ppc_hist")["gene"])) == ["g7", "g2"]
    np.testing.assert_array_equal(table(out, "cell")["total_obs"], made().sum(1))
    drawn = json.loads((out / "ppc.json").read_text())["histograms"]
    assert drawn == {"histogram_01.png": "g7", "histogram_02.png": "g2"}
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in (*drawn, "mean_variance.png"))


def test_what_is_not_ours_stays(fits, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "zero_fraction.png").write_text("mine too")
    code, line = refused(capsys, fits["nbdm"], "-o", out)
    assert code == 73 and "zero_fraction.png" in line and (out / "zero_fraction.png").read_text() == "mine too"
    (out / "zero_fraction.png").unlink()
    ppc(capsys, fits["nbdm"], "-o", out)
    many = {f.name for f in out.iterdir()}
    ppc(capsys, fits["nbdm"], "-o", out, "--genes", "g1")
    few = {f.name for f in out.iterdir()}
    assert few < many and {n for n in many - few if not n.startswith("histogram_")} == set()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_what_was_there(fits, tmp_path, capsys, monkeypatch):
    out = ppc(capsys, fits["nbdm"], "-o", tmp_path / "out", "--seed", 1)
    before = {f.name: f.read_bytes() for f in out.iterdir()}

    def full(figure, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encode, "save", full)
    for folder in (out, tmp_path / "new"):
        code, line = refused(capsys, fits["nbdm"], "-o", folder)
        assert code == 74 and "No space left" in line
    assert {f.name: f.read_bytes() for f in out.iterdir()} == before and not (tmp_path / "new").exists()


def test_the_fit_is_not_changed(fits, data, tmp_path, capsys):
    before = {f: f.stat().st_mtime_ns for f in fits["nbdm"].rglob("*")}
    ppc(capsys, fits["nbdm"], data, "-o", tmp_path / "out")
    assert {f: f.stat().st_mtime_ns for f in fits["nbdm"].rglob("*")} == before


@pytest.mark.parametrize(
    "fit, words, code, said",
    [
        ("nowhere", (), 66, "no such fit"),
        ("nbdm", ("nowhere.h5ad",), 66, "nowhere.h5ad"),
        ("nbdm", ("--genes", "g1,gg2"), 65, 'did you mean "g2"'),
        ("nbdm", ("--kind", "map", "-n", "5"), 2, "one point"),
        ("nbdm", ("-n", "0"), 2, "-n"),
        ("nbdm", ("--layer", "counts"), 2, "--layer acts on DATA"),
        ("nbdm", ("--transpose",), 2, "--transpose acts on DATA"),
        ("chains", ("-n", "21"), 78, "mcmc.n_samples"),
    ],
)
def test_refusals(fit, words, code, said, fits, tmp_path, capsys):
    found, line = refused(capsys, fits.get(fit, tmp_path / fit), *words, "-o", tmp_path / "out")
    assert found == code and said in line and not (tmp_path / "out").exists()


@pytest.mark.parametrize("place, code", [("", 2), ("tables", 2), ("posterior.zarr", 2), ("metrics.json", 2)])
def test_places_in_the_fit_are_refused(place, code, fits, capsys):
    assert refused(capsys, fits["nbdm"], "-o", fits["nbdm"] / place)[0] == code


def test_other_genes_altogether_are_refused(fits, tmp_path, capsys):
    other = write(tmp_path / "other.h5ad", made(), genes=[f"ENS{i}" for i in range(GENES)])
    code, line = refused(capsys, fits["nbdm"], other, "-o", tmp_path / "out")
    assert code == 65 and "ENS0" in line and "g0" in line


def test_chains_give_their_draws(fits, data, tmp_path, capsys):
    """All of them; fewer are evenly spaced, and the two that are left here are the first and the last."""
    other = write(tmp_path / "some.h5ad", made()[:, :5], genes=GENE_NAMES[:5])
    for words, n in (((), 20), (("-n", 2), 2)):
        out = ppc(capsys, fits["chains"], other, "-o", tmp_path / "out", *words)
        assert json.loads((out / "ppc.json").read_text())["draws"] == n
    mu = scribe_cli.load(fits["chains"]).get_posterior_samples(20)["mu"]
    np.testing.assert_allclose(table(out, "ppc_gene")["mean_pred"], mu[[0, 19]].mean(0), rtol=1e-5)
