"""The recipe's schema, and `load`: a recipe with what overrides it, checked, every error one line with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from ...core.model import parameterizations
from ...core.model.asked import parameterization_names
from ...core.model.resolve import resolve
from ...core.model.shorthand import MODELS
from ...core.model.spec import ModelSpec
from ...errors import BadRecipe
from . import overrides as overriding
from . import recipe_file, wording, yaml12


def _whole(value: Any) -> Any:
    """1e5 is a whole number, though YAML makes it a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _distinct(names: list) -> list:
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            raise PydanticCustomError(wording.TWICE, "{name} stands twice", {"name": name})
        seen.add(name)
    return names


def _key(default: Any, expects: str, about: str, **limits: Any) -> Any:
    """A key: its default, what it may be (said in errors), what it does (said in the starter), its limits."""
    return Field(default, title=expects, description=about, **limits)


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Hierarchy = Literal["gaussian", "horseshoe", "neg"] | None
Names = Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)]
Label = str | bool | int | float

NUMBER, WHOLE, WORD, COLUMN = "a number", "a whole number", "a word", "the name of an obs column"
INPUTS = "dataset"  # the obs column that names each cell's input where there are several
FAMILY = "gaussian, horseshoe, neg or null"


class Block(BaseModel):
    """Keys of a recipe: unknown ones are errors, and text is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Svi(Block):
    """Variational inference, and the start of mcmc."""

    n_steps: Count | None = _key(None, f"{WHOLE} from 1, or null", "steps of Adam, which any number chooses; null: until converged")
    batch_size: Count | None = _key(
        None, f"{WHOLE} from 1, or null", "cells in a minibatch of Adam, which any number chooses; null: all where it is affordable"
    )
    learning_rate: Positive | None = _key(None, f"{NUMBER} above 0, or null", "first step size of Adam, which any number chooses; null: chosen")
    early_stopping: bool = _key(True, "true or false", "stop Adam when converged; false runs all of n_steps")
    n_samples: Whole = _key(500, f"{WHOLE} from 2", "posterior draws", ge=2)


class Mcmc(Block):
    """Markov chains (NUTS)."""

    n_warmup: Count | None = _key(
        None, f"{WHOLE} from 1, or null", "warm-up steps a chain; null: 300 whitened, else 1000"
    )
    n_samples: Whole = _key(1000, f"{WHOLE} from 4", "draws a chain", ge=4)
    n_chains: Count = _key(4, f"{WHOLE} from 1", "chains")
    svi_init: bool = _key(True, "true or false", "start the chains from a fit")
    target_accept: float = _key(0.8, f"{NUMBER} between 0 and 1", "target acceptance probability", gt=0, lt=1)


class Vae(Block):
    """A variational autoencoder."""

    latent_dim: Count = _key(10, f"{WHOLE} from 1", "dimensions of z")
    encoder_hidden_dims: list[Count] = _key(
        [128, 64], "a list of whole numbers from 1", "widths of the encoder's layers"
    )
    decoder_hidden_dims: list[Count] = _key(
        [64, 128], "a list of whole numbers from 1", "widths of the decoder's layers"
    )
    flow: Literal["none", "coupling_affine", "coupling_spline", "maf", "iaf"] = _key(
        "none", "none, coupling_affine, coupling_spline, maf or iaf", "the prior of z"
    )


class Guide(Block):
    """The variational family."""

    family: Literal["mean_field", "low_rank", "laplace", "flow"] = _key("mean_field", "mean_field or laplace", "family of the guide")
    rank: Count | None = _key(None, f"{WHOLE} from 1, or null", "rank of a low-rank guide")
    joint_params: Names | Literal["all", "biological"] | None = _key(
        None, "a list of names, or null", "parameters guided jointly"
    )
    dense_params: Names | None = _key(None, "a list of names, or null", "parameters with dense coupling")
    flow: str | None = _key(None, f"{WORD}, or null", "the flow of a flow guide")
    amortize_capture: bool = _key(False, "true or false", "capture from a network of the cell's total")


class Data(Block):
    """Which counts are fitted."""

    layer: str | None = _key(None, "the name of a layer, raw, or null", "layer of counts; null: X")
    where: dict[str, Annotated[list[Label], Field(min_length=1)]] = _key(
        {}, "a mapping {obs column: [at least one value]}", "fit the cells with these values only"
    )
    min_cells: Whole = _key(0, f"{WHOLE} from 0", "leave out genes seen in fewer cells", ge=0)
    min_counts: Whole = _key(0, f"{WHOLE} from 0", "leave out genes with fewer counts", ge=0)
    gene_coverage: float = _key(
        1.0,
        f"{NUMBER} above 0, at most 1",
        "fit the fewest genes with this share of all counts, pool the rest",
        gt=0,
        le=1,
    )
    genes: Names | str | None = _key(
        None, "a list of names, a file of one per line, or null", "fit these genes; null: all"
    )
    library_size: str | None = _key(None, f"{COLUMN}, or null", "obs column of library sizes; null: the cells' totals")


class Output(Block):
    """What is written."""

    data: Literal["full", "results"] = _key(
        "full", "full or results", "results leaves the input's matrices out of fit.h5ad"
    )
    samples: Literal["all", "none"] | Names = _key(
        "all", "all, none or a list of names", "parameters whose draws are stored"
    )
    layers: Literal["auto"] | Annotated[list[Literal["ppc", "expected", "denoised", "rqr"]], AfterValidator(_distinct)] = _key(
        "auto", "auto, or a list of ppc and expected", "layers added; auto: ppc where it is affordable"
    )
    unconstrained: bool = _key(False, "true or false", "store the draws in the unconstrained coordinates too")
    ppc_samples: Whole = _key(200, f"{WHOLE} from 2", "draws of the parameters behind the predictive tables", ge=2)
    tables: bool = _key(True, "true or false", "write tables/")


class Config(Block):
    """A recipe, complete. `source` is where it came from; `resolve()` the model it describes."""

    model: Literal[tuple(MODELS)] = _key(..., f"one of {', '.join(MODELS)}", "the law of the counts")
    parameterization: str | None = _key(
        None, f"{', '.join(parameterizations.members())}, or null", "the sampled parameters; null: canonical"
    )
    unconstrained: bool = _key(False, "true or false", "Normal priors on the real line instead of Beta, LogNormal ...")
    positive_transform: Literal["exp", "softplus"] | dict[str, Literal["exp", "softplus"]] = _key(
        "exp", "exp, softplus or a mapping {parameter: transform}", "from the real line to positive parameters"
    )
    overdispersion: Literal["none", "bnb"] = _key("none", "none or bnb", "beta negative binomial")
    n_components: Count = _key(1, f"{WHOLE} from 1", "components of a mixture")
    mixture_params: Literal["all", "biological", "mean", "prob", "gate"] | Names = _key(
        "all", "all, biological, mean, prob, gate or a list of names", "the parameters that differ between components"
    )
    annotation_key: str | None = _key(None, f"{COLUMN}, or null", "labels that guide the components")
    annotation_confidence: float = _key(3.0, f"{NUMBER} above 0", "weight of a label, in nats", gt=0)
    annotation_min_cells: Whole = _key(0, f"{WHOLE} from 0", "labels of fewer cells are no labels", ge=0)
    annotation_component_order: Annotated[list[Label], AfterValidator(_distinct)] | None = _key(
        None, "a list of labels, or null", "the components' labels, in order"
    )
    dataset_key: str | None = _key(None, f"{COLUMN}, or null", "which dataset a cell belongs to")
    dataset_mixing: bool | None = _key(None, "true, false or null", "mixing weights of each dataset's own")
    prob_dataset_mode: Literal["scalar", "gene_specific", "two_level"] = _key(
        "gene_specific", "scalar, gene_specific or two_level", "how p differs between datasets"
    )
    prob_prior: Hierarchy = _key(None, FAMILY, "hierarchy of p (phi) over genes")
    expression_prior: Hierarchy = _key(None, FAMILY, "hierarchy of the mean across components")
    zero_inflation_prior: Hierarchy = _key(None, FAMILY, "hierarchy of the gate over genes")
    overdispersion_prior: Hierarchy = _key(None, FAMILY, "hierarchy of omega over genes")
    expression_dataset_prior: Hierarchy = _key(None, FAMILY, "hierarchy of the mean across datasets")
    prob_dataset_prior: Hierarchy = _key(None, FAMILY, "hierarchy of p (phi) across datasets")
    zero_inflation_dataset_prior: Hierarchy = _key(None, FAMILY, "hierarchy of the gate across datasets")
    overdispersion_dataset_prior: Hierarchy = _key(None, FAMILY, "hierarchy of omega across datasets")
    capture_scaling_prior: Hierarchy = _key(None, FAMILY, "hierarchy of log M_0 across datasets")
    horseshoe_tau0: Positive = _key(1.0, f"{NUMBER} above 0", "global scale of a horseshoe")
    horseshoe_slab_df: Positive = _key(4.0, f"{NUMBER} above 0", "degrees of freedom of its slab")
    horseshoe_slab_scale: Positive = _key(2.0, f"{NUMBER} above 0", "scale of its slab")
    neg_u: Positive = _key(1.0, f"{NUMBER} above 0", "shape u of neg")
    neg_a: Positive = _key(1.0, f"{NUMBER} above 0", "shape a of neg")
    neg_tau: Positive = _key(1.0, f"{NUMBER} above 0", "rate tau of neg")
    expression_anchor: bool = _key(False, "true or false", "prior of the mean around the observed mean")
    expression_anchor_sigma: Positive = _key(0.3, f"{NUMBER} above 0", "its width")
    priors: dict[str, str | float | list[float]] = _key(
        {},
        "a mapping like {organism: human, mu: [0, 3]}",
        "organism: human, mouse, yeast or ecoli; capture_efficiency: [log_M0, sigma_M]; PARAMETER: [hyperparameters]",
    )
    inference_method: Literal["svi", "mcmc", "vae"] = _key("svi", "svi or mcmc", "how the posterior is found")
    svi: Svi = _key(Svi(), "a block of keys", Svi.__doc__)
    mcmc: Mcmc = _key(Mcmc(), "a block of keys", Mcmc.__doc__)
    vae: Vae = _key(Vae(), "a block of keys", Vae.__doc__)
    guide: Guide = _key(Guide(), "a block of keys", Guide.__doc__)
    engine: Literal["auto", "dense"] = _key("auto", "auto or dense", "dense: sum every cell x gene, for audits")
    data: Data = _key(Data(), "a block of keys", Data.__doc__)
    output: Output = _key(Output(), "a block of keys", Output.__doc__)
    seed: Whole = _key(42, f"{WHOLE} from 0 to 4294967295", "seed of every random number", ge=0, lt=1 << 32)

    _source: recipe_file.Source = PrivateAttr()

    @property
    def source(self) -> recipe_file.Source:
        return self._source

    def given(self) -> dict[str, Any]:
        """The keys set away from their defaults, blocks nested."""
        return self.model_dump(exclude_defaults=True)

    def resolve(self) -> ModelSpec:
        """The model this recipe describes. Raises BadRecipe with the place of the key it is about."""
        try:
            return resolve(self.given())
        except BadRecipe as error:
            path = overriding.split(error.key, SHAPE)
            raise BadRecipe(f"{self.source.place_of(path)}: {error}", key=error.key) from None


def _fields(block: type[Block] = Config, before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(dotted key, field) of every key, blocks before their keys."""
    for name, field in block.model_fields.items():
        yield before + name, field
        if _is_block(field.annotation):
            yield from _fields(field.annotation, f"{before}{name}.")


