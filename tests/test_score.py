"""`scribe score` through the command line, against an oracle that knows nothing of the code (tests/oracle.py)."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
import zarr
from scipy.sparse import csr_matrix
from scipy.stats import nbinom

import scribe_cli
from scribe_cli.cli.main import main
from tests import oracle

# name: (has capture, has a gate)
MODELS = {"nbdm": (False, False), "nbvcp": (True, False), "zinb": (False, True), "zinbvcp": (True, True)}
FORMS = (".npz", ".yaml", ".zarr")
BY = ("cell", "gene", "total")
TOLERANCE = 1e-9  # of 1 + |log P|

# one shape for all cases, so that a model's program is compiled once
COUNTS = np.array(
    [
        [0, 0, 0, 0, 0],
        [1, 2, 40, 7, 1],
        [0, 13, 0, 3, 100_000],
        [3, 0, 100_000, 812, 0],
        [100_000, 1, 5, 0, 12_345],
        [0, 100_000, 17, 100_000, 2],
    ]
)
CELLS, GENES = ([f"{axis}{i}" for i in range(n)] for axis, n in zip(("cell", "gene"), COUNTS.shape, strict=True))
R = np.array([1e-3, 0.7, 40.0, 2e4, 1e6])
P = (1e-6, 0.35, 1 - 1e-6)
GATE = np.array([1e-12, 0.3, 1 - 1e-6, 0.05, 2e-5])
NU = np.array([1.0, 0.4, 1e-4, 0.02, 1 - 1e-7, 0.9])
FINE = {"mu": np.array([0.5, 2.0, 9.0, 0.1, 30.0]), "phi": 0.4, "gate": np.full(5, 0.1), "phi_capture": np.full(6, 2.0)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("score") / "counts.h5ad", COUNTS)


@pytest.fixture(scope="module")
def worst(request):
    """{model: largest |d| / (1 + |log P|) so far}, told when the module is done."""
    found: dict[str, float] = {}
    yield found
    plugins = request.config.pluginmanager
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        text = ", ".join(f"{model} {error:.2g}" for model, error in found.items())
        plugins.get_plugin("terminalreporter").write_line(f"\nscore and oracle, largest |d| / (1 + |log P|): {text}")


def write(path: Path, counts, cells=CELLS, genes=GENES) -> Path:
    obs, var = (pd.DataFrame(index=pd.Index(names, dtype=object)) for names in (cells, genes))
    anndata.AnnData(csr_matrix(np.asarray(counts, np.float32)), obs, var).write_h5ad(path)
    return path


def write_recipe(folder: Path, model: str, parameterization: str = "mean_odds", **keys) -> Path:
    path = folder / f"{model}-{parameterization}.yaml"
    path.write_text(yaml.safe_dump({"model": model, "parameterization": parameterization} | keys))
    return path


def save(folder: Path, values: dict, form: str = ".npz") -> Path:
    path = folder / f"params{form}"
    if form == ".npz":
        np.savez(path, **values)
    elif form == ".yaml":
        path.write_text(yaml.safe_dump({name: np.asarray(value).tolist() for name, value in values.items()}))
    else:
        group = zarr.open_group(path, mode="w")
        for name, value in values.items():
            group.create_array(name, data=np.asarray(value, float))
    return path


def table(text: str, delimiter: str = "\t") -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    return header, rows


def score(capsys, by: str, *words) -> tuple[list[str], np.ndarray]:
    """(names, values) of what is printed; the total has no name."""
    code = main(["score", *map(str, words), "--by", by, "-q"])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    if by == "total":
        return [], np.array([float(out)])
    header, rows = table(out)
    assert header == [by, "log_likelihood"]
    return [name for name, _ in rows], np.array([float(value) for _, value in rows])


def refused(capsys, *words) -> tuple[int, str]:
    """(exit code, the one line on stderr)."""
    code = main(["score", *map(str, words), "-q"])
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err
    return code, err


def named(model: str, parameterization: str, r, p, gate, nu, capture: str) -> dict:
    """Values under the names that a parameterization samples (MODELS.md 2), as float64."""
    every = {"r": r, "p": p, "mu": r * (p / (1 - p)), "phi": (1 - p) / p}
    values = {name: every[name] for name in oracle.CORE[parameterization][0]}
    captured, gated = MODELS[model]
    if captured:
        values[capture] = {"p_capture": nu, "phi_capture": 1 / nu - 1, "eta_capture": -np.log(nu)}[capture]
    return values | ({"gate": gate} if gated else {})


def error(found, want) -> float:
    """Largest |d| / (1 + |log P|)."""
    want = np.asarray(want)
    return float((np.abs(found - want) / (1 + np.abs(want))).max())


def errors(capsys, data, recipe, params, want: oracle.Sums) -> list[float]:
    found = {by: score(capsys, by, data, "--recipe", recipe, "--params", params) for by in BY}
    assert found["cell"][0] == CELLS and found["gene"][0] == GENES
    exact = {"cell": want.cell, "gene": want.gene, "total": want.total}
    return [error(found[by][1], exact[by]) for by in BY]


def drawn(r, p, gate, nu, seed: int) -> np.ndarray:
    """Counts that the parameters make likely, at most 1e5: there |log P| is small, and so is what may be wrong."""
    rng = np.random.default_rng(seed)
    p = np.broadcast_to(p, r.shape)
    mean = np.minimum(rng.gamma(r, p / (1 - p), COUNTS.shape) * nu[:, None], 1e5)
    counts = np.minimum(rng.poisson(mean), 100_000) * (rng.random(COUNTS.shape) > gate)
    counts[0, -1] += not counts.any()  # a file without any count is refused
    return counts


@pytest.mark.parametrize("parameterization", oracle.CORE)
@pytest.mark.parametrize("model", MODELS)
def test_score_agrees_with_the_oracle(model, parameterization, data, worst, tmp_path, capsys):
    """Extreme r, p, gate and capture against each other, at extreme counts and at likely ones."""
    recipe = write_recipe(tmp_path, model, parameterization)
    shift = list(oracle.CORE).index(parameterization)
    for i, p in enumerate(P):
        r, gate = np.roll(R, i), np.roll(GATE, shift)
        p = np.array([p, *P, 0.99]) if parameterization == "mean_disp" else p
        values = named(model, parameterization, r, p, gate, NU, list(oracle.CAPTURE)[(i + shift) % 3])
        params = save(tmp_path, values, FORMS[i])
        likely = drawn(r, p, gate if MODELS[model][1] else 0.0, NU if MODELS[model][0] else np.ones(6), i)
        for counts, file in ((COUNTS, data), (likely, write(tmp_path / "likely.h5ad", likely))):
            found = errors(capsys, file, recipe, params, oracle.sums(parameterization, values, counts))
            worst[model] = max(worst.get(model, 0.0), *found)
            assert max(found) <= TOLERANCE, (p, list(values), found)


def test_the_two_oracles_agree_where_both_hold():
    """scipy and mpmath, on ordinary values."""
    r, p_hat, gate = oracle.mpf(3.5), oracle.mpf(0.4), oracle.mpf(0.2)
    for u, g in itertools.product((0, 1, 30, 5000), (None, gate)):
        exact = float(oracle._by_mpmath(u, r, p_hat, 1 - p_hat, g))
        np.testing.assert_allclose(oracle._by_scipy(u, 3.5, 0.6, None if g is None else 0.2), exact, rtol=1e-12)


@pytest.mark.parametrize("parameterization", oracle.CORE)
@pytest.mark.parametrize("capture", oracle.CAPTURE)
def test_canonical_names_mean_the_same_in_every_parameterization(parameterization, capture, data, tmp_path, capsys):
    p = np.array([0.3, 0.9, 0.999, 0.5, 0.01]) if parameterization == "mean_disp" else 0.9
    own = save(tmp_path, named("zinbvcp", parameterization, R, p, GATE, NU, capture))
    recipe = write_recipe(tmp_path, "zinbvcp", parameterization)
    _, as_sampled = score(capsys, "cell", data, "--recipe", recipe, "--params", own)
    canonical = save(tmp_path, named("zinbvcp", "canonical", R, p, GATE, NU, "p_capture"))
    _, as_canonical = score(capsys, "cell", data, "--recipe", recipe, "--params", canonical)
    np.testing.assert_allclose(as_sampled, as_canonical, rtol=1e-9)


def test_closed_ends_are_the_models_without(data, tmp_path, capsys):
    """gate 0 and capture 1: zinbvcp is nbdm."""
    core = {"r": R, "p": 0.35}
    ends = core | {"gate": np.zeros(5), "p_capture": np.ones(6)}
    plain = score(capsys, "gene", data, "--recipe", write_recipe(tmp_path, "nbdm"), "--params", save(tmp_path, core))
    full = score(capsys, "gene", data, "--recipe", write_recipe(tmp_path, "zinbvcp"), "--params", save(tmp_path, ends))
    np.testing.assert_allclose(full[1], plain[1], rtol=1e-13)


def test_many_cells(tmp_path, capsys):
    """More entries than are dense at one time, by scipy alone."""
    rng = np.random.default_rng(5)
    r, p, nu = rng.gamma(2.0, 1.0, 600), 0.8, rng.uniform(0.01, 1, 2000)[:, None]
    q_hat = (1 - p) / (1 - p * (1 - nu))
    counts = rng.negative_binomial(r, np.broadcast_to(q_hat, (2000, 600)))
    want = nbinom.logpmf(counts, r, q_hat)
    file = write(tmp_path / "c.h5ad", counts, [f"c{i}" for i in range(2000)], [f"g{i}" for i in range(600)])
    params = save(tmp_path, {"r": r, "p": p, "p_capture": nu[:, 0]})
    given = ["--recipe", write_recipe(tmp_path, "nbvcp"), "--params", params]
    for by, exact in (("cell", want.sum(1)), ("gene", want.sum(0)), ("total", want.sum())):
        assert error(score(capsys, by, file, *given)[1], exact) <= TOLERANCE


@pytest.mark.parametrize("form", ["tsv", "csv", "json"])
def test_to_a_file(form, data, tmp_path, capsys):
    given = [data, "--recipe", write_recipe(tmp_path, "nbdm"), "--params", save(tmp_path, {"mu": R, "phi": 0.1})]
    out = tmp_path / f"scores.{form}"
    names, values = score(capsys, "gene", *given)
    assert main(["score", *map(str, given), "--by", "gene", "-o", str(out), "-q"]) == 0
    text = out.read_text()
    if form == "json":
        pairs = [(row["gene"], row["log_likelihood"]) for row in json.loads(text)]
        assert pairs == list(zip(names, values, strict=True))
    else:
        header, rows = table(text, "," if form == "csv" else "\t")
        assert header == ["gene", "log_likelihood"]
        assert [(name, float(value)) for name, value in rows] == list(zip(names, values, strict=True))


def test_what_is_read_is_never_the_output(data, tmp_path, capsys):
    given = [data, "--recipe", write_recipe(tmp_path, "nbdm"), "--params", save(tmp_path, {"mu": R, "phi": 0.1})]
    copied = (tmp_path / "copy.csv").resolve()
    copied.write_bytes(Path(data).read_bytes())
    for out, said in ((data, "ends in"), (copied, "which is read"), (tmp_path / "new.npz", "ends in")):
        before = Path(data).read_bytes()
        assert main(["score", *map(str, [copied, *given[1:]]), "-o", str(out)]) == 2
        assert said in capsys.readouterr().err
        assert Path(data).read_bytes() == copied.read_bytes() == before and not (tmp_path / "new.npz").exists()


def test_equal_names_are_made_unique(tmp_path, capsys):
    given = ["--recipe", write_recipe(tmp_path, "nbdm"), "--params", save(tmp_path, {"mu": R, "phi": 0.1})]
    with pytest.warns(UserWarning, match="not unique"):
        file = write(tmp_path / "c.h5ad", COUNTS, ["a", "a", "b", "c", "d", "a"])
    assert main(["score", *map(str, [file, *given]), "--by", "cell", "-q"]) == 0
    out, err = capsys.readouterr()
    names = [name for name, _ in table(out)[1]]
    assert len(set(names)) == 6 and names[2:5] == ["b", "c", "d"] and "more than once: a" in err


@pytest.mark.parametrize(
    "change, said",
    [
        ({"mu": None}, "parameters are missing"),
        ({"gate": None}, "gate is missing"),
        ({"phi_capture": None}, "capture parameter"),
        ({"mu": np.ones(4)}, "mu has shape (4,)"),
        ({"mu": np.ones((1, 5))}, "mu has shape (1, 5)"),
        ({"phi": np.ones(5)}, "phi has shape (5,)"),
        ({"phi_capture": np.ones(5)}, "phi_capture has shape (5,)"),
        ({"mu": np.array([1.0, 2.0, 0.0, 1.0, -3.0])}, "mu[2] is 0.0"),
        ({"mu": np.array([1.0, 2.0, np.inf, 1.0, 1.0])}, "mu[2] is inf"),
        ({"phi": np.nan}, "phi is nan"),
        ({"gate": np.full(5, 1.0)}, "gate[0] is 1.0"),
        ({"gate": np.full(5, -0.1)}, "gate[0] is -0.1"),
        ({"phi_capture": np.full(6, -0.5)}, "phi_capture[0] is -0.5"),
        ({"p_capture": np.full(6, 1.5)}, "p_capture[0] is 1.5"),
        ({"p_capture": np.full(6, 0.9)}, "contradicts"),
        ({"r": np.full(5, 3.0)}, "contradicts"),
        ({"moo": np.ones(5)}, "parameter moo"),
        ({"gaet": np.ones(5)}, 'did you mean "gate"'),
        ({"mu": np.array(["a"] * 5)}, "mu is not an array of numbers"),
    ],
)
def test_params_that_are_refused(change, said, data, tmp_path, capsys):
    values = {name: value for name, value in (FINE | change).items() if value is not None}
    recipe = write_recipe(tmp_path, "zinbvcp")
    code, line = refused(capsys, data, "--recipe", recipe, "--params", save(tmp_path, values))
    assert code == 65 and said in line


@pytest.mark.parametrize("name", ["gate", "p_capture"])
def test_parameters_of_another_model_are_unknown(name, data, tmp_path, capsys):
    values = {"mu": R, "phi": 0.1, name: {"gate": GATE, "p_capture": NU}[name]}
    code, line = refused(capsys, data, "--recipe", write_recipe(tmp_path, "nbdm"), "--params", save(tmp_path, values))
    assert code == 65 and f"parameter {name}" in line


ENDINGS = {"missing": ".npz", "ending": ".txt", "npz": ".npz", "pickle": ".npz", "list": ".yaml", "ragged": ".yaml"}


def broken(folder: Path, what: str) -> Path:
    """A file of parameters that is none, called by what is wrong with it."""
    path = folder / f"{what}{ENDINGS[what]}"
    if what == "pickle":
        np.savez(path, mu=np.array([{}, []], dtype=object))
    elif what != "missing":
        path.write_text({"list": "[1, 2]\n", "ragged": "mu: [[1, 2], [3]]\n"}.get(what, "nonsense"))
    return path


@pytest.mark.parametrize(
    "what, code", [("missing", 66), ("ending", 2), ("npz", 65), ("pickle", 65), ("list", 65), ("ragged", 65)]
)
def test_files_of_params_that_are_refused(what, code, data, tmp_path, capsys):
    path = broken(tmp_path, what)
    found, line = refused(capsys, data, "--recipe", write_recipe(tmp_path, "nbdm"), "--params", path)
    assert found == code and path.name in line


@pytest.fixture(scope="module")
def fits(tmp_path_factory, data) -> dict[str, Path]:
    """Short fits (in minibatches: no search for the mode to compile), with and without parameters of each cell."""
    folder = tmp_path_factory.mktemp("fits")
    found = {"data": write(folder / "counts.h5ad", np.minimum(COUNTS, 90))}
    settings = ("svi={n_steps: 20, batch_size: 3, n_samples: 10}", "output={ppc_samples: 10, layers: []}")
    for model in ("nbdm", "zinbvcp"):
        found[model] = folder / model
        words = ["fit", found["data"], "--recipe", model, "-o", found[model], "-q"]
        assert main([*map(str, words), *itertools.chain(*(("--set", setting) for setting in settings))]) == 0
    return found


@pytest.mark.parametrize("model", ["nbdm", "zinbvcp"])
@pytest.mark.parametrize("by", BY)
def test_a_fit_is_scored_at_its_map(model, by, fits, tmp_path, capsys):
    at_map = scribe_cli.load(fits[model]).get_map()
    values = {name: at_map[name] for name in ("mu", "phi", "gate", "eta_capture") if name in at_map}
    names, found = score(capsys, by, fits["data"], "--fit", fits[model])
    given = score(capsys, by, fits["data"], "--recipe", model, "--params", save(tmp_path, values))
    assert names == given[0]
    np.testing.assert_allclose(found, given[1], rtol=1e-12)


def test_a_fit_finds_cells_and_genes_by_name(fits, tmp_path, capsys):
    """Some of the cells, and all genes, in another order: every cell keeps its score."""
    whole = dict(zip(*score(capsys, "cell", fits["data"], "--fit", fits["zinbvcp"]), strict=True))
    cells, genes = [4, 0, 5, 2], [2, 4, 0, 3, 1]
    counts = np.minimum(COUNTS, 90)[np.ix_(cells, genes)]
    some = write(tmp_path / "some.h5ad", counts, [CELLS[i] for i in cells], [GENES[i] for i in genes])
    names, found = score(capsys, "cell", some, "--fit", fits["zinbvcp"])
    assert names == [CELLS[i] for i in cells]
    np.testing.assert_allclose(found, [whole[name] for name in names], rtol=1e-12)


@pytest.mark.parametrize("model, code", [("nbdm", 0), ("zinbvcp", 65)])
def test_a_cell_the_fit_has_not_seen(model, code, fits, tmp_path, capsys):
    new = write(tmp_path / "new.h5ad", np.minimum(COUNTS, 90), [*CELLS[:5], "newcomer"])
    if code:
        found, line = refused(capsys, new, "--fit", fits[model])
        assert found == code and "newcomer" in line and "not in the fit" in line
    else:
        totals = [score(capsys, "total", file, "--fit", fits[model])[1] for file in (new, fits["data"])]
        assert totals[0] == totals[1]


def test_a_gene_the_fit_has_not_seen(fits, tmp_path, capsys):
    new = write(tmp_path / "new.h5ad", COUNTS, CELLS, [*GENES[:4], "novel"])
    code, line = refused(capsys, new, "--fit", fits["nbdm"])
    assert code == 65 and "novel" in line and "not in the fit" in line


def test_no_fit(data, tmp_path, capsys):
    code, line = refused(capsys, data, "--fit", tmp_path / "nowhere")
    assert code == 66 and "nowhere" in line
