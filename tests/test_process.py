"""scribe as a process: streams that are closed, full or of another encoding, a disk that fills, a strange environment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIBE = (sys.executable, "-m", "scribe_cli")


def ran(args, **how) -> subprocess.CompletedProcess:
    return subprocess.run([*SCRIBE, *args], capture_output=True, timeout=120, **how)


@pytest.mark.parametrize("closed", ["1", "2", "1 2"])
def test_closed_streams_lead_nowhere(closed):
    redirects = " ".join(f"{number}>&-" for number in closed.split())
    done = subprocess.run(f"{sys.executable} -m scribe_cli recipe list {redirects}", shell=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_stdout_is_an_error_of_its_own():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*SCRIBE, "recipe", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 74 and done.stderr.count("\n") == 1 and "No space left on device" in done.stderr


def test_names_come_out_under_any_locale(tmp_path):
    recipe = tmp_path / "übung.yaml"
    recipe.write_text("model: nbdm\n")
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = ran(["recipe", "check", str(recipe)], env=plain)
    assert done.returncode == 0 and "übung.yaml: a good recipe".encode() in done.stdout


@pytest.fixture
def little_room(tmp_path):
    """A folder on a disk of 2 MB."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path], capture_output=True)
    if made.returncode:
        pytest.skip("no small disk can be made here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_disk_that_fills_is_an_io_error_and_leaves_nothing(little_room):
    """HDF5 ends a process that cannot write what it holds with a segmentation fault, unless it is kept from it."""
    args = ["simulate", "--recipe", "nbdm", "--cells", "3000", "--genes", "3000", "-o", little_room / "s.h5ad", "-q"]
    done = ran(args, text=True)
    assert done.returncode == 74, done.stderr
    assert done.stderr.count("\n") == 1 and "writing failed (No space left on device)" in done.stderr
    assert list(little_room.iterdir()) == []


@pytest.mark.parametrize("name", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_named(name):
    done = ran(["score", "in.h5ad", "--fit", "out"], env=os.environ | {"JAX_PLATFORMS": name}, text=True)
    assert done.returncode == 69 and f"JAX_PLATFORMS={name}" in done.stderr and "unset it" in done.stderr
