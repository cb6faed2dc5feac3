"""Device, threads and caches: who has the say, and what is refused."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import jax
import pytest

from scribe_cli.errors import DeviceUnavailable, UsageError
from scribe_cli.run import device
from scribe_cli.run.options import Machine

VARIABLES = ("SCRIBE_DEVICE", "SCRIBE_THREADS", "SLURM_CPUS_PER_TASK", "SCRIBE_CACHE_DIR", "XDG_CACHE_HOME")


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


def test_threads(environment):
    assert device.asked_threads(Machine()) is None
    environment("SLURM_CPUS_PER_TASK", "8")
    assert device.asked_threads(Machine()) == 8
    environment("SCRIBE_THREADS", "3")
    assert device.asked_threads(Machine()) == 3
    assert device.asked_threads(Machine(threads=2)) == 2


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5"])
def test_threads_refused(environment, text):
    environment("SCRIBE_THREADS", text)
    with pytest.raises(UsageError, match=f"SCRIBE_THREADS={text}"):
        device.asked_threads(Machine())


def test_device(environment):
    assert device.asked_device(Machine()) == "auto"
    environment("SCRIBE_DEVICE", "cpu")
    assert device.asked_device(Machine()) == "cpu"
    assert device.asked_device(Machine("gpu")) == "gpu"
    environment("SCRIBE_DEVICE", "tpu")
    with pytest.raises(UsageError, match="auto, cpu, gpu"):
        device.asked_device(Machine())


def test_no_gpu_is_refused():
    if jax.default_backend() != "cpu":
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailable, match="--device cpu"):
        device.start(Machine("gpu"))


def test_idle_gpu_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "GPU_FILES", (str(tmp_path),))
    assert "gpu_not_used" in device.unused_gpu("auto", "cpu")
    assert device.unused_gpu("cpu", "cpu") == {} == device.unused_gpu("auto", "gpu")
    monkeypatch.setattr(device, "GPU_FILES", (str(tmp_path / "none"),))
    assert device.unused_gpu("auto", "cpu") == {}


def test_cache_root(environment, tmp_path):
    environment("XDG_CACHE_HOME", str(tmp_path))
    assert device.cache_root() == tmp_path / "scribe"
    environment("SCRIBE_CACHE_DIR", str(tmp_path / "mine"))
    assert device.cache_root() == tmp_path / "mine"


def test_cache_that_cannot_be_written_is_a_notice(tmp_path, monkeypatch):
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    (tmp_path / "file").touch()
    cache, notices = device.open_cache(tmp_path / "file" / "cache")
    assert cache is None and "SCRIBE_CACHE_DIR" in notices[0]
    cache, notices = device.open_cache(tmp_path / "cache")
    assert (cache, notices) == (tmp_path / "cache", ())
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "cache" / "matplotlib")
    assert [f.name for f in cache.iterdir()] == ["matplotlib"]


def test_compile_folder_is_of_this_cpu(monkeypatch):
    here = device.compile_folder("0.10.2")
    assert here.startswith("0.10.2-") and here == device.compile_folder("0.10.2")
    monkeypatch.setattr(device, "cpu_features", lambda: "x86_64 sse2")
    assert device.compile_folder("0.10.2") != here


def test_a_start_sets_precision_and_fills_the_cache(tmp_path):
    code = (
        "import jax\n"
        "from scribe_cli.run import device\n"
        "from scribe_cli.run.options import Machine\n"
        "d = device.start(Machine('cpu', 1))\n"
        "print(d.platform, d.threads, jax.jit(lambda x: x * 3.0)(1.0).dtype)\n"
    )
    env = {**os.environ, "SCRIBE_CACHE_DIR": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout == "cpu 1 float64\n" and out.stderr == ""
    assert list((tmp_path / device.compile_folder(jax.__version__)).iterdir())


FAULTS = """
import resource
from scribe_cli.run import device
from scribe_cli.run.options import Machine
device.start(Machine(device="cpu"))
import jax, jax.numpy as jnp
call = jax.jit(lambda x: (jnp.exp(x[:, None] + x) @ x).sum())
x = jnp.linspace(0.0, 1.0, 3000)
faults = []
for _ in range(60):
    call(x).block_until_ready()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print((faults[-1] - faults[39]) / 20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_a_program_s_memory_is_kept_for_its_next_call(tmp_path):
    env = {**os.environ, "SCRIBE_CACHE_DIR": str(tmp_path)}
    out = subprocess.run([sys.executable, "-c", FAULTS], env=env, capture_output=True, text=True, check=True)
    assert float(out.stdout) < 5000  # pages a call: its matrix has 17,600, and some calls find no room between what others left
