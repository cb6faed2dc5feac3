"""What ran: versions, the environment, peak memory, and versions.yml of them."""

from __future__ import annotations

import contextlib
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

from .. import __version__

# the packages whose version can change a result or a file
PACKAGES = (
    "anndata",
    "arviz-base",
    "arviz-stats",
    "h5py",
    "jax",
    "jaxlib",
    "numpy",
    "numpyro",
    "optax",
    "pandas",
    "pydantic",
    "scipy",
    "xarray",
    "zarr",
)


def versions() -> dict[str, str]:
    """{name: version} of the tool, of Python, and of the libraries a result depends on."""
    return {"scribe": __version__, "python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES}


def versions_yml() -> str:
    """versions.yml: one mapping under the tool's name, as workflow managers collect them."""
    return "scribe:\n" + "".join(f'  {name}: "{version}"\n' for name, version in versions().items())


def environment() -> dict[str, str]:
    """The machine and the command, for run.log; never part of a fingerprint."""
    return {
        "command": " ".join(sys.argv),
        "host": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
    }


def peak_memory_gb() -> float:
    """The largest resident size of this process so far, in 1e9 bytes.

    Linux hands ru_maxrss on to the processes that a process starts, so there the kernel's own note is read.
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
