"""`scribe recipe`: the bundled recipes, and whether a recipe is one and what it means."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..core.axes import CELL
from ..core.model.spec import ModelSpec
from ..errors import InputMissing, UsageError, did_you_mean, listed
from .options import RecipeOptions
from .recipe import config as recipes
from .recipe import recipe_file, resolved
from .recipe import starter as starting
from .terminal.console import Console
from .terminal.table import Table

ADAMS = ("n_steps", "batch_size", "learning_rate")  # keys of svi that choose the stochastic optimiser


def listing() -> Table:
    """Name and first line of each bundled recipe."""
    rows = [(name, _about(file.read_text(encoding="utf-8"))) for name, file in recipe_file.bundled().items()]
    return Table(("recipe", "about"), rows)


def _about(text: str) -> str:
    return text.splitlines()[0].removeprefix("#").strip()


def show(name: str) -> str:
    """The text of a bundled recipe."""
    known = recipe_file.bundled()
    name = name.removesuffix(".yaml")
    if name not in known:
        raise InputMissing(f'no bundled recipe is called "{name}"{did_you_mean(name, known)}; bundled are {listed(known, len(known))}')
    return known[name].read_text(encoding="utf-8")


def check(asked: RecipeOptions, console: Console) -> str:
    """One line that says all is well; with data, that they can be fitted so. Errors as those of `scribe fit`."""
    _refuse_unread(asked)
    config = recipes.load(asked.recipe, asked.overrides)
    spec = config.resolve()
    resolved.resolved(config)
    about = f"{asked.recipe}: a good recipe, {config.model} in {spec.parameterization} by {config.inference_method}"
    if asked.data is None:
        return about
    counts = _read(asked, config, console)
    return f"{about}; {asked.data}: {counts.n_cells:,} cells x {counts.n_genes:,} genes to fit"


def explain(asked: RecipeOptions, console: Console) -> tuple[str, Table, str]:
    """Equations, the table of sites, the way the likelihood is summed; with data, the sizes of all sites."""
    _refuse_unread(asked)
    config = recipes.load(asked.recipe, asked.overrides)
    spec = config.resolve()
    sizes, batch_size = None, config.svi.batch_size
    if asked.data is not None:
        from ..data.facts import facts_of

        sizes = facts_of(_read(asked, config, console), spec).sizes
        batch_size = batch_size if batch_size is not None and batch_size < sizes[CELL] else None
    from ..core.model import explain as explaining

    found = explaining.explain(spec, sizes)
    shapes = [() if sizes is None else (" x ".join(map(str, site.shape)) or "1",) for site in found.sites]
    rows = [
        (site.site, " x ".join(site.axes) or "one", *shape, site.coordinate)
        for site, shape in zip(found.sites, shapes, strict=True)
    ]
    columns = ("sampled", "axes", "coordinate") if sizes is None else ("sampled", "axes", "shape", "coordinate")
    told = f"likelihood: {_likelihood(config, batch_size, found.lanes)}\ninference: {_inference(config, batch_size, spec)}"
    return "\n".join(found.equations), Table(columns, rows), told


def _inference(config: recipes.Config, batch_size: int | None, spec: ModelSpec) -> str:
    """What the recipe's method does, and where the model decides, why."""
    several = "of a hierarchy" if spec.hierarchical else "of components" if spec.mixed else None
    if config.inference_method == "mcmc":
        start = "from around the start" if not config.mcmc.svi_init else "from the mode by Newton's method"
        if config.mcmc.svi_init and config.svi.model_dump(exclude_defaults=True):
            start = "from around a mean-field guide (svi is set)"
        elif config.mcmc.svi_init and several is None:
            return f"NUTS {start}, in coordinates whitened by the curvature there"
        return f"NUTS {start}, with masses tuned in the warm-up" + (f" ({several})" if several else "")
    if config.guide.family == "laplace":
        return "the mode by Newton's method, then its curvature as the guide (laplace), moved to where the ELBO is highest"
    mode = "the mode by Newton's method" + (", scales held (of a hierarchy it is no estimate)" if spec.hierarchical else "")
    asked = [f"svi.{key}" for key in ADAMS if getattr(config.svi, key) is not None]
    if batch_size is not None:
        return f"Adam on the ELBO of a mean-field guide, {batch_size:,} cells at a time ({' and '.join(asked)})"
    if asked:
        return f"{mode}, then Adam on the ELBO of a mean-field guide from there ({' and '.join(asked)})"
    return f"{mode}, then a mean-field guide from there by L-BFGS on the ELBO of fixed draws; {_otherwise(config, spec)}"


def _otherwise(config: recipes.Config, spec: ModelSpec) -> str:
    from ..core.numerics import choose

    large = ", or where the data are too large for all cells at once" if choose.choose(spec, config.engine).batched else ""
    return f"by Adam if that does not converge{large}, or with {', '.join(f'svi.{key}' for key in ADAMS[:-1])} or svi.{ADAMS[-1]}"


def _likelihood(config: recipes.Config, batch_size: int | None, lanes: Sequence[str]) -> str:
    """Who asks for the dense sum, or for some cells at a time, gets it whatever is cheaper; chains take all cells."""
    if config.engine == "dense":
        return "dense, exact (engine: dense)"
    some = batch_size is not None and config.inference_method == "svi"
    return "dense, exact (svi.batch_size)" if some else _ways(*lanes)


def _ways(cheapest: str, *others: str) -> str:
    from ..core.numerics import lanes

    exact = lanes.load()[cheapest].exact
    how = "exact" if exact else "interpolated in log capture, its error in metrics.json (engine_max_abs_error)"
    return f"{cheapest}, {how}" + (f" (slower ways to the same number: {', '.join(others)})" if others else "")


def _refuse_unread(asked: RecipeOptions) -> None:
    """Options about data and the machine that reads them act only where data are read."""
    given = {"--transpose": asked.transpose, "--device": asked.machine.device, "--threads": asked.machine.threads}
    flag = next((flag for flag, value in given.items() if value), None)
    if asked.data is None and flag is not None:
        raise UsageError(f"{flag} is about reading data, and without --data none are read; leave it out")


def _read(asked: RecipeOptions, config: recipes.Config, console: Console):
    from . import device, reading

    console.tell(device.start(asked.machine))
    with console.phase("read"):
        return reading.read((asked.data,), config, asked.transpose, console)


def starter() -> str:
    """A commented recipe to start from."""
    return starting.starter()


def schema() -> str:
    """JSON Schema, as text."""
    return json.dumps(recipes.schema(), indent=2)