def _is_block(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Block)


def _shape(block: type[Block]) -> overriding.Shape:
    return {name: _shape_below(field.annotation) for name, field in block.model_fields.items()}


def _shape_below(kind: Any) -> overriding.Shape | None:
    if _is_block(kind):
        return _shape(kind)
    return {} if any(get_origin(k) is dict for k in (kind, *get_args(kind))) else None


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    return "none of its keys" if _is_block(field.annotation) else yaml12.flow(field.default)


FIELDS = dict(_fields())
SHAPE = _shape(Config)
EXPECTED = {key: (field.title, _default(field)) for key, field in FIELDS.items()}


def load(
    recipe: str | Path | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    several: bool = False,
    above: str = "command line",
) -> Config:
    """A recipe: a path, a bundled name or a mapping, with `overrides` ({dotted key: value}) on top.

    several: it is for several inputs, which are the datasets unless dataset_key names others. above: where the
    overrides are from, as errors and recipe.resolved.yaml name it.
    Raises BadRecipe (78) for what the schema refuses, InputMissing (66) where a file is missing. Combinations are
    checked by `Config.resolve`.
    """
    tree, source = overriding.apply(replace(recipe_file.read(recipe), above=above), overrides or {}, SHAPE)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise wording.refusal(error.errors(), source, tree, SHAPE, EXPECTED) from None
    config._source = source
    if several and config.dataset_key is None:
        return load(recipe, {**(overrides or {}), "dataset_key": INPUTS}, above=above)
    return config


def schema() -> dict[str, Any]:
    """JSON Schema of a recipe, for editors."""
    found = Config.model_json_schema()
    names = [name for names in parameterization_names().values() for name in names]
    found["properties"]["parameterization"] |= {"anyOf": [{"enum": names}, {"type": "null"}]}
    for name, field in Config.model_fields.items():
        if _is_block(field.annotation):  # one of which every key is commented out
            found["properties"][name] = {"anyOf": [found["properties"][name], {"type": "null"}]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "scribe recipe"}
