"""`scribe simulate`: counts drawn from a model at a prior draw or at given parameters, with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from .. import __version__
from ..core.axes import CELL, COMPONENT, DATASET
from ..core.model.spec import ModelSpec
from ..errors import BadRecipe, UsageError, listed
from ..io.staging import refuse_entry
from . import device, params, reading
from .options import SimulateOptions, refuse_input
from .recipe import config as recipes
from .recipe import resolved
from .recipe.config import Config
from .terminal.console import Console

if TYPE_CHECKING:  # both import jax, which the device settings must precede
    from ..core.facts import Facts
    from ..core.simulate import Simulation

LIBRARY_SIZE = "library_size"
# keys that a recipe may have for its fits, and that can do nothing here
OF_A_FIT = ("svi", "mcmc", "vae", "guide", "engine", "inference_method", "output")
N_DATASETS = 2  # where a recipe names datasets, and neither data nor parameters say how many


@dataclass(frozen=True)
class Frame:
    """Where counts are drawn: obs and var with the names, the facts that the priors need, and the names of components

    and datasets, {axis: labels}, of a model that has them.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    facts: Facts
    coords: Mapping[str, Sequence[str]]


def simulate(asked: SimulateOptions, console: Console) -> None:
    """Write the .h5ad. Errors: 2 for options that do not fit together, 78, 65 and 66 for what is read, 73."""
    config = recipes.load(asked.recipe, asked.overrides)
    spec = config.resolve()
    _check(asked)
    given = None if asked.params is None else params.read(asked.params)
    chosen = device.start(asked.machine)
    console.tell(chosen)
    unread = sorted({key.split(".")[0] for key in config.given() if _of_data(key)})
    if asked.like is None and unread:
        console.notice(f"the recipe's {listed(unread)}: about a data file, and none is read without --like; not used")
    frame = _made(asked, config, spec, given) if asked.like is None else _like(asked, config, spec, console)
    if asked.like is None and LIBRARY_SIZE in frame.obs:
        console.notice(
            f"obs {LIBRARY_SIZE} holds the library sizes that capture was drawn with; a fit of these counts needs "
            f"--set data.library_size={LIBRARY_SIZE}"
        )
    with console.phase("simulate"):
        simulation = _simulation(asked, spec, frame.facts, given, config.seed)
        _write(asked, config, frame, simulation, chosen.cores, console)


def _check(asked: SimulateOptions) -> None:
    """What needs no data to be refused."""
    out = asked.output
    if out.suffix != ".h5ad":
        raise UsageError(f'-o {out}: ends in "{out.suffix}"; simulate writes one .h5ad file, name it {out.stem}.h5ad')
    refuse_entry(out)
    refuse_input(out, asked.like, asked.params)
    for key in asked.overrides:
        if key.split(".")[0] in OF_A_FIT:
            raise BadRecipe(f"command line: {key} is about a fit, and simulate makes none; leave it out", key=key)
    if asked.like is not None:
        return
    if asked.transpose:
        raise UsageError("--transpose turns a data file, and none is read without --like; leave it out")
    for key in asked.overrides:
        if _of_data(key):
            raise BadRecipe(
                f"command line: {key} is about a data file, and without --like none is read; leave it out", key=key
            )


def _of_data(key: str) -> bool:
    """Whether a key of a recipe speaks of what a data file holds: which of its counts to take, and what labels its cells."""
    return key.split(".")[0] == "data" or key.startswith("annotation_")


