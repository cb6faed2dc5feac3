"""Made-up fits, and inputs to put them on: for the tests of the store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from scribe_cli.core.inference.posterior import Variable
from scribe_cli.core.model.spec import ModelSpec, ParamSpec, Prior
from scribe_cli.data.source import InMemory, Source
from scribe_cli.io.outputs import Array, FitOutputs, Layer, RunRecord, Selected

COMPONENTS, DATASETS = ("T cell", "CD4/CD8"), ("ctrl", "stim", "rest")
SPEC = ModelSpec(
    "negative_binomial",
    "mean_odds",
    (ParamSpec("mu", "mean", "positive", ("gene",), Prior("normal", {"loc": 0.0, "scale": 3.0})),),
)


def source(path: Path, counts, obs, var, format: str = "h5ad", element: str = "X") -> Source:
    rows = InMemory(counts.shape, counts.nnz, lambda: counts)
    return Source(path, format, element, rows, obs, var, (element,), reopen=None)


def adata(n_cells: int = 7, n_genes: int = 5, seed: int = 0) -> anndata.AnnData:
    """An AnnData with a bit of everything that an input may hold."""
    rng = np.random.default_rng(seed)
    counts = scipy.sparse.csr_matrix(rng.poisson(1.0, (n_cells, n_genes)).astype(np.float32))
    obs = pd.DataFrame(
        {"batch": pd.Categorical(["a", "b"] * (n_cells // 2) + ["a"] * (n_cells % 2)), "depth": rng.random(n_cells)}
    )
    obs.index = pd.Index([f"cell{i}" for i in range(n_cells)], dtype=object)
    var = pd.DataFrame(
        {"symbol": [f"S{i}" for i in range(n_genes)]}, index=pd.Index([f"g{i}" for i in range(n_genes)], dtype=object)
    )
    out = anndata.AnnData(counts, obs, var)
    out.layers["log"] = counts.log1p()
    out.obsm["X_pca"] = rng.normal(size=(n_cells, 2))
    out.obsm["frame"] = pd.DataFrame({"text": ["u", "v"] * (n_cells // 2) + ["u"] * (n_cells % 2)}, index=obs.index)
    out.obsp["graph"] = scipy.sparse.eye_array(n_cells, format="csr")
    out.uns["nested"] = {"text": "yes", "numbers": np.arange(3)}
    out.raw = out.copy()
    return out


def h5ad(folder: Path, data: anndata.AnnData | None = None) -> Source:
    data = data if data is not None else adata()
    path = folder / "input.h5ad"
    data.write_h5ad(path)
    return source(path, scipy.sparse.csr_array(data.X), data.obs, data.var)


def record(run_id: str = "0123456789abcdef", **changes) -> RunRecord:
    print_ = {"recipe": "r" * 8, "--key-added": "scribe", "--format": "h5ad", "input": run_id, "schema version": "1"}
    made = RunRecord(
        run_id, "scribe", "h5ad", "svi", 42, print_, {"jax": "0.10"}, b"model: nbvcp\n", "model: nbvcp  # recipe\n"
    )
    return dataclasses.replace(made, **changes)


def variable(name, axes, sizes, support="positive", *, sampled=True, dims=(50,), stored=True, seed=0) -> Variable:
    rng = np.random.default_rng([seed, len(name), *map(ord, name)])
    shape = tuple(sizes[a] for a in axes)
    draws = rng.gamma(2.0, 1.0, dims + shape)
    draws = draws / (1 + draws) if support in ("unit", "simplex") else draws
    point = draws.reshape(-1, *shape).mean(0)
    lifted = np.log(point) if sampled else None
    if support == "simplex":
        draws, point = (v / v.sum(len(dims) if v is draws else 0, keepdims=True) for v in (draws, point))
        lifted = np.log(point)[:-1] - np.log(point)[-1:]
    return Variable(name, axes, support, sampled, point, lifted, draws.astype(np.float32), stored)


def names(src: Source, at: np.ndarray, which: str) -> list[str]:
    return [str(getattr(src, which)[i]) if i >= 0 else "_other" for i in at]


def outputs(src: Source, *, cells=None, genes=None, mixed=False, dims=("sample",), **changes) -> FitOutputs:
    """A fit of everything (or of `cells`, `genes`); mixed: components and datasets too."""
    cells = np.arange(src.shape[0]) if cells is None else np.asarray(cells)
    genes = np.arange(src.shape[1]) if genes is None else np.asarray(genes)
    coords = {"gene": names(src, genes, "gene_names"), "cell": names(src, cells, "cell_names")}
    coords |= {"component": COMPONENTS, "dataset": DATASETS} if mixed else {}
    sizes = {axis: len(n) for axis, n in coords.items()}
    shape = (50,) if dims == ("sample",) else (2, 25)
    mu_axes = ("component", "dataset", "gene") if mixed else ("gene",)
    rows = [
        ("mu", mu_axes, "positive", True),
        ("gate", ("gene",), "unit", True),
        ("p", (), "unit", False),
        ("p_capture", ("cell",), "unit", True),
    ]
    if mixed:
        rows += [
            ("r", ("component", "gene"), "positive", False),
            ("mixing_weights", ("component", "dataset"), "simplex", True),
            ("mu_dataset_lambda", ("gene",), "positive", True),
        ]
    variables = [variable(n, a, sizes, s, sampled=k, dims=shape) for n, a, s, k in rows]
    variables.append(variable("eta_capture", ("cell",), sizes, sampled=False, dims=shape, stored=False))
    reasons = ["" if i % 2 else "ppc" for i in range(sizes["gene"])]
    made = FitOutputs(
        record(),
        SPEC,
        Selected(src, cells, genes),
        iter(variables),
        coords,
        dims,
        "joint_mode",
        metrics=lambda saturated: {
            "converged": True,
            "elbo": np.float64(-3.5),
            "saturated_values": saturated,
            "rhat": float("nan"),
        },
        history={"elbo": np.arange(20.0)},
        guide={
            "family": "mean_field",
            "params": {"loc": {"mu": np.zeros((1, 1, sizes["gene"]))}, "scale": {"mu": np.ones((1, 1, sizes["gene"]))}},
        },
        constant={"log_library": Array(("cell",), np.arange(float(sizes["cell"])))} | _codes(sizes),
        gene_columns={"ppc_mean": np.arange(sizes["gene"]) / 7, "ppc_p": np.full(sizes["gene"], 0.5)},
        cell_totals={"total_obs": np.arange(sizes["cell"])},
        component_prob=np.random.default_rng(4).dirichlet(np.ones(2), sizes["cell"]) if mixed else None,
        reasons=reasons,
        tables={
            "ppc_gene": {"gene": coords["gene"], "mean_obs": np.arange(sizes["gene"]) / 3},
            "ppc_hist": {
                "gene": coords["gene"],
                "count_from": np.zeros(sizes["gene"], int),
                "obs": np.ones(sizes["gene"]),
            },
            "convergence": {"parameter": ["elbo"], "element": [""], "change": [1e-5]},
        },
    )
    return dataclasses.replace(made, **changes)


def _codes(sizes: dict[str, int]) -> dict[str, Array]:
    """Cells of the datasets in turn."""
    if "dataset" not in sizes:
        return {}
    return {"dataset_of_cell": Array(("cell",), np.arange(sizes["cell"], dtype=np.int32) % sizes["dataset"])}


def layers(fit: FitOutputs, dtype=np.int32) -> dict[str, Layer]:
    """A sparse and a dense layer over the fitted part: entry (c, g) is 10 c + g + 1, sparse only where odd."""
    full = 10 * np.arange(len(fit.coords["cell"]))[:, None] + np.arange(len(fit.coords["gene"])) + 1
    odd = np.where(full % 2, full, 0)

    def blocks(values, make):
        return lambda: (make(values[i : i + 3]) for i in range(0, len(values), 3))

    return {
        "ppc": Layer(blocks(odd.astype(dtype), scipy.sparse.csr_array), True, dtype),
        "expected": Layer(blocks(full.astype(np.float32), np.asarray), False, np.float32),
    }
