"""Every option, declared once. A command stacks what it takes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ..errors import BadRecipe
from ..run.device import DEVICES
from ..run.options import KINDS, setting
from ..run.terminal.table import refuse_unwritable
from . import completion

FILE = click.Path(path_type=Path, readable=False)  # whether it can be read is for the reader to say


def together(*decorators: Callable) -> Callable:
    """Several options as one decorator, in the order of --help."""

    def stack(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return stack


def _louder(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.obj.verbose = value


def _quieter(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.obj.quiet = value


def _writable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None:
        refuse_unwritable(value)
    return value


speech = together(
    click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_quieter, help="Only warnings and errors on stderr."),
    click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_louder, help="More on stderr; -vv: tracebacks too."
    ),
)

data = click.argument("data", type=FILE, nargs=-1, required=True)
one_data = click.argument("data", type=FILE)
layer = click.option("--layer", metavar="NAME", help="The layer that holds the counts; raw: .raw.")
dataset_key = click.option("--dataset-key", metavar="COLUMN", help="The obs column that names each cell's dataset.")
transpose = click.option("--transpose", is_flag=True, help="Take the rows of the file for its columns.")
reading = together(layer, dataset_key, transpose)

device = click.option("--device", type=click.Choice(DEVICES), help="Where to compute (default: SCRIBE_DEVICE, else auto).")
threads = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads (default: SCRIBE_THREADS, SLURM_CPUS_PER_TASK, else all)."
)
machine = together(device, threads)

RECIPE_HELP = "A recipe: a file, or the name of a bundled one (scribe recipe list)."
recipe_required = click.option("--recipe", required=True, metavar="PATH|NAME", help=RECIPE_HELP, shell_complete=completion.recipes)
recipe = click.option("--recipe", metavar="PATH|NAME", help=RECIPE_HELP, shell_complete=completion.recipes)
recipe_argument = click.argument("recipe", metavar="FILE|NAME", shell_complete=completion.recipes)
bundled_argument = click.argument("name", shell_complete=completion.bundled_recipes)
settings = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a recipe key; repeatable.")
seed = click.option("--seed", type=int, help="The seed of everything random (recipe key seed).")

folder = click.option(
    "-o", "--output", type=FILE, metavar="DIR", help="Where the results go (default: <data>.<recipe>.scribe)."
)
file = click.option(
    "-o", "--output", type=FILE, metavar="FILE", callback=_writable, help="Write there instead of to the terminal."
)
page = click.option("-o", "--output", type=FILE, metavar="FILE", help="Write there instead of to report.html of the fit.")
h5ad = click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="The .h5ad to write.")
key_added = click.option("--key-added", default="scribe", show_default=True, metavar="KEY", help="Prefix of the results' names.")
format = click.option("--format", type=click.Choice(["h5ad", "zarr"]), help="Of the annotated data (default: the input's).")
overwrite = click.option("--overwrite", is_flag=True, help="Replace results of another run; for rules of Make and Snakemake.")
fail_on = click.option(
    "--fail-on", multiple=True, metavar="GATE", help='Exit 3 where a metric says so, e.g. "rhat>1.05"; repeatable.'
)
dry_run = click.option("--dry-run", is_flag=True, help="Check everything, print the resolved recipe, do not fit.")
json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

params = click.option("--params", type=FILE, metavar="FILE", help="Parameter values: .npz, .yaml or .zarr.")
from_fit = click.option(
    "--fit", type=FILE, metavar="FIT", help="A finished fit; its MAP is used.", shell_complete=completion.fits
)
by = click.option("--by", type=click.Choice(["cell", "gene", "total"]), default="total", show_default=True, help="One number each.")
cells = click.option("--cells", type=click.IntRange(min=1), help="How many cells.")
genes = click.option("--genes", type=click.IntRange(min=1), help="How many genes.")
like = click.option("--like", type=FILE, metavar="DATA", help="Take sizes and library sizes from a data file.")
data_for = click.option("--data", type=FILE, metavar="DATA", help="Look at the recipe together with these data.")

fit_argument = click.argument("fit", type=FILE, shell_complete=completion.fits)
data_checked = click.argument("data", type=FILE, nargs=-1)
check_folder = click.option("-o", "--output", type=FILE, required=True, metavar="DIR", help="Where tables and pictures go.")
samples = click.option("-o", "--output", type=FILE, required=True, metavar="F.zarr", help="The .zarr to write.")
draws = click.option("-n", "n", type=click.IntRange(min=1), help="Draws of the parameters (default: output.ppc_samples of the fit).")
draws_required = click.option("-n", "n", type=click.IntRange(min=1), required=True, help="How many draws.")
other_seed = click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of the random numbers (default: the fit's).")
kind = click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="What is predicted.")
dataset = click.option("--dataset", metavar="D", help="The cells of this dataset alone.")
names = click.option("--names", type=click.Choice(["reference", "descriptive"]), default="reference", help="Of the parameters.")
only_genes = click.option("--genes", multiple=True, metavar="NAMES", help="Only these: names with commas, or a file, one a line.")
form = click.option("--format", "form", type=click.Choice(["table", "tsv", "json"]), help="Default: table, with -o by its ending.")


def typed() -> str:
    """The command line as it can be typed again."""
    return shlex.join(["scribe", *sys.argv[1:]])


def overrides(settings: tuple[str, ...] = (), **flags: object) -> dict[str, object]:
    """{dotted recipe key: value} of --set and of the flags that stand for recipe keys (None: not given).

    `flags` are named as the recipe keys, `data_layer` for data.layer.
    """
    given = {key.replace("data_", "data."): value for key, value in flags.items() if value is not None}
    for text in settings:
        key, value = setting(text)
        if key in given:
            raise BadRecipe(f"command line: {key} is given twice; leave one out", key=key)
        given[key] = value
    return given
