"""The starter of `recipe init`: it runs as it is, and every key in it is one that works."""

from __future__ import annotations

import re

import pytest

from scribe_cli.cli.main import main
from scribe_cli.core.model.refusals import NOT_YET, VALUES_NOT_YET
from scribe_cli.run.recipe import config
from scribe_cli.run.recipe.starter import WIDTH, starter

COMMENTED_KEY = re.compile(r"^( *)#(\w+: .*)$", re.MULTILINE)
ALL_KEYS = list(COMMENTED_KEY.finditer(starter()))


def load(text, tmp_path):
    (tmp_path / "r.yaml").write_text(text)
    return config.load(tmp_path / "r.yaml")


def test_as_it_is_only_the_model_is_set(tmp_path):
    found = load(starter(), tmp_path)
    assert found.given() == {"model": "nbvcp"} and found.resolve().capture == "p_capture"


def test_it_holds_every_key_that_works(tmp_path):
    everything = load(COMMENTED_KEY.sub(r"\1\2", starter()), tmp_path)
    assert everything.given() == {"model": "nbvcp"} and everything.resolve()
    shown = {".".join(path) for path in everything.source.document.keys}
    assert {key for key in config.FIELDS if not any(key == k or key.startswith(f"{k}.") for k in NOT_YET)} == shown


@pytest.mark.parametrize("match", ALL_KEYS, ids=lambda match: match.group().strip())
def test_any_key_can_be_uncommented(match, tmp_path):
    text, at = starter(), match.end(1)
    found = load(text[:at] + text[at + 1 :], tmp_path)
    assert found.given() == {"model": "nbvcp"} and found.resolve()
    assert len(found.source.document.keys) == 7  # the model, the five blocks, and this one


def test_nothing_is_named_that_is_refused_as_not_available_yet():
    later = [value for values in VALUES_NOT_YET.values() for value in values]
    assert not set(later) & set(re.findall(r"\w+", starter()))


def test_it_fits_into_a_terminal():
    assert max(map(len, starter().splitlines())) <= WIDTH == 80


def asked(tmp_path, capsys):
    assert main(["recipe", "init"]) == 0
    (tmp_path / "r.yaml").write_text(capsys.readouterr().out)
    out = str(tmp_path / "OUT")
    return ["fit", "testdata/small.h5ad", "--recipe", str(tmp_path / "r.yaml"), "-o", out, "--device", "cpu"]


def test_a_fit_would_take_it(tmp_path, capsys):
    assert main([*asked(tmp_path, capsys), "--dry-run"]) == 0
    assert "model: nbvcp  " in capsys.readouterr().out


@pytest.mark.slow
def test_it_fits(tmp_path, capsys):
    assert main(asked(tmp_path, capsys)) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'OUT'}\n" and (tmp_path / "OUT" / "fit.h5ad").exists()
