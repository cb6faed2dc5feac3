"""manifest.json, run ids, fingerprints: whether OUT is finished, and whose it is. Loads neither jax nor zarr."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py

from ..errors import BadData, BadRecipe, InputMissing, IOFailure
from .outputs import RunRecord, Told
from .schema import FIT, MANIFEST, METRICS, REPORT, RESOLVED, SCHEMA_VERSION, STORE
from .staging import put_file, read_manifest, stale

RUN_ID_COMMENT = "# run_id: "
BLOCK = 1 << 20


def canonical(value: Any) -> str:
    """JSON with one way to write it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fingerprint(recipe: Mapping[str, Any], key_added: str, format: str, digest: str) -> dict[str, str]:
    """What makes two runs the same: the resolved recipe (a JSON-able mapping), --key-added, --format, the input's
    content and the schema version; no paths, hosts or devices."""
    return {
        "recipe": hashlib.sha256(canonical(recipe).encode()).hexdigest(),
        "--key-added": key_added,
        "--format": format,
        "input": digest,
        "schema version": str(SCHEMA_VERSION),
    }


def run_id(fingerprint: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """16 hexadecimal digits made from fingerprint and versions of the libraries."""
    return hashlib.sha256(canonical([dict(fingerprint), dict(versions)]).encode()).hexdigest()[:16]


def manifest_text(folder: Path, record: RunRecord, told: Told) -> str:
    """manifest.json over all files below `folder`."""
    of_run = {"run_id": record.run_id, "key": record.key, "fingerprint": dict(record.fingerprint)}
    return _text({**of_run, "told": asdict(told), "files": _sums(folder)})


def told(out: Path) -> Told:
    """What the run of OUT said and was told. BadData (65) where a version made it that did not keep that."""
    manifest = read_manifest(out)
    if "told" not in manifest:
        raise BadData(f"{out}: made by an earlier version of scribe, without what its report needs; run the fit again")
    kept = manifest["told"]
    return Told(kept["command"], tuple(kept["data"]), kept["warnings"], tuple(kept["notices"]))


def put_report(out: Path, text: str) -> None:
    """Replace report.html of a finished run, and its sum in the manifest; one that says the same is left."""
    manifest, content = read_manifest(out), page(text)
    sums = {**manifest["files"], REPORT: hashlib.sha256(content).hexdigest()}
    if not (out / REPORT).exists() or (out / REPORT).read_bytes() != content:
        put_file(out, REPORT, content)
    if sums != manifest["files"]:
        put_file(out, MANIFEST, _text({**manifest, "files": dict(sorted(sums.items()))}).encode())


def page(text: str) -> bytes:
    """report.html. The names of files in it are the bytes that they have, UTF-8 or not."""
    return text.encode("utf-8", "surrogateescape")


def sums_text(manifest: Mapping[str, Any], folder: Path) -> str:
    """The manifest with the entries that lie in `folder` summed anew."""
    made = _sums(folder)
    entries = {f.split("/")[0] for f in made}
    kept = {f: s for f, s in manifest["files"].items() if f.split("/")[0] not in entries}
    return _text({**manifest, "files": dict(sorted((kept | made).items()))})


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): sha256(p) for p in files}


def _text(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_other(out: Path, fingerprint: Mapping[str, str]) -> None:
    """BadRecipe (78) where OUT holds the results of another run, naming what differs."""
    manifest = read_manifest(out)
    if manifest is None:
        return
    theirs = manifest["fingerprint"]
    differs = [k for k, v in fingerprint.items() if theirs.get(k) != v]
    if differs:
        raise BadRecipe(
            f"{out}: holds the results of another run: {', '.join(differs)} differs;"
            " choose another --output, or replace it with --overwrite"
        )


def finished(out: Path, run_id: str) -> bool:
    """Whether manifest, fit and every entry in OUT are there and carry this run id, and nothing older lies about."""
    manifest = read_manifest(out)
    if manifest is None or manifest["run_id"] != run_id or stale(out):
        return False
    return all((out / f).exists() for f in manifest["files"]) and set(run_ids(out).values()) == {run_id}


def touch(out: Path, format: str) -> None:
    """Set the time of fit.h5ad or fit.zarr to now: Make then sees its target as made."""
    os.utime(out / FIT[format])


def run_ids(out: Path) -> dict[str, str]:
    """{entry: the run id it carries} of the entries that carry one and are there."""
    readers = {
        STORE: lambda path: json.loads((path / ".zattrs").read_text())["run_id"],
        METRICS: lambda path: json.loads(path.read_text())["run_id"],
        RESOLVED: _resolved_run_id,
        MANIFEST: lambda path: json.loads(path.read_text())["run_id"],
        FIT["h5ad"]: _h5ad_run_id,
        FIT["zarr"]: _zarr_run_id,
    }
    return {name: _read(read, out / name) for name, read in readers.items() if (out / name).exists()}


def one_run(out: Path) -> str:
    """The run id of OUT. InputMissing where there is no fit; IOFailure where its entries are of two runs."""
    if not (out / STORE).exists():
        raise InputMissing(f"{out}: no fit there (no {STORE}); give the output directory of scribe fit")
    ids = run_ids(out)
    if len(set(ids.values())) > 1:
        each = ", ".join(f"{name} {value}" for name, value in ids.items())
        raise IOFailure(f"{out}: its entries are of two runs ({each}); run the fit again to complete it")
    return next(iter(ids.values()))


def locate(path: Path) -> Path:
    """OUT of a FIT: the directory itself, or that of the fit.h5ad or fit.zarr in it."""
    if not path.exists():
        raise InputMissing(f"{path}: no such fit; give the output directory of scribe fit")
    return path.parent if path.name in FIT.values() else path


def stamps(paths: Iterable[Path]) -> list[list[int]]:
    """Size, time of change and inode of every file of an input: while they stay, so does its content."""
    files = (f for p in paths for f in (sorted(p.rglob("*")) if p.is_dir() else [p]))
    return [[s.st_size, s.st_mtime_ns, s.st_ino] for s in (f.stat() for f in files)]


def _read(read: Any, path: Path) -> str:
    """The run id, or a text that equals none where the entry is not whole or of a run under another key."""
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"unreadable ({error})"


def _resolved_run_id(path: Path) -> str:
    first = path.read_text().split("\n", 1)[0]
    return first.removeprefix(RUN_ID_COMMENT)


def _h5ad_run_id(path: Path) -> str:
    key = json.loads((path.parent / MANIFEST).read_text())["key"]
    with h5py.File(path, "r") as file:
        return file["uns"][key].attrs["run_id"]


def _zarr_run_id(path: Path) -> str:
    key = json.loads((path.parent / MANIFEST).read_text())["key"]
    group = path / "uns" / key
    if (group / ".zattrs").exists():
        return json.loads((group / ".zattrs").read_text())["run_id"]
    return json.loads((group / "zarr.json").read_text())["attributes"]["run_id"]


def metrics(out: Path) -> dict[str, Any]:
    """metrics.json of OUT."""
    return json.loads((out / METRICS).read_text())
