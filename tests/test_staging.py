"""Replacing an older result: whatever happens on the way, fit.h5ad is the old or the new, and a rerun finishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anndata
import fits
import h5py
import pytest

from scribe_cli.errors import CannotCreate, IOFailure
from scribe_cli.io import manifest, staging
from scribe_cli.io.fit import open_fit, write_fit

OLD, NEW = "a" * 16, "b" * 16

# writes a second fit over a first and kills itself at the n-th call that renames or removes something
SCRIPT = """
import os, signal, sys, shutil
from pathlib import Path
import fits
from scribe_cli.io.fit import write_fit
folder, format, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0
def fatal(call):
    def wrapped(*args, **kwargs):
        global count
        if str(folder / "out") in str(args[0]):
            count += 1
            if count > n:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped
data = fits.adata()
import scipy.sparse
src = fits.source(folder / "input.h5ad", scipy.sparse.csr_array(data.X), data.obs, data.var)
fit = fits.outputs(src, record=fits.record("b" * 16, format=format), write_tables=False)
os.rename, os.replace, shutil.rmtree = fatal(os.rename), fatal(os.replace), fatal(shutil.rmtree)
write_fit(folder / "out", fit)
"""


def killed(folder, format, n) -> bool:
    """Run SCRIPT; whether it was killed."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder), format, str(n)], env=environment, check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def id_in(path: Path) -> str:
    with h5py.File(path) as file:
        return file["uns/scribe"].attrs["run_id"]


def test_killed_anywhere_fit_h5ad_is_old_or_new_and_a_rerun_finishes(tmp_path):
    src = fits.h5ad(tmp_path)
    out, n, seen = tmp_path / "out", 0, []
    while True:
        subprocess.run(["rm", "-rf", str(out)], check=True)
        write_fit(out, fits.outputs(src, record=fits.record(OLD)))
        (out / "mine.txt").write_text("a user's own")
        more = killed(tmp_path, "h5ad", n)
        seen.append(id_in(out / "fit.h5ad"))
        anndata.read_h5ad(out / "fit.h5ad")
        if manifest.finished(out, NEW):
            assert not (out / "tables").exists()
        elif staging.sealed(out, NEW):
            staging.commit(out, NEW)
        else:
            write_fit(out, fits.outputs(src, record=fits.record(NEW), write_tables=False))
        assert manifest.finished(out, NEW) and open_fit(out).run_id == NEW
        assert sorted(p.name for p in out.iterdir()) == sorted(
            ["fit.h5ad", "posterior.zarr", "metrics.json", "recipe.yaml", "recipe.resolved.yaml", "manifest.json", "mine.txt"]
        )
        if not more:
            break
        n += 1
    assert n >= 7 and seen == sorted(seen) and {OLD, NEW} == set(seen)


def test_killed_while_the_format_changes(tmp_path):
    src = fits.h5ad(tmp_path)
    out = tmp_path / "out"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))
    n = 5
    while killed(tmp_path, "zarr", n):
        assert staging.sealed(out, NEW)
        staging.commit(out, NEW)
        assert manifest.finished(out, NEW) and not (out / "fit.h5ad").exists()
        write_fit(out, fits.outputs(src, record=fits.record(OLD)))
        assert manifest.finished(out, OLD) and not (out / "fit.zarr").exists()
        n += 1
    assert manifest.finished(out, NEW)


def test_half_moved_entries_are_no_fit_and_two_runs_are_seen(tmp_path):
    src = fits.h5ad(tmp_path)
    out = tmp_path / "out"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))
    killed(tmp_path, "h5ad", 3)
    assert not manifest.finished(out, OLD) and not manifest.finished(out, NEW)
    with pytest.raises(IOFailure, match="two runs"):
        open_fit(out)


def test_an_unfinished_stage_is_not_sealed(tmp_path):
    staging.open_stage(tmp_path / "out", NEW)
    assert not staging.sealed(tmp_path / "out", NEW)


def test_an_output_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreate, match="choose another --output"):
        staging.open_stage(tmp_path / "file", NEW)


def test_no_room(tmp_path):
    staging.require_room(tmp_path / "not" / "yet", 1)
    with pytest.raises(CannotCreate, match="needs about"):
        staging.require_room(tmp_path / "not" / "yet", 1 << 60)


def test_a_failing_write_is_an_io_failure_and_leaves_the_old_result(tmp_path, monkeypatch):
    src = fits.h5ad(tmp_path)
    out = tmp_path / "out"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))

    def full(*_):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("scribe_cli.io.fit.write_tables", full)
    with pytest.raises(IOFailure, match="No space left on device"):
        write_fit(out, fits.outputs(src, record=fits.record(NEW)))
    assert manifest.finished(out, OLD) and not (out / ".tmp").exists()


def test_a_link_to_a_folder_is_replaced_not_followed(tmp_path):
    src = fits.h5ad(tmp_path)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))
    (out / "posterior.zarr").rename(elsewhere)
    (out / "posterior.zarr").symlink_to(elsewhere)
    write_fit(out, fits.outputs(src, record=fits.record(NEW)))
    assert manifest.finished(out, NEW) and (elsewhere / ".zgroup").exists()
