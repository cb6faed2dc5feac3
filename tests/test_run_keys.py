"""Every recipe key that is no model's changes what a run leaves behind; and no key of the schema escapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zarr

from scribe_cli.data.facts import facts_of
from scribe_cli.run import fit, reading
from scribe_cli.run.options import FitOptions
from scribe_cli.run.recipe import config
from scribe_cli.run.terminal.console import Console
from tests import zoo
from tests.test_keys import LATER_KEYS, MODEL_KEYS


@dataclass(frozen=True)
class Out:
    """What a run left behind."""

    folder: Path

    @property
    def metrics(self) -> dict:
        return json.loads((self.folder / "metrics.json").read_text())

    def names(self, group: str) -> list[str]:
        store = zarr.open_group(self.folder / "posterior.zarr", mode="r")
        return sorted(store[group].array_keys()) if group in store else []

    def array(self, name: str) -> np.ndarray:
        return zarr.open_group(self.folder / "posterior.zarr", mode="r")[name][...]

    def table(self, name: str) -> str:
        return gzip.decompress((self.folder / "tables" / name).read_bytes()).decode()

    def layers(self) -> list[str]:
        with h5py.File(self.folder / "fit.h5ad") as file:
            return sorted(file["layers"])

    def has_counts(self) -> bool:
        with h5py.File(self.folder / "fit.h5ad") as file:
            return "X" in file


@dataclass(frozen=True)
class Case:
    """`value` of the key, on top of the recipe, changes what `seen` sees of the run. along: what has to go with it."""

    value: Any
    seen: Callable[[Out], Any]
    recipe: str = "svi"
    along: Mapping[str, Any] = field(default_factory=dict)


RECIPES = {
    "svi": {"model": "nbdm", "svi": {"n_steps": 100, "n_samples": 50}},
    "plain": {"model": "nbdm", "svi": {"n_samples": 50}},
    "long": {"model": "nbdm", "svi": {"n_steps": 5000, "n_samples": 50}},
    "short": {"model": "nbdm", "svi": {"n_steps": 100}},
    "mcmc": {"model": "nbdm", "inference_method": "mcmc", "mcmc": {"n_warmup": 30, "n_samples": 20, "n_chains": 2}},
}


SPEC = config.load("nbvcp").resolve()


def metric(name: str) -> Callable[[Out], Any]:
    return lambda out: out.metrics[name]


def draws(out: Out) -> list:
    return out.array("posterior/p").tolist()


def n_draws(out: Out) -> tuple:
    return out.array("posterior/p").shape


RUN_KEYS = {
    "inference_method": Case("mcmc", n_draws, "short", {"mcmc": RECIPES["mcmc"]["mcmc"]}),
    "guide.family": Case("laplace", metric("optimiser"), "plain"),
    "svi.n_steps": Case(150, metric("n_steps")),
    "svi.batch_size": Case(6, draws),
    "svi.learning_rate": Case(0.01, draws),
    "svi.early_stopping": Case(False, metric("n_steps"), "long"),
    "svi.n_samples": Case(60, n_draws),
    "mcmc.n_warmup": Case(40, draws, "mcmc"),
    "mcmc.n_samples": Case(30, n_draws, "mcmc"),
    "mcmc.n_chains": Case(3, n_draws, "mcmc"),
    "mcmc.svi_init": Case(False, draws, "mcmc"),
    "mcmc.target_accept": Case(0.95, draws, "mcmc"),
    "engine": Case("dense", metric("engine")),
    "dataset_key": Case("batch", lambda out: out.table("ppc_gene.tsv.gz")),
    "output.data": Case("results", Out.has_counts),
    "output.samples": Case(["p"], lambda out: out.names("posterior")),
    "output.layers": Case(["expected"], Out.layers),
    "output.unconstrained": Case(True, lambda out: out.names("unconstrained_posterior")),
    "output.ppc_samples": Case(20, lambda out: out.table("ppc_gene.tsv.gz")),
    "output.tables": Case(False, lambda out: (out.folder / "tables").exists()),
    "seed": Case(43, draws),
}

# a recipe that the key can act in, a value, and what changes of the counts that are fitted
DATA_KEYS = {
    "data.layer": ("nbdm", "doubled", lambda counts: counts.csr.sum()),
    "data.where": ("nbdm", {"batch": ["a"]}, lambda counts: counts.n_cells),
    "data.min_cells": ("nbdm", 8, lambda counts: counts.n_genes),
    "data.min_counts": ("nbdm", 60, lambda counts: counts.n_genes),
    "data.gene_coverage": ("nbdm", 0.9, lambda counts: counts.n_genes),
    "data.genes": ("nbdm", ["g0", "g1"], lambda counts: counts.n_genes),
    "data.library_size": ("nbvcp", "depth", lambda counts: facts_of(counts, SPEC).arrays["log_library"].tolist()),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    counts = scipy.sparse.csr_matrix(zoo.COUNTS.astype(np.float32))
    obs = pd.DataFrame({"batch": ["a", "b"] * 6, "depth": zoo.COUNTS.sum(1) + 900.0})
    obs.index = pd.Index([f"c{i}" for i in range(zoo.N_CELLS)], dtype=object)
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(zoo.N_GENES)], dtype=object))
    path = tmp_path_factory.mktemp("keys") / "data.h5ad"
    anndata.AnnData(counts, obs, var, layers={"doubled": 2 * counts}).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def run(data) -> Callable[..., Out]:
    """A fit of a recipe by name, with overrides; each is made once."""
    made: dict[str, Out] = {}

    def one(name: str, **overrides: Any) -> Out:
        key = json.dumps([name, overrides])
        if key not in made:
            recipe = data.parent / f"{name}.yaml"
            recipe.write_text(json.dumps(RECIPES[name]))
            out = data.parent / f"out{len(made)}"
            fit.fit(FitOptions((data,), str(recipe), out, overrides), Console(quiet=True))
            made[key] = Out(out)
        return made[key]

    return one


@pytest.mark.parametrize("key", RUN_KEYS)
def test_the_key_changes_the_run(run, key):
    case = RUN_KEYS[key]
    changed = run(case.recipe, **{key: case.value}, **case.along)
    assert case.seen(changed) != case.seen(run(case.recipe))


@pytest.mark.parametrize("key, value", [("svi.n_steps", 60), ("svi.batch_size", 6), ("svi.learning_rate", 0.01)])
def test_how_to_optimise_acts_before_chains_too(run, key, value):
    """mcmc.svi_init: the chains then start from the guide that these keys give."""
    cap = {"svi.n_steps": 40}
    assert draws(run("mcmc", **cap | {key: value})) != draws(run("mcmc", **cap)) != draws(run("mcmc"))


@pytest.mark.parametrize("key", DATA_KEYS)
def test_the_key_changes_the_counts_that_are_fitted(data, key):
    recipe, value, seen = DATA_KEYS[key]
    configs = [config.load(recipe, overrides) for overrides in ({}, {key: value})]
    assert [c.resolve() for c in configs]
    plain, changed = (reading.read([data], c, False, Console(quiet=True)) for c in configs)
    assert seen(changed) != seen(plain)


def test_no_key_of_the_schema_escapes():
    """A new key has to be put into one of the four tables, with what it does."""
    keys = {key for key in config.FIELDS if not config.SHAPE.get(key) or key == "priors"}
    tested = [set(MODEL_KEYS), set(LATER_KEYS), set(RUN_KEYS), set(DATA_KEYS)]
    assert keys == set.union(*tested)
    assert sum(map(len, tested)) == len(keys)
