"""What a verb is asked to do beyond its recipe: one frozen record a verb, made by the command line or a caller."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadRecipe, UsageError
from .recipe import recipe_file, yaml12

# endings a stem loses, longest first
ENDINGS = (
    *(".h5ad", ".zarr", ".loom", ".h5"),
    *(f"{text}{packed}" for text in (".mtx", ".csv", ".tsv", ".txt") for packed in (".gz", "")),
    ".gz",
)

# predictive counts: each from a draw of the parameters; all at the MAP; before capture and gate (MODELS.md 6)
POSTERIOR, MAP, BIOLOGICAL = KINDS = ("posterior", "map", "biological")


@dataclass(frozen=True)
class Machine:
    """Where to compute. None: the environment (SCRIBE_DEVICE, SCRIBE_THREADS, SLURM_CPUS_PER_TASK), else auto."""

    device: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class FitOptions:
    """`data`: one input, or several, each a dataset. `recipe` is a path, a bundled name or a mapping, `overrides`
    {dotted recipe key: value} goes before it; --layer, --dataset-key and --seed are overrides (data.layer,
    dataset_key, seed). `output` is OUT. `fail_on` holds the gates as written ("rhat>1.05"). `command`: what was typed,
    for the report alone. `overrides_from`: as errors name it.
    """

    data: tuple[Path, ...]
    recipe: str | Path | Mapping[str, Any]
    output: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine = Machine()
    transpose: bool = False
    key_added: str = "scribe"
    format: str | None = None
    overwrite: bool = False
    fail_on: tuple[str, ...] = ()
    dry_run: bool = False
    command: str = field(default="scribe_cli.fit(...)", compare=False)
    overrides_from: str = field(default="command line", compare=False)


@dataclass(frozen=True)
class FitRecord:
    """What `fit` did: "fitted", "unchanged" (the run was finished), "rebuilt" (fit.h5ad alone) or "checked".

    A dry run is "checked" and fills `resolved`, the text of recipe.resolved.yaml, alone. `failed_gates`: one
    text each.
    """

    output: Path
    did: str
    run_id: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    failed_gates: tuple[str, ...] = ()
    resolved: str = ""


@dataclass(frozen=True)
class ScoreOptions:
    """`by`: cell, gene or total. Either `recipe` with `params`, or `fit`, whose own recipe `overrides` then act on.

    `genes`: with `fit`, only these of its genes; None: all of them.
    """

    data: tuple[Path, ...]
    by: str
    recipe: str | None = None
    params: Path | None = None
    fit: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine = Machine()
    transpose: bool = False
    genes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SimulateOptions:
    """Either `cells` and `genes`, or `like`, a data file whose sizes and library sizes are taken."""

    recipe: str
    output: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    cells: int | None = None
    genes: int | None = None
    like: Path | None = None
    params: Path | None = None
    machine: Machine = Machine()
    transpose: bool = False


@dataclass(frozen=True)
class SummaryOptions:
    """`genes` None: all of them. `every_row`: one long table instead of the digest."""

    fit: Path
    descriptive: bool = False
    genes: tuple[str, ...] | None = None
    every_row: bool = False


@dataclass(frozen=True)
class PpcOptions:
    """`data` empty: the counts that were fitted. `n` None: output.ppc_samples of the fit; `seed` None: the fit's.

    `kind`: posterior, map or biological. `genes` None: tables of all genes, pictures of a choice. `overrides` act on the
    fit's recipe (data.layer, dataset_key).
    """

    fit: Path
    output: Path
    data: tuple[Path, ...] = ()
    n: int | None = None
    genes: tuple[str, ...] | None = None
    kind: str = "posterior"
    dataset: str | None = None
    seed: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    machine: Machine = Machine()
    transpose: bool = False


@dataclass(frozen=True)
class SampleOptions:
    """`seed` None: the fit's, whose first draws are those that the fit stored."""

    fit: Path
    n: int
    output: Path
    seed: int | None = None
    machine: Machine = Machine()


@dataclass(frozen=True)
class ReportOptions:
    """`output` None: report.html of the fit itself is replaced."""

    fit: Path
    output: Path | None = None


@dataclass(frozen=True)
class RecipeOptions:
    """For `recipe check` and `recipe explain`; with `data`, what depends on the data is looked at too."""

    recipe: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    data: Path | None = None
    machine: Machine = Machine()
    transpose: bool = False


@dataclass(frozen=True)
class InspectOptions:
    """`layer` None: the matrix that holds the counts is sought."""

    data: Path
    layer: str | None = None
    dataset_key: str | None = None
    machine: Machine = Machine()
    transpose: bool = False


def stem(path: str | Path) -> str:
    """The name of a file or directory without its format's ending."""
    name = Path(path).absolute().name
    return next((name[: -len(e)] for e in ENDINGS if name.endswith(e) and len(name) > len(e)), name)


def stems(paths: Sequence[Path]) -> list[str]:
    """What each input is called: its stem; where stems repeat, the parts of the paths that tell them apart.

    UsageError (2) for one input given twice.
    """
    real = [os.path.realpath(path) for path in paths]
    again = next((path for path, r in zip(paths, real, strict=True) if real.count(r) > 1), None)
    if again is not None:
        raise UsageError(f"{again}: is given twice as an input; give each once")
    found = [stem(path) for path in paths]
    if len(set(found)) == len(found):
        return found
    pieces = [Path(os.path.abspath(path)).parts for path in paths]
    longest = max(map(len, pieces))
    padded = [("",) * (longest - len(p)) + p for p in pieces]
    telling = [i for i in range(longest) if len({p[i] for p in padded}) > 1]
    return ["-".join(p[i] for i in telling if p[i]) for p in padded]


def output_folder(output: Path | None, data: Sequence[Path], recipe: str) -> Path:
    """OUT as given, or ./<data stem>.<recipe stem>.scribe, of several inputs <first stem>+<number of the others>.

    An OUT that looks like a file is a usage error.
    """
    if output is None:
        more = f"+{len(data) - 1}" if len(data) > 1 else ""
        return Path(f"{stem(data[0])}{more}.{Path(recipe).name.removesuffix('.yaml')}.scribe")
    if output.suffix in (".h5ad", ".zarr"):
        folder = output.with_suffix(".scribe")
        raise UsageError(
            f"-o {output}: the output of a fit is a directory, {output.name} names a file; "
            f"write -o {folder}, the AnnData is then {folder}/fit{output.suffix}"
        )
    return output


def refuse_input(output: Path, *inputs: Path | None) -> None:
    """UsageError (2) where the output would replace what is read: a file, or what lies in a directory."""
    real = Path(os.path.realpath(output))
    for path in inputs:
        if path is not None and os.path.exists(real) and real.is_relative_to(os.path.realpath(path)):
            raise UsageError(f"-o {output}: is, or lies in, {path}, which is read; name another file")


def gene_names(values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names from --genes: each value is a file with one name a line, or names with commas between; none: None."""
    names: list[str] = []
    for value in values:
        names += recipe_file.gene_names(Path(value), "--genes") if Path(value).is_file() else value.split(",")
    return tuple(name.strip() for name in names if name.strip()) or None


def setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE of --set as dotted key and YAML value. Errors: 78."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadRecipe(f"--set {text}: write KEY=VALUE, as in --set svi.n_steps=5000")
    return key.strip(), yaml12.parse(value, f"--set {key.strip()}").value
