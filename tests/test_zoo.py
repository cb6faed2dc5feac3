"""Each recipe of tests/recipes_zoo.py from its counts to its results: traced, started, improved, drawn, stored, read back.

All of it by `scribe fit` where time allows. The few of the fast suite go the same way without the search for the mode and
the predictive checks, whose programs take longest to compile.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import anndata
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest
import scipy.sparse
from scipy import stats

import scribe_cli
from scribe_cli.cli.main import main
from scribe_cli.core.inference import batches, svi
from scribe_cli.core.inference.posterior import Posterior, Variable
from scribe_cli.core.inference.problem import Problem
from scribe_cli.core.numerics import choose
from scribe_cli.data.source import Source
from scribe_cli.io import readers
from scribe_cli.io.fit import write_fit
from scribe_cli.io.schema import escaped, slot
from scribe_cli.run import reading
from scribe_cli.run.fitting import assemble, inference, job
from scribe_cli.run.recipe import config, resolved
from scribe_cli.run.result import Result
from scribe_cli.run.terminal.console import Console
from tests import fits
from tests import recipes_zoo as recipes

# every lane and kernel; capture free and informed, a gate, datasets, components, an anchor; and all of it at once
FAST = (
    "nbvcp",
    "zinbvcp_canonical_mouse",
    "zinb_mean_prob",
    "twostate",
    "nbdm_two_labelled",
    "nbdm_batch_prob_scalar",
    "nbdm_anchor_mean_disp",
    "hardest",
)
# anchors leave the guide at the mode nothing to win: these are compared with the start of the search for it
FROM_THE_START = ("nbdm_anchor", "zinbvcp_anchor_human")
STEPS, DRAWS = 200, 20
SHORT = {"svi": {"n_steps": STEPS, "early_stopping": False, "n_samples": DRAWS}, "output": {"ppc_samples": 4}}
DATASETS, LABELS = ("ctrl", "stim/6h"), ("B/T cell", "NK")
GENES, CELLS = ([f"{axis}{i}" for i in range(n)] for axis, n in (("g", recipes.N_GENES), ("c", recipes.N_CELLS)))
LOG_SD = -2.0  # of a guide that no curvature has been sought for


def recipe(name: str) -> dict:
    """As the zoo has it, with as few steps and draws as will do, and the library size that its facts have."""
    informed = {"data": {"library_size": "library"}} if recipes.MODELS[name].informed else {}
    return recipes.RECIPES[name] | SHORT | informed


@pytest.fixture(scope="module", autouse=True)
def compiled_in_haste():
    """Programs that run for a moment and take seconds to compile."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def counts_file(tmp_path_factory) -> Path:
    obs = {
        "batch": np.array(DATASETS)[recipes.DATASET_OF_CELL],
        "type": [None if code < 0 else LABELS[code] for code in recipes.ANNOTATION],
        "library": recipes.LIBRARY,
    }
    counts = scipy.sparse.csr_matrix(recipes.COUNTS.astype(np.float32))
    path = tmp_path_factory.mktemp("zoo") / "counts.h5ad"
    anndata.AnnData(counts, pd.DataFrame(obs, index=CELLS), pd.DataFrame(index=GENES)).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def source(counts_file) -> Source:
    return readers.open_source(counts_file)


def collected(source: Source, asked: config.Config) -> assemble.Collected:
    return assemble.collect(reading.checked(source, asked, Console(quiet=True)), asked.resolve())


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_each_recipe_is_traced_on_the_counts_in_its_lane(name, source):
    """Its log joint is a number, from sites and statistics of the shapes that it says."""
    asked = config.load(recipe(name), {})
    problem = assemble.problem(collected(source, asked), asked.resolve(), asked.engine, None, fill=True)
    thetas = {site: jax.ShapeDtypeStruct(found.shape, float) for site, found in problem.sites.items()}
    found = jax.eval_shape(problem.log_joint, thetas, problem.facts, problem.stats)
    assert problem.lane in choose.legal(problem.spec) and (found.shape, found.dtype) == ((), float)


