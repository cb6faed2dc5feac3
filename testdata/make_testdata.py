"""Makes the files of this folder: counts by `scribe simulate` from parameters chosen here, and the same as MTX.

    python testdata/make_testdata.py [FOLDER]

The same files come out each time, byte for byte with the same versions of the libraries. The truth is in small.h5ad:
var true_mu, true_r, true_gate, obs true_p_capture, uns true_phi, true_p.
"""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from statistics import NormalDist

import anndata
import numpy as np
import scipy.sparse

from scribe_cli.cli.main import main

N_CELLS, N_GENES, SEED = 300, 120, 1
# mean counts per cell, rarest to most frequent gene; between them many are rare, as in real data
RAREST, MOST_FREQUENT, SKEW = 0.1, 65.0, 0.62
# share of the molecules counted: median and spread of the log over cells. The genes show about 200,000 molecules in a
# cell, what the bundled recipes assume of human cells
CAPTURED, SPREAD = 0.0075, 0.35
PHI = 0.005
# the gate's logit over genes: median 0.12, from 0.02 to 0.5, inside its default prior
GATE_LOGIT, GATE_SPREAD = -2.0, 0.8


def parameters() -> dict[str, float | list[float]]:
    """Values by their names, to 4 digits: quantiles of the laws meant, each in an order of its own."""
    means = [RAREST * (MOST_FREQUENT / RAREST) ** u**SKEW for u in shares(N_GENES, 37)]
    gates = [1 / (1 + np.exp(-NormalDist(GATE_LOGIT, GATE_SPREAD).inv_cdf(u))) for u in shares(N_GENES, 71)]
    capture = [CAPTURED * np.exp(NormalDist(0, SPREAD).inv_cdf(u)) for u in shares(N_CELLS, 97)]
    values = {"mu": [m / CAPTURED for m in means], "phi": PHI, "gate": gates, "p_capture": capture}
    return {name: [float(f"{x:.4g}") for x in v] if isinstance(v, list) else v for name, v in values.items()}


def shares(n: int, step: int) -> list[float]:
    """n equally spaced shares between 0 and 1, `step` (prime to n) places apart."""
    return [(i * step % n + 0.5) / n for i in range(n)]


def yaml(values: dict[str, float | list[float]]) -> str:
    """A params file, ten numbers a line."""
    lines = ["# What small.h5ad is drawn from: made by make_testdata.py, read by scribe simulate and scribe score."]
    for name, value in values.items():
        if isinstance(value, list):
            rows = [", ".join(map(repr, value[i : i + 10])) for i in range(0, len(value), 10)]
            lines.append(f"{name}: [\n  " + ",\n  ".join(rows) + "]")
        else:
            lines.append(f"{name}: {value!r}")
    return "\n".join(lines) + "\n"


def write_mtx(folder: Path, adata: anndata.AnnData) -> None:
    """The counts as 10x writes them: genes x cells, names beside, gzipped without a time."""
    folder.mkdir(exist_ok=True)
    counts = scipy.sparse.coo_array(adata.X)
    head = f"%%MatrixMarket matrix coordinate integer general\n{adata.n_vars} {adata.n_obs} {counts.nnz}\n"
    entries = io.StringIO()
    np.savetxt(entries, np.column_stack([counts.col + 1, counts.row + 1, counts.data]), fmt="%d")
    write_gz(folder / "matrix.mtx.gz", head + entries.getvalue())
    features = (f"SIM{i:05}\t{name}\tGene Expression\n" for i, name in enumerate(adata.var_names, 1))
    write_gz(folder / "features.tsv.gz", "".join(features))
    write_gz(folder / "barcodes.tsv.gz", "".join(f"{name}\n" for name in adata.obs_names))


def write_gz(path: Path, text: str) -> None:
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def make(folder: Path) -> None:
    params, data = folder / "small.params.yaml", folder / "small.h5ad"
    params.write_text(yaml(parameters()))
    sizes = ["--cells", str(N_CELLS), "--genes", str(N_GENES)]
    code = main(
        ["simulate", "--recipe", "zinbvcp", *sizes, "--params", str(params), "--seed", str(SEED), "-q", "-o", str(data)]
    )
    if code:
        raise SystemExit(code)
    write_mtx(folder / "small_mtx", anndata.read_h5ad(data))


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
