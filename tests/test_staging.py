"""Replacing an older result: whatever happens on the way, fit.h5ad is the old or the new, and a rerun finishes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anndata
from tests import fits
import h5py
import pytest
import scipy.sparse

from scribe_cli.errors import BadRecipe, CannotCreate, IOFailure
from scribe_cli.io import manifest, staging
from scribe_cli.io.fit import open_fit, write_fit

OLD, NEW = "a" * 16, "b" * 16

# writes a second fit over the first and is killed at its n-th step of replacing
SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests import fits
import test_staging
folder = Path(sys.argv[1])
fit = fits.outputs(test_staging.again(folder), record=fits.record(test_staging.NEW), write_tables=False)
with test_staging.stopping(folder / "out", int(sys.argv[2]), lambda: os.kill(os.getpid(), signal.SIGKILL)):
    test_staging.write_fit(folder / "out", fit)
"""


class Killed(BaseException):
    """Ends a write where it is; nothing in the product catches it."""


def kill():
    raise Killed


@contextlib.contextmanager
def stopping(out, n, stop):
    """Call `stop` at the n-th move or removal of an entry of OUT."""
    calls = itertools.count()

    def fatal(call):
        def wrapped(path, *args, **kwargs):
            path = Path(path)
            entry = path.is_relative_to(out) and len(path.relative_to(out).parts) <= 3
            sealing = path.suffix == ".new"  # within the stage, before OUT is touched
            if entry and not sealing and next(calls) == n:
                stop()
            return call(path, *args, **kwargs)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        for place, name in ((os, "rename"), (os, "replace"), (shutil, "rmtree")):
            patch.setattr(place, name, fatal(vars(place)[name]))
        yield


def killed(out, n, fit) -> bool:
    """Write `fit` until the n-th step of replacing; whether there were so many."""
    try:
        with stopping(out, n, kill):
            write_fit(out, fit)
    except Killed:
        return True
    return False


def again(folder):
    """The source that was written to `folder`."""
    data = fits.adata()
    return fits.source(folder / "input.h5ad", scipy.sparse.csr_array(data.X), data.obs, data.var)


def id_in(path: Path) -> str:
    with h5py.File(path) as file:
        return file["uns/scribe"].attrs["run_id"]


def test_stopped_anywhere_fit_h5ad_is_old_or_new_and_a_rerun_finishes(tmp_path):
    src, out, first, seen = fits.h5ad(tmp_path), tmp_path / "out", tmp_path / "first", []
    write_fit(first, fits.outputs(src, record=fits.record(OLD)))
    (first / "mine.txt").write_text("a user's own")
    for n in itertools.count():
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(first, out)
        more = killed(out, n, fits.outputs(src, record=fits.record(NEW), write_tables=False))
        seen.append(id_in(out / "fit.h5ad"))
        anndata.read_h5ad(out / "fit.h5ad")
        if staging.sealed(out, NEW):
            staging.commit(out, NEW)
        else:
            write_fit(out, fits.outputs(src, record=fits.record(NEW), write_tables=False))
        assert manifest.finished(out, NEW) and open_fit(out).run_id == NEW
        left = [
            "fit.h5ad",
            "posterior.zarr",
            "metrics.json",
            "recipe.yaml",
            "recipe.resolved.yaml",
            "manifest.json",
            "mine.txt",
        ]
        assert sorted(p.name for p in out.iterdir()) == sorted(left)
        if not more:
            break
    assert n >= 7 and seen == sorted(seen) and {OLD, NEW} == set(seen)


@pytest.mark.parametrize("n", [1, 6])
def test_kill_9(tmp_path, n):
    out, here = tmp_path / "out", Path(__file__).parent
    write_fit(out, fits.outputs(fits.h5ad(tmp_path), record=fits.record(OLD)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), str(n)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL and id_in(out / "fit.h5ad") == OLD
    assert not manifest.finished(out, OLD) and not manifest.finished(out, NEW) and staging.sealed(out, NEW)
    staging.commit(out, NEW)
    assert manifest.finished(out, NEW)


def test_stopped_while_the_format_changes(tmp_path):
    src, out = fits.h5ad(tmp_path), tmp_path / "out"
    for n in itertools.count(5):
        write_fit(out, fits.outputs(src, record=fits.record(OLD)))
        assert manifest.finished(out, OLD) and not (out / "fit.zarr").exists()
        more = killed(out, n, fits.outputs(src, record=fits.record(NEW, format="zarr")))
        assert staging.sealed(out, NEW)
        staging.commit(out, NEW)
        assert manifest.finished(out, NEW) and not (out / "fit.h5ad").exists()
        if not more:
            break


def test_half_moved_entries_are_seen_as_two_runs(tmp_path):
    src, out = fits.h5ad(tmp_path), tmp_path / "out"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))
    assert killed(out, 4, fits.outputs(src, record=fits.record(NEW)))
    assert not manifest.finished(out, OLD) and not manifest.finished(out, NEW)
    with pytest.raises(IOFailure, match="two runs"):
        open_fit(out)


def test_replacing_a_fit_under_another_key(tmp_path):
    src, out = fits.h5ad(tmp_path), tmp_path / "out"
    write_fit(out, fits.outputs(src, record=fits.record(OLD)))
    assert killed(out, 8, fits.outputs(src, record=fits.record(NEW, key="other")))  # before the last move, of fit.h5ad
    assert manifest.read_manifest(out)["run_id"] == NEW and id_in(out / "fit.h5ad") == OLD
    assert not manifest.finished(out, NEW) and staging.sealed(out, NEW)
    with pytest.raises(IOFailure, match=r"two runs .*fit.h5ad unreadable"):
        open_fit(out)
    staging.commit(out, NEW)
    assert manifest.finished(out, NEW)


def test_a_manifest_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "web app"}')
    with pytest.raises(IOFailure, match="is no manifest of a fit"):
        manifest.refuse_other(tmp_path, {})


def test_an_unfinished_stage_is_not_sealed(tmp_path):
    staging.open_stage(tmp_path / "out", NEW)
    assert not staging.sealed(tmp_path / "out", NEW)


def test_an_output_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreate, match="choose another --output"):
        staging.open_stage(tmp_path / "file", NEW)


def test_no_room(tmp_path):
    staging.require_room(tmp_path / "not" / "yet", 1)
    with pytest.raises(CannotCreate, match="need about"):
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


def test_one_process_at_a_time_writes_into_an_output(tmp_path):
    with staging.claimed(tmp_path / "out"):
        with pytest.raises(BadRecipe, match="another process"), staging.claimed(tmp_path / "out"):
            pass
        with staging.claimed(tmp_path / "other"):
            pass
    with staging.claimed(tmp_path / "out"):
        assert list((tmp_path / "out").iterdir()) == []