# --- a fit, in memory and on disk -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """A fit as it was made, and its results as they are read.

    start: {site: theta} from the moments; guide: its parameters before the first step, ended: after the last; run: the
    compiled steps.
    """

    name: str
    problem: Problem
    start: dict
    guide: dict
    ended: dict
    run: Callable
    variables: dict[str, Variable]
    result: Result

    @cached_property
    def drawn(self) -> dict[str, np.ndarray]:
        """Its draws, made again from what is stored of the guide."""
        return self.result.get_posterior_samples(DRAWS)

    def elbo(self, params: dict) -> tuple[np.ndarray, dict]:
        """(at as many pairs of draws as there are steps in four chunks, the same for all params; its gradients' mean).

        By the program of the steps, which at a rate of 0 go nowhere.
        """
        still, unit = (jax.tree.map(like, params) for like in (jnp.zeros_like, jnp.ones_like))
        carry, key, losses = (still, optax.scale_by_adam().init(still)), jax.random.PRNGKey(0), []
        for first in range(0, 4 * svi.CHUNK, svi.CHUNK):
            xs = batches.steps(self.problem, 0, first, svi.CHUNK)
            carry, found, _ = self.run(carry, (params, unit), key, 0.0, xs, (self.problem.facts, self.problem.stats))
            losses.append(found)
        return -np.concatenate(losses), carry[1].mu


def watched(patch: pytest.MonkeyPatch, owner, name: str, seen: dict) -> None:
    """Keep what is given to a function, and what comes back."""
    function = getattr(owner, name)

    def watch(*args, **kwargs):
        found = function(*args, **kwargs)
        seen[name] = args, tuple(found) if name == "variables" else found
        return seen[name][1]

    patch.setattr(owner, name, watch)


def fitted(name: str, make: Callable, given, folder: Path) -> Fit:
    """`make` writes a fit into folder/out."""
    seen = {}
    with pytest.MonkeyPatch.context() as patch:
        watched(patch, assemble, "start", seen)
        watched(patch, svi, "_chunk", seen)
        watched(patch, svi, "_optimise", seen)
        watched(patch, Posterior, "variables", seen)
        make(name, given, folder, patch)
    (problem, guide, *_), ended = seen["_optimise"]
    variables = {v.name: v for v in seen["variables"][1]}
    result = scribe_cli.load(folder / "out")
    return Fit(name, problem, seen["start"][1], guide, ended.params, seen["_chunk"][1], variables, result)


def by_command(name: str, path: Path, folder: Path, patch) -> None:
    (folder / "recipe.yaml").write_text(json.dumps(recipe(name)))
    assert main(["fit", str(path), "--recipe", str(folder / "recipe.yaml"), "-o", str(folder / "out"), "-q"]) == 0


def in_memory(name: str, source: Source, folder: Path, patch) -> None:
    """What `scribe fit` does, from the moments without a search for the mode, and without predictive checks."""
    asked = config.load(recipe(name), {})
    found, options = collected(source, asked), inference.svi_options(asked)
    problem = assemble.problem(found, asked.resolve(), asked.engine, None, fill=True)
    start = assemble.start(found, problem, asked.seed)
    guide = {"loc": start, "log_sd": {site: np.full(v.shape, LOG_SD) for site, v in start.items()}}
    ended = svi._optimise(problem, guide, None, options, lambda **_: None)
    patch.setattr(svi, "_elbo", lambda *_: (0.0, 0.0))  # another program
    posterior = svi.posterior(problem, ended, options)
    outputs = fits.outputs(
        source,
        spec=posterior.spec,
        variables=posterior.variables(),
        coords=job._coords(found.counts, posterior.facts),
        map_kind=posterior.map_kind,
        guide=posterior.guide,
        constant=job._constant(found.counts, posterior.facts),
        record=fits.record(resolved=resolved.resolved_text(asked)),
    )
    write_fit(folder / "out", outputs)


WAYS = [pytest.param((name, in_memory), id=name) for name in FAST]
WAYS += [pytest.param((name, by_command), id=f"{name}-by_command", marks=pytest.mark.slow) for name in recipes.RECIPES]


@pytest.fixture(scope="module", params=WAYS)
def fit(request, counts_file, source, tmp_path_factory) -> Fit:
    name, make = request.param
    given = source if make is in_memory else counts_file
    return fitted(name, make, given, tmp_path_factory.mktemp(name))


def test_every_site_has_a_slope_at_the_start(fit):
    """Of the ELBO in the location and the spread of each of its elements; what only fills up has none."""
    _, slopes = fit.elbo({"loc": fit.start, "log_sd": fit.guide["log_sd"]})
    assert slopes["loc"].keys() == slopes["log_sd"].keys() == recipes.MODELS[fit.name].sites().keys()
    for group, of_sites in slopes.items():
        for site, slope in of_sites.items():
            counts = np.broadcast_to(np.asarray(fit.problem.weight_of(site)), slope.shape) > 0
            assert np.isfinite(slope).all() and ((np.asarray(slope) != 0) == counts).all(), (group, site)


def test_the_steps_improve_the_elbo(fit):
    """Draw by draw of the same noise, by more than chance would."""
    first = fit.guide if fit.name not in FROM_THE_START else {"loc": fit.start, "log_sd": fit.guide["log_sd"]}
    gain = fit.elbo(fit.ended)[0] - fit.elbo(first)[0]
    print(f"\n{fit.name}: ELBO {fit.elbo(fit.ended)[0].mean():.2f}, by {gain.mean():.2f} +- {gain.std() / len(gain) ** 0.5:.2f}")
    assert gain.mean() > 0 and stats.wilcoxon(gain, alternative="greater").pvalue < 1e-3


def declared(name: str) -> dict[str, tuple[str, ...]]:
    """{sampled parameter, location or scale: axes} by the models' own page; bnb_concentration is not what is sampled."""
    model = recipes.MODELS[name]
    pieces = {site: axes for site, axes in model.sites().items() if not site.endswith(("_unconstrained", "_z"))}
    return {p.name: p.axes for p in model.params.values() if p.name != "bnb_concentration"} | pieces


def inside(name: str, values: np.ndarray) -> np.ndarray:
    if name == "mu_eta" or name.endswith("_loc"):
        return np.isfinite(values)
    if name in ("p", "gate", "p_capture", "inv_concentration", "mixing_weights"):
        return (values > 0) & (values < 1)
    return (values > (2 if name == "bnb_concentration" else 0)) & (values < np.inf)


def test_draws_have_the_declared_axes_and_lie_in_their_supports(fit):
    stored, drawn = fit.result.stored, fit.drawn
    sizes = {axis: len(names) for axis, names in stored.coords.items()}
    axes = {name: stored.axes(name) for name in stored.names}
    assert declared(fit.name).items() <= axes.items()
    for name, values in drawn.items():
        assert values.shape == (DRAWS, *(sizes[axis] for axis in axes[name])), name
        assert inside(name, values).all(), name
        assert all(np.ptp(values, i).max() > 0 for i in range(values.ndim)), name
    if "mixing_weights" in drawn:
        np.testing.assert_allclose(drawn["mixing_weights"].sum(1), 1.0, rtol=1e-12)


def coords(name: str) -> dict[str, list[str]]:
    """{axis: names} that the columns of the counts make of a recipe."""
    keys, n = recipes.RECIPES[name], recipes.MODELS[name].n_components
    labels = list(LABELS) if "annotation_key" in keys else []
    components = [*labels, *(f"component_{i}" for i in range(len(labels), n))]
    found = {"component": components} if n > 1 else {}
    found |= {"dataset": list(DATASETS)} if "dataset_key" in keys else {}
    return found | {"gene": GENES, "cell": CELLS}


def test_the_store_gives_back_what_was_found(fit):
    """Names, axes, points, draws and coordinates; draws also as the guide makes them again."""
    stored, again = fit.result.stored, fit.drawn
    assert stored.coords == coords(fit.name)
    assert set(stored.names) == fit.variables.keys() == fit.result.get_map().keys() == again.keys()
    for name, variable in fit.variables.items():
        assert stored.axes(name) == variable.axes
        np.testing.assert_array_equal(stored.point(name), variable.point, err_msg=name)
        np.testing.assert_allclose(again[name], variable.draws, rtol=1e-9, err_msg=name)
        kept = stored.draws(name)
        assert (kept is not None) == variable.stored
        if variable.stored:
            np.testing.assert_allclose(kept[:], variable.draws, rtol=1e-6, err_msg=name)


def columns(axes: tuple[str, ...], names: dict[str, list[str]]) -> list[str]:
    return ["__".join(escaped(names[axis][i]) for axis, i in zip(axes, at)) for at in np.ndindex(*(len(names[a]) for a in axes))]


def test_the_h5ad_gives_back_what_was_found(fit):
    """Each parameter's point where its axes put it, with the names of components and datasets; the counts as they were."""
    made, names = anndata.read_h5ad(fit.result.path / "fit.h5ad"), coords(fit.name)
    np.testing.assert_array_equal(made.X.toarray(), recipes.COUNTS)
    assert list(made.obs_names) == CELLS and list(made.var_names) == GENES
    for axis in names.keys() & {"component", "dataset"}:
        assert list(made.uns["scribe"][f"{axis}s"]) == names[axis]
    for name, variable in fit.variables.items():
        place, key = slot(variable.axes), f"scribe_{name}_map"
        if place == "scalars":
            found = made.uns["scribe"]["scalars"][name]["map"]
        elif place == "varm":
            others = tuple(axis for axis in variable.axes if axis != "gene")
            assert list(made.varm[key]) == columns(others, names)
            found = made.varm[key].to_numpy().T.reshape(variable.point.shape)
        else:
            found = getattr(made, place)[key]
        np.testing.assert_array_equal(found, variable.point, err_msg=name)