def _made(asked: SimulateOptions, config: Config, spec: ModelSpec, given: dict | None) -> Frame:
    """Cells and genes with generated names; the library sizes that a prior of capture is given, if it is drawn from."""
    from ..core import simulate as core

    datasets = [f"{DATASET}_{i}" for i in range(_n_datasets(asked, spec, given))]
    coords = _coords(spec, [f"{COMPONENT}_{i}" for i in range(config.n_components)], datasets)
    facts = core.without_data(spec, asked.cells, asked.genes, {axis: len(names) for axis, names in coords.items()})
    obs, var = (pd.DataFrame(index=_generated(*of)) for of in (("cell", asked.cells), ("gene", asked.genes)))
    if asked.params is None and "log_library" in facts.arrays:
        obs[LIBRARY_SIZE] = np.exp(facts.arrays["log_library"])
    if config.dataset_key is not None:
        obs[config.dataset_key] = pd.Categorical.from_codes(np.arange(asked.cells) % len(datasets), datasets)
    return Frame(obs, var, facts, coords)


def _n_datasets(asked: SimulateOptions, spec: ModelSpec, given: dict | None) -> int:
    """As many as the parameters given are of."""
    from ..core.model import derive

    if given is None or not spec.by_dataset:
        return N_DATASETS
    with params.of_file(asked.params):
        return params.sizes(given, {row.name: row.axes for row in derive.reported(spec)}).get(DATASET, N_DATASETS)


def _coords(spec: ModelSpec, components: Sequence[str], datasets: Sequence[str]) -> dict[str, Sequence[str]]:
    return ({COMPONENT: components} if spec.mixed else {}) | ({DATASET: datasets} if spec.by_dataset else {})


def _generated(kind: str, n: int) -> pd.Index:
    return pd.Index([f"{kind}_{i + 1}" for i in range(n)], dtype=object)


def _like(asked: SimulateOptions, config: Config, spec: ModelSpec, console: Console) -> Frame:
    """Cells, genes, library sizes and datasets of a data file, as a fit would select them."""
    from ..data.facts import facts_of

    with console.phase("read"):
        counts = reading.read((asked.like,), config, asked.transpose, console)
    obs, var = (pd.DataFrame(index=pd.Index(n, dtype=object)) for n in (counts.cell_names, counts.gene_names))
    obs[LIBRARY_SIZE] = counts.library
    if config.dataset_key is not None:
        codes, labels = counts.labels(config.dataset_key)
        obs[config.dataset_key] = pd.Categorical.from_codes(codes, labels)
    coords = _coords(spec, counts.design.components, counts.design.datasets)
    return Frame(obs, var, facts_of(counts, spec), coords)


def _simulation(asked: SimulateOptions, spec: ModelSpec, facts: Facts, given: dict | None, seed: int) -> Simulation:
    """The model at a draw from its priors, or at the parameters given. Errors about those name their file."""
    from ..core import simulate as core

    if given is None:
        return core.from_priors(spec, facts, seed)
    with params.of_file(asked.params):
        return core.from_parameters(spec, facts, given, seed)


def _write(asked: SimulateOptions, config: Config, frame: Frame, simulation: Simulation, threads: int, console: Console) -> None:
    from ..io.outputs import Layer
    from ..io.simulated import Simulated, Truth, write_simulated

    truth = [Truth(name, t.axes, np.asarray(t.value, float)) for name, t in simulation.truth().items()]
    obs, component = frame.obs, simulation.components()
    if component is not None:
        obs = obs.assign(true_component=pd.Categorical.from_codes(component, list(frame.coords[COMPONENT])))
    counts = Layer(lambda: _told(simulation, threads, console), sparse=True, dtype=np.int32)
    uns = {"simulation": _provenance(asked, config)}
    write_simulated(asked.output, Simulated(obs, frame.var, truth, counts, uns, frame.coords))


def _told(simulation: Simulation, threads: int, console: Console) -> Iterator[csr_array]:
    """The counts, block by block, and how far they are."""
    for first, block in simulation.counts(threads=threads):
        yield block
        console.progress(first + block.shape[0], simulation.facts.sizes[CELL], unit="cell")


def _provenance(asked: SimulateOptions, config: Config) -> dict:
    """What made the counts; no paths or times, so that equal runs are equal bytes."""
    return {
        "recipe_resolved": resolved.resolved_text(config),
        "seed": config.seed,
        "parameters": "prior" if asked.params is None else "given",
        "version": __version__,
    }
