"""Where a run computes: device, threads, caches and precision, settled before jax starts."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DeviceUnavailable, UsageError
from .options import Machine

DEVICES = ("auto", "cpu", "gpu")
# where the kernel shows an NVIDIA or an AMD GPU
GPU_FILES = ("/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/kfd")
# the pools of XLA (PJRT_NPROC, and NPROC before it), OpenMP, OpenBLAS and MKL
THREAD_VARIABLES = ("PJRT_NPROC", "NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# of glibc's mallopt: up to 512 MiB come from one heap and stay there. Else what a program needs is mapped anew in each of its
# calls, and the faults of its pages take up to half of their time
KEPT_MEMORY = {-8: 1, -3: 2**29, -1: 2**30}  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
INSTALL = "a jaxlib for it comes with pip install 'scribe-singlecell[cuda12]' (or [cuda13])"


@dataclass(frozen=True)
class Device:
    """What jax computes on. `platform`: cpu or gpu; `threads` None: all the process may use."""

    platform: str
    description: str
    threads: int | None
    cache: Path | None
    notices: tuple[str, ...] = field(default=())
    warnings: dict[str, str] = field(default_factory=dict)

    @property
    def cores(self) -> int:
        """How many threads may run at a time."""
        if self.threads is not None:
            return self.threads
        try:
            return len(os.sched_getaffinity(0))
        except AttributeError:  # macOS and Windows do not have it
            return os.cpu_count() or 1


def start(machine: Machine) -> Device:
    """Set threads, caches, kept memory, precision and platform, and start jax.

    Call it before anything imports jax: threads and the cache of matplotlib are read at import. Errors: 69
    where the device asked for is not there, 2 for an environment variable that cannot be read.
    """
    wanted = asked_device(machine)
    threads = asked_threads(machine)
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    cache, notices = open_cache(cache_root())
    _keep_memory()
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", str(cache / compile_folder(jax.__version__)) if cache else None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    first = _devices(jax, wanted)[0]
    jax.config.update("jax_default_device", first)
    found = "cpu" if first.platform == "cpu" else "gpu"
    return Device(found, first.device_kind, threads, cache, notices, unused_gpu(wanted, found))


def _keep_memory() -> None:
    """For the next call of a program, where the C library can be told to."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # macOS and musl have no mallopt, Windows no library by None
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in KEPT_MEMORY.items():
            mallopt(parameter, value)


def asked_device(machine: Machine) -> str:
    """--device, else SCRIBE_DEVICE, else auto."""
    device = machine.device or os.environ.get("SCRIBE_DEVICE") or "auto"
    if device not in DEVICES:
        raise UsageError(f"device {device!r} (from --device or SCRIBE_DEVICE): it is one of {', '.join(DEVICES)}")
    return device


def asked_threads(machine: Machine) -> int | None:
    """--threads, else SCRIBE_THREADS, else SLURM_CPUS_PER_TASK, else None."""
    if machine.threads is not None:
        return machine.threads
    for name in ("SCRIBE_THREADS", "SLURM_CPUS_PER_TASK"):
        text = os.environ.get(name)
        if text and not (text.isdecimal() and int(text) > 0):
            raise UsageError(f"{name}={text}: a number of threads is a whole number of at least 1; set it so or unset it")
        if text:
            return int(text)
    return None


def cache_root() -> Path:
    """SCRIBE_CACHE_DIR, else scribe/ in $XDG_CACHE_HOME, else ~/.cache/scribe."""
    if chosen := os.environ.get("SCRIBE_CACHE_DIR"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scribe"


def open_cache(root: Path) -> tuple[Path | None, tuple[str, ...]]:
    """The cache folder, made and found writable, with other libraries' caches pointed into it; else a notice."""
    try:
        (root / "matplotlib").mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as e:
        where = f"cache folder {root} cannot be written ({e.strerror})"
        return None, (f"{where}: programs are compiled anew in each run; set SCRIBE_CACHE_DIR to a writable folder",)
    os.environ.setdefault("MPLCONFIGDIR", str(root / "matplotlib"))
    return root, ()


def compile_folder(jax_version: str) -> str:
    """<jax version>-<hash of CPU features>: a program compiled for one CPU may not run on another."""
    return f"{jax_version}-{hashlib.sha256(cpu_features().encode()).hexdigest()[:12]}"


def cpu_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return " ".join([platform.machine(), platform.processor(), *sorted(flags)])


def _devices(jax, wanted: str) -> list:
    """The devices of the platform wanted, the best first. An explicit wish goes before JAX_PLATFORMS."""
    if wanted == "auto":
        return _any_device(jax)
    jax.config.update("jax_platforms", "cpu" if wanted == "cpu" else None)
    try:
        return jax.devices(wanted)
    except RuntimeError as e:
        reason = str(e).splitlines()[0].rstrip(".")
        raise DeviceUnavailable(f"--device gpu: jax finds no GPU it can use ({reason}); {INSTALL}, or use --device cpu") from e


def _any_device(jax) -> list:
    """What jax chooses, of the platforms of JAX_PLATFORMS if that is set."""
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as e:  # an assertion for a platform known and not there
        named = os.environ.get("JAX_PLATFORMS", "")
        reason = (str(e).splitlines() or ["no such device is there"])[0].rstrip(".")
        raise DeviceUnavailable(
            f"JAX_PLATFORMS={named}: jax cannot start on it ({reason}); unset it, or use --device cpu"
        ) from e


def unused_gpu(wanted: str, found: str) -> dict[str, str]:
    """A warning where a GPU stands idle that nobody asked to leave alone."""
    present = next((f for f in GPU_FILES if os.path.exists(f)), None)
    if wanted != "auto" or found == "gpu" or present is None:
        return {}
    text = f"this machine has a GPU ({present}) that jax cannot use, so the run is on the CPU; {INSTALL}, or say --device cpu"
    return {"gpu_not_used": text}
