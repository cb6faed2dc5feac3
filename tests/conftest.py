"""One precision, one compile cache, and no broadcasting by accident, for every test."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# shared with the processes that tests start; one that is named outlives the run
SCRATCH = None
if not os.environ.get("SCRIBE_CACHE_DIR"):
    SCRATCH = tempfile.mkdtemp(prefix="scribe-tests-")
    os.environ["SCRIBE_CACHE_DIR"] = os.environ.get("JAX_COMPILATION_CACHE_DIR") or SCRATCH

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from scribe_cli.run import device  # noqa: E402
from scribe_cli.run.options import Machine  # noqa: E402

device.start(Machine())

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("scribe", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("scribe")
MANY_MAPS = 20_000


@pytest.fixture(autouse=True)
def same_environment():
    """What a run sets for itself, its threads above all, is not handed on to later tests and the processes they start."""
    kept = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(autouse=True, scope="module")
def not_too_many_programs():
    """Each compiled program maps memory, and Linux allows a process 65,530 maps, of which thousands of tests together need more."""
    yield
    if maps() > MANY_MAPS:
        jax.clear_caches()


def maps() -> int:
    """Of this process; 0 where the system does not tell."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return 0


def pytest_unconfigure(config):
    if SCRATCH:
        shutil.rmtree(SCRATCH, ignore_errors=True)
