"""Recipes as text: YAML 1.2, places in errors, overrides, the resolved recipe, the schema, what is bundled."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribe_cli.errors import BadRecipe, InputMissing
from scribe_cli.run.recipe import config, overrides, recipe_file, yaml12
from scribe_cli.run.recipe.resolved import resolved, resolved_text


@pytest.fixture
def load(tmp_path):
    """A recipe from its text; errors name it r.yaml."""

    def loaded(text: str | bytes, **more) -> config.Config:
        path = tmp_path / "r.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return config.load(path, more)

    return loaded


def message(caught) -> str:
    """The error's line, the folder of the test's file taken off."""
    text = str(caught.value)
    assert "\n" not in text
    return text.rpartition("/r.yaml")[2] if "/r.yaml" in text else text


# ---------------------------------------------------------------- YAML 1.2


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-1", -1),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("null", None),
        ("True", True),
        ("false", False),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        *((word, word) for word in ("no", "yes", "on", "off", "y", "n", "NO", "tRUE", "nUll", "1e", ".", "-", "0o8")),
        ("9" * 5000, math.inf),
    ],
)
def test_scalars(text, value):
    found = yaml12.scalar(text)
    assert found == value and type(found) is type(value)


def test_not_a_number():
    assert math.isnan(yaml12.scalar(".nan"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_again(value):
    found = yaml12.parse(f"key: {yaml12.flow(value)}  # comment\n", "r").value["key"]
    assert found == value and repr(found) == repr(value)


def test_places():
    document = yaml12.parse("a: 1\nb:\n  c: [x,\n    y]\n", "r")
    assert document.value == {"a": 1, "b": {"c": ["x", "y"]}}
    assert document.keys["b", "c"] == (3, 3) and document.values["b", "c"] == (3, 6)
    assert document.values["b", "c", 1] == (4, 5)


# ---------------------------------------------------------------- what is refused, and where

BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nmodel: nbdm\n"

REFUSED = [
    ("model: nbdm\nn_component: 2\n", ':2:1: unknown key n_component (did you mean "n_components"?)'),
    ("model: nbdm\nsvi:\n  n_stps: 2\n", ':3:3: unknown key svi.n_stps (did you mean "svi.n_steps"?)'),
    ("model: nbdm\nn_steps: 2\n", ':2:1: unknown key n_steps (did you mean "svi.n_steps"?)'),
    ("modl: nbdm\n", ':1:1: unknown key modl (did you mean "model"?)'),
    ("modl: nbdm\n", "(1 more after this one)"),
    ("seed: 1\n", ": model is not set; write model: with one of nbdm,"),
    ("model: nbdn\n", ":1:8: model: expected one of nbdm, nbvcp"),
    ("model: nbdn\n", 'found the text "nbdn" (did you mean "nbdm"?)'),
    (
        "model: nbdm\nsvi: {n_steps: abc}\n",
        ':2:16: svi.n_steps: expected a whole number from 1, or null, found the text "abc"',
    ),
    ("model: nbdm\nsvi: {n_steps: 0}\n", "found 0; correct it, or remove the key (default null)"),
    ("model: nbdm\nsvi: {n_steps: 1.5}\n", "found 1.5"),
    ("model: nbdm\nsvi: {n_steps: true}\n", "found true"),
    ("model: nbdm\nsvi: {n_steps: '5'}\n", 'found the text "5"'),
    ("model: nbdm\nsvi: {learning_rate: true}\n", "found true"),
    ("model: nbdm\nsvi: {learning_rate: .inf}\n", "found .inf"),
    ("model: nbdm\nsvi: {early_stopping: no}\n", 'expected true or false, found the text "no"'),
    ("model: nbdm\nunconstrained: 1\n", "expected true or false, found 1"),
    ("model: nbdm\nsvi: 5\n", ":2:6: svi: expected a block of keys, found 5"),
    ("model: nbdm\nseed: -1\n", "found -1"),
    ("model: nbdm\nseed: 4294967296\n", "found 4294967296"),
    (
        "model: nbdm\npriors: {p: [1, x]}\n",
        ':2:17: priors: expected a mapping like {organism: human, mu: [0, 3]}, found the text "x" in priors.p[1]',
    ),
    ("model: nbdm\npriors: {p: [1, true]}\n", "found true"),
    ("model: nbdm\npriors: [1]\n", "found the list [1]"),
    ("model: nbdm\npositive_transform: {r: sofplus}\n", 'did you mean "softplus"'),
    ("model: nbdm\ndata: {where: {a: []}}\n", "at least one value"),
    (
        "model: nbdm\ndata: {where: {a: b}}\n",
        ':2:19: data.where: expected a mapping {obs column: [at least one value]}, found the text "b" in data.where.a',
    ),
    ("model: nbdm\ndata: {genes: []}\n", "data.genes: expected a list of names"),
    ("model: nbdm\ndata: {gene_coverage: 0}\n", "above 0, at most 1"),
    ("model: nbdm\noutput: {layers: [pcc]}\n", 'did you mean "ppc"'),
    ("model: nbdm\noutput: {layers: all}\n", 'found the text "all"'),
    ("model: nbdm\nmcmc: {target_accept: 1}\n", "between 0 and 1"),
    # combinations carry the place of the key they are about
    (
        "model: nbvcp\n\nzero_inflation_prior: neg\n",
        ":3:1: zero_inflation_prior: model nbvcp has no gate; choose zinb or zinbvcp, or remove",
    ),
    ("model: nbdm\npriors:\n  organism: human\n", ":3:3: priors.organism: model nbdm has no capture"),
    ("model: nbdm\nmcmc:\n  n_chains: 2\n", ":3:3: mcmc.n_chains: only inference_method: mcmc reads it"),
    ("model: nbdm\nguide: {rank: 2}\n", ":2:9: guide.rank: 2 is not available yet"),
    # what is no recipe
    ("", ": a recipe is a mapping of keys to values, found nothing"),
    ("# only this\n", "found nothing"),
    ("- model\n", "found a list"),
    ("nbdm\n", "found a single value"),
    ("model: nbdm\nseed: 1\nmodel: nbvcp\n", ":3:1: the key model stands twice, first in line 1"),
    ("model: nbdm\nsvi: {n_steps: 1, n_steps: 2}\n", ":2:19: the key n_steps stands twice"),
    (
        "model: !!python/object/apply:os.system [ls]\n",
        ":1:8: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed",
    ),
    ("model: !!str nbdm\n", ":1:8: the tag"),
    ("!!str model: nbdm\n", ":1:1: the tag"),
    (BOMB, ":2:8: the alias *a is not allowed"),
    ("model: nbdm\n? [a, b]\n: 1\n", ":2:3: a key must be plain text"),
    ("model: nbdm\n---\nmodel: nbdm\n", ":2:1: a second document begins"),
    ("model: [nbdm\n", "not valid YAML"),
    ("model: nbdm\n\tseed: 1\n", ":2:1: not valid YAML"),
    ("model: nbdm\nseed: 1: 2\n", ":2:8: not valid YAML"),
    ("model: " + "[" * 500, "nested more than 20 deep"),
    ("# " + "x" * yaml12.LARGEST_DOCUMENT, "more than a recipe may have"),
    ("model: nbdm\x00\n", "not valid YAML"),
    (b"\x89HDF\r\n\x1a\n\x00", "not UTF-8 text (byte 0)"),
]


@pytest.mark.parametrize("text, words", REFUSED, ids=range(len(REFUSED)))
def test_refused(load, text, words):
    with pytest.raises(BadRecipe) as caught:
        load(text).resolve()
    assert words in message(caught)
    assert "; " in message(caught)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("recipe", ["nowhere.yaml", "zinbvpc", "/", "nbvcp/x"])
def test_missing(recipe):
    with pytest.raises(InputMissing, match="no such file and no bundled recipe") as caught:
        config.load(recipe)
    assert caught.value.exit_code == 66


def test_missing_says_what_it_may_have_been():
    with pytest.raises(InputMissing, match='did you mean "zinbvcp"'):
        config.load("zinbvpc")


# ---------------------------------------------------------------- precedence and origins


def test_the_command_line_goes_before_the_recipe_and_that_before_the_defaults(load):
    found = load("model: nbdm\nsvi: {n_steps: 5, learning_rate: 1e-3}\n", **{"svi.n_steps": 7})
    assert (found.svi.n_steps, found.svi.learning_rate, found.svi.n_samples) == (7, 1e-3, 500)
    origins = [found.source.origin(f"svi.{key}") for key in ("n_steps", "learning_rate", "n_samples")]
    assert origins == ["command line", "recipe", "default"]


def test_a_block_override_sets_the_keys_it_names(load):
    found = load("model: nbdm\nsvi: {learning_rate: 1e-3}\n", svi={"n_steps": 7})
    assert (found.svi.n_steps, found.svi.learning_rate) == (7, 1e-3)


def test_a_value_override_replaces(load):
    text = "model: nbvcp\npriors: {organism: human}\ndata: {where: {a.b: [1]}}\n"
    assert load(text, priors={"p": [1, 2]}).priors == {"p": [1, 2]}
    assert load(text, **{"priors.organism": "mouse"}).priors == {"organism": "mouse"}
    assert load(text, **{"data.where.a.b": ["x"], "data.where.c": [True]}).data.where == {"a.b": ["x"], "c": [True]}


@pytest.mark.parametrize(
    "override, words",
    [
        ({"svi.n_stps": 1}, 'command line: unknown key svi.n_stps (did you mean "svi.n_steps"?)'),
        ({"svi": {"n_stps": 1}}, "command line: unknown key svi.n_stps"),
        ({"model.name": "nbdm"}, "command line: unknown key model.name"),
        ({"": 1}, "command line: unknown key"),
        ({"svi.n_steps": "x"}, "command line: svi.n_steps: expected a whole number"),
        ({"svi": 5}, "command line: svi: expected a block of keys, found 5"),
        ({"positive_transform.r": "softplus"}, "positive_transform is softplus in the recipe, no mapping"),
        ({"priors.organism": "humn"}, "command line: priors.organism: "),
        ({"zero_inflation_prior": "neg"}, "command line: zero_inflation_prior: model nbvcp has no gate"),
    ],
)
def test_overrides_refused(load, override, words):
    with pytest.raises(BadRecipe) as caught:
        load(
            "model: nbvcp\nparameterization: mean_odds\nunconstrained: true\npositive_transform: softplus\n", **override
        ).resolve()
    assert words in message(caught)


def test_an_empty_block_sets_nothing(load):
    assert load("model: nbdm\nsvi:\npriors:\n").given() == {"model": "nbdm"}


def test_a_mapping_is_a_recipe():
    found = config.load({"model": "nbdm", "svi": {"n_steps": 3}}, {"seed": 7, "priors": {"r": (0, 2)}})
    assert (found.svi.n_steps, found.seed, found.priors) == (3, 7, {"r": [0.0, 2.0]})
    assert yaml12.parse(found.source.text.decode(), "r").value == {"model": "nbdm", "svi": {"n_steps": 3}}
    with pytest.raises(BadRecipe, match=r"^recipe: svi\.n_steps: expected a whole number"):
        config.load({"model": "nbdm", "svi": {"n_steps": "x"}})


def test_the_text_is_kept_byte_for_byte(load):
    text = b"\xef\xbb\xbfmodel: nbdm\r\n# \xc3\xa9\r\n"
    assert load(text).source.text == text


# ---------------------------------------------------------------- the file of genes


def test_a_file_of_genes_is_read_beside_the_recipe(load, tmp_path):
    (tmp_path / "genes.txt").write_text("A\n\n B-1 \nC\n")
    assert load("model: nbdm\ndata: {genes: genes.txt}\n").data.genes == ["A", "B-1", "C"]


def test_a_file_of_genes_on_the_command_line_is_read_here(load, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "genes.txt").write_text("A\n")
    monkeypatch.chdir(tmp_path / "here")
    assert load("model: nbdm\n", **{"data.genes": "genes.txt"}).data.genes == ["A"]


def test_a_missing_file_of_genes(load):
    with pytest.raises(InputMissing) as caught:
        load("model: nbdm\ndata:\n  genes: nothere.txt\n")
    assert ":3:3: data.genes: " in str(caught.value) and "nothere.txt" in str(caught.value)


# ---------------------------------------------------------------- the resolved recipe

RECIPES = [
    "model: nbdm\n",
    "model: nbvcp\nparameterization: linked\npriors: {capture_efficiency: [11.5, 0.2], p: [2, 3.5]}\n",
    "model: zinb\nparameterization: odds_ratio\nunconstrained: true\npositive_transform: softplus\n",
    "model: nbdm\nunconstrained: true\npositive_transform: {r: softplus}\npriors: {r: [100, 50]}\n",
    "model: nbdm\ninference_method: mcmc\nmcmc: {n_chains: 2, n_warmup: 1e3}\nsvi: {learning_rate: 1e-3}\n",
    'model: nbdm\ndata: {where: {"a b": [1, "1", no, true, 1.5], t: ["null"]}, genes: ["1e3"]}\noutput: {layers: []}\n',
    *(path.read_text() for path in recipe_file.bundled().values()),
]


@pytest.mark.parametrize("text", RECIPES, ids=range(len(RECIPES)))
def test_the_resolved_recipe_is_a_recipe_and_gives_the_same(load, text):
    first = load(text)
    again = load(resolved_text(first, "run"))
    assert again.resolve() == first.resolve()
    assert json.dumps(resolved(again)) == json.dumps(resolved(first))
    assert resolved(again) | {"priors": 0, "parameterization": 0} == first.model_dump() | {
        "priors": 0,
        "parameterization": 0,
    }


def test_the_resolved_recipe_is_complete_and_says_where_values_are_from(load):
    text = resolved_text(load("model: nbvcp\nparameterization: standard\npriors: {organism: human}\n", seed=7), "abc")
    assert text.startswith("# run_id: abc\n")
    said = dict(line.split(" # ") for line in text.splitlines() if not line.startswith("#") and " # " in line)
    said = {line.rstrip(): origin for line, origin in said.items()}
    assert said["model: nbvcp"] == "recipe" and said["seed: 7"] == "command line"
    assert said["parameterization: canonical"] == "recipe"
    assert said["  organism: human"].startswith("recipe; log_M0 12.2061")
    assert said["  r: [0.0, 3.0]"] == "default" and said["  p: [1.0, 1.0]"] == "default"
    keys = {".".join(path) for path in yaml12.parse(text, "r").keys}
    assert set(config.FIELDS) <= keys


# ---------------------------------------------------------------- schema, bundled recipes


@pytest.mark.parametrize("key", config.FIELDS)
def test_every_key_says_what_it_takes_and_does(key):
    field = config.FIELDS[key]
    assert field.title and field.description and config.EXPECTED[key][0] == field.title


def test_schema():
    found = json.loads(json.dumps(config.schema()))
    assert found["additionalProperties"] is False and found["required"] == ["model"]
    assert set(found["properties"]) == {key for key in config.FIELDS if "." not in key}
    assert {"canonical", "odds_ratio", "fano"} <= set(found["properties"]["parameterization"]["anyOf"][0]["enum"])
    blocks = {name for name, below in config.SHAPE.items() if below and name in config.Config.model_fields}
    nullable = {name for name in blocks if {"type": "null"} in found["properties"][name].get("anyOf", [])}
    assert blocks == nullable == {"svi", "mcmc", "vae", "guide", "data", "output"}  # as `recipe init` leaves them


@pytest.mark.parametrize(
    "key, names", [("output.layers", ["ppc", "expected", "ppc"]), ("output.samples", ["mu", "mu"]), ("data.genes", ["A", "B", "A"])]
)
def test_a_name_that_stands_twice_is_refused(key, names):
    with pytest.raises(BadRecipe, match=rf"^command line: {key}: {names[0]} stands twice; leave one out$"):
        config.load("nbvcp", {key: names})
    config.load("nbvcp", {key: names[:1]})


def test_an_error_names_what_went_before_the_recipe():
    for given in ({"svi.n_stps": 1}, {"svi.n_steps": "x"}, {"model.name": 1}, {"zero_inflation_prior": "neg"}):
        with pytest.raises(BadRecipe, match=r"^argument: "):
            config.load("nbvcp", given, above="argument").resolve()


@pytest.mark.parametrize("name", ["nbdm", "nbvcp", "zinb", "zinbvcp"])
def test_bundled(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a directory of that name does not hide the recipe
    found = config.load(name)
    assert found.model == name and config.load(f"{name}.yaml").resolve() == found.resolve()


def test_a_file_goes_before_a_bundled_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nbdm.yaml").write_text("model: zinb\n")
    assert config.load("nbdm.yaml").model == "zinb" and config.load("nbdm").model == "nbdm"


def test_checking_a_recipe_loads_no_jax():
    script = (
        "from scribe_cli.run.recipe import config; config.load('zinbvcp').resolve(); import sys; print('jax' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.stdout.strip() == "False", done.stderr


def test_split():
    assert overrides.split("data.where.a.b", config.SHAPE) == ("data", "where", "a.b")
    assert overrides.split("priors.mu", config.SHAPE) == ("priors", "mu")
    assert overrides.split("svi.n_steps", config.SHAPE) == ("svi", "n_steps")
