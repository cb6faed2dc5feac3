"""A file too large to copy in memory: made in chunks, inspected, copied, and fitted, with what each costs.

    python tests/large.py FILE [--cells 200000] [--genes 20000] [--skip fit]

Each step is a process of its own; its seconds and the peak of its resident memory are printed. Not collected by pytest.
FILE is made unless it is there, and is left; what a fit writes goes beside it, and is taken away.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

DENSITY = 0.05
SPREAD_OF_GENES, SPREAD_OF_CELLS = 1.6, 0.4  # of log means
PART = 1000  # cells made at a time
RECIPE = "nbdm"
GB = 1e9


def make(path: Path, n_cells: int, n_genes: int) -> None:
    """Gene means m log-normal as in real data, DENSITY of the counts not zero; CSR in chunks, gzip level 1.

    A count is zero as a Poisson one is, else 1 + Poisson(m / 2): dense Poisson draws take a quarter of an hour.
    """
    rng = np.random.default_rng(0)
    gene = rng.normal(0, SPREAD_OF_GENES, n_genes)
    mean = np.exp(gene + _level(gene))
    with h5py.File(path, "w") as file:
        _encoded(file, "anndata", "0.1.0")
        x = file.create_group("X")
        _encoded(x, "csr_matrix", "0.1.0")
        x.attrs["shape"] = [n_cells, n_genes]
        packed = {"maxshape": (None,), "chunks": (1 << 18,), "compression": "gzip", "compression_opts": 1}
        data, indices = (
            x.create_dataset(name, (0,), kind, **packed) for name, kind in (("data", "f4"), ("indices", "i4"))
        )
        ends = [np.zeros(1, np.int64)]
        for start in range(0, n_cells, PART):
            depth = np.exp(rng.normal(0, SPREAD_OF_CELLS, min(PART, n_cells - start)))
            means = np.outer(depth, mean).astype(np.float32)
            row, column = np.nonzero(rng.random(means.shape, np.float32) < -np.expm1(-means))
            for array, values in ((data, 1 + rng.poisson(means[row, column] / 2)), (indices, column)):
                array.resize((len(array) + len(values),))
                array[-len(values) :] = values
            ends.append(ends[-1][-1] + np.cumsum(np.bincount(row, minlength=len(means))))
        x["indptr"] = np.concatenate(ends)
        for side, n in (("obs", n_cells), ("var", n_genes)):
            _frame(file, side, n)


def _level(gene: np.ndarray) -> float:
    """What is added to the log means, that DENSITY of the counts are not zero."""
    low, high = -20.0, 5.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(-np.expm1(-np.exp(gene + middle))) < DENSITY else (low, middle)
    return low


def _frame(file: h5py.File, side: str, n: int) -> None:
    """Names and, of cells, a column of four batches."""
    frame = file.create_group(side)
    _encoded(frame, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    columns = {"batch": np.arange(n, dtype=np.int8) % 4} if side == "obs" else {}
    frame.attrs["column-order"] = np.array(list(columns), h5py.string_dtype())
    frame["_index"] = np.array([f"{side}{i}" for i in range(n)], h5py.string_dtype())
    _encoded(frame["_index"], "string-array", "0.2.0")
    for name, values in columns.items():
        frame[name] = values
        _encoded(frame[name], "array", "0.2.0")


def _encoded(element, kind: str, version: str) -> None:
    element.attrs["encoding-type"], element.attrs["encoding-version"] = kind, version


def copy(path: Path) -> None:
    """X from h5ad to h5ad, as a fit with output.data: full does."""
    from scribe_cli.io.elements import copy_element

    target = path.with_suffix(".copy")
    with h5py.File(path) as source, h5py.File(target, "w") as file:
        copy_element(source, file, "X")
    target.unlink()


def measured(name: str, command: list[str]) -> str:
    """Run, print seconds and peak memory; stdout. Exits with the command's code if it fails."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} failed with {os.waitstatus_to_exitcode(status)}")
    print(f"{name:<8} {time.monotonic() - started:7.1f} s  peak {usage.ru_maxrss * 1024 / GB:6.2f} GB", flush=True)
    return said


def fit(path: Path) -> None:
    out = path.with_suffix(".scribe")
    scribe = [sys.executable, "-m", "scribe_cli", "fit", str(path), "-q", "--recipe", RECIPE, "-o", str(out)]
    measured("fit", [*scribe, "--overwrite", "--set", "output.data=results"])
    metrics = json.loads((out / "metrics.json").read_text())
    seconds = {name.removeprefix("seconds_"): v for name, v in metrics.items() if name.startswith("seconds_")}
    print(f"  {metrics['engine']}, converged {metrics['converged']}, {metrics['n_steps']} steps, seconds {seconds}")
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    with h5py.File(out / "fit.h5ad") as file:
        left = f"X in it: {'X' in file}, layers: {', '.join(file['layers']) or 'none'}"
    print(f"  OUT {size / GB:.3f} GB, fit.h5ad {(out / 'fit.h5ad').stat().st_size / GB:.3f} GB, {left}")
    shutil.rmtree(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--cells", type=int, default=200_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--skip", nargs="*", default=[], choices=["inspect", "copy", "fit"])
    parser.add_argument("--only", choices=["make", "copy"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        return make(asked.file, asked.cells, asked.genes) if asked.only == "make" else copy(asked.file)
    sizes = ["--cells", str(asked.cells), "--genes", str(asked.genes)]
    again = [sys.executable, __file__, str(asked.file), *sizes, "--only"]
    if not asked.file.exists():
        measured("make", [*again, "make"])
    with h5py.File(asked.file) as file:
        print(f"  {file['X/data'].shape[0]:,} non-zeros, {asked.file.stat().st_size / GB:.2f} GB in the file")
    if "inspect" not in asked.skip:
        print(measured("inspect", [sys.executable, "-m", "scribe_cli", "inspect", str(asked.file), "-q"]))
    if "copy" not in asked.skip:
        measured("copy", [*again, "copy"])
    if "fit" not in asked.skip:
        fit(asked.file)


if __name__ == "__main__":
    main()
