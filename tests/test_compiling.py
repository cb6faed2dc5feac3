"""A fit of data much like those of one before compiles no program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse


def fit(folder: Path, n_cells: int, n_genes: int, seed: int) -> int:
    """How many programs a fit compiles, in a process of its own; one compile cache in `folder`."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.5, 1.5, (n_cells, 1))
    mean = depth * np.exp(rng.normal(1.0, 1.5, n_genes))
    counts = rng.negative_binomial(0.7, 0.7 / (0.7 + mean)).astype(np.float32)
    data, out = folder / f"{seed}.h5ad", folder / f"{seed}.scribe"
    anndata.AnnData(scipy.sparse.csr_matrix(counts)).write_h5ad(data)
    command = [sys.executable, "-m", "scribe_cli", "fit", data, "--recipe", folder / "recipe.yaml", "-o", out, "-q"]
    subprocess.run(command, check=True, env=os.environ | {"SCRIBE_CACHE_DIR": str(folder / "cache")}, stdout=subprocess.DEVNULL)
    return json.loads((out / "metrics.json").read_text())["programs_compiled"]


RECIPES = {
    "separable": "{model: nbvcp, parameterization: mean_odds, priors: {organism: human}}",
    "each cell in a row of its own": "{model: nbvcp, parameterization: mean_odds, priors: {organism: human}, guide: {family: laplace}}",
    "smooth": "{model: zinbvcp, parameterization: mean_prob, unconstrained: true, prob_prior: gaussian, priors: {organism: human}}",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_data_of_like_size_compile_nothing(tmp_path, recipe):
    """Other numbers of cells and genes, of distinct totals, of counts and the genes that have them; other parameters."""
    (tmp_path / "recipe.yaml").write_text(RECIPES[recipe])
    assert fit(tmp_path, 150, 160, seed=1) > 50
    assert fit(tmp_path, 145, 155, seed=2) == 0
