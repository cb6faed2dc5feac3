"""The command line itself: what it passes to the verbs, what it prints, and the code it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

import scribe_cli.run
from scribe_cli import __version__, errors
from scribe_cli.cli.main import COMMANDS, main, scribe
from scribe_cli.run.options import (
    FitOptions,
    FitRecord,
    Machine,
    RecipeOptions,
    ScoreOptions,
    SimulateOptions,
    SummaryOptions,
    output_folder,
    stem,
)
from scribe_cli.run.terminal.table import Table

SCRIBE = [sys.executable, "-m", "scribe_cli"]


@pytest.fixture
def verb(monkeypatch):
    """Puts a recording stand-in for a verb in place; returns the list of what it was asked."""

    def put(module, name, answer=None):
        asked = []

        def stand_in(options, console=None):
            asked.append(options)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        fake = types.ModuleType(f"scribe_cli.run.{module}")
        setattr(fake, name, stand_in)
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        monkeypatch.setattr(scribe_cli.run, module, fake, raising=False)
        return asked

    return put


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"scribe {__version__}\n"
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and all(f"\n  {name} " in out for name in COMMANDS)


def test_a_key_set_twice_is_an_error_of_the_recipe(capsys, verb):
    verb("fit", "fit")
    for twice in (["--seed", "1", "--set", "seed=2"], ["--set", "seed=1", "--set", "seed=2"]):
        assert main(["fit", "d.h5ad", "--recipe", "r", *twice]) == 78
        assert "seed is given twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args, said",
    [
        (["ft"], 'did you mean "fit"'),
        (["fit"], "DATA"),
        (["fit", "d.h5ad"], "--recipe"),
        (["fit", "d.h5ad", "--recipe", "r", "--nonsense"], "--nonsense"),
        (["fit", "d.h5ad", "--recipe", "r", "--threads", "0"], "--threads"),
        (["fit", "d.h5ad", "--recipe", "r", "--device", "tpu"], "--device"),
        (["fit", "d.h5ad", "--recipe", "r", "-o", "x/out.h5ad"], "write -o x/out.scribe"),
        (["fit", "d.h5ad", "--recipe", "r", "-o", "out.zarr"], "out.scribe/fit.zarr"),
        (["score", "d.h5ad"], "--recipe and --params"),
        (["score", "d.h5ad", "--recipe", "r", "--fit", "F"], "--fit alone"),
        (["score", "d.h5ad", "--fit", "F", "--set", "seed=1"], "--set"),
        (["simulate", "--recipe", "r", "-o", "f", "--cells", "3"], "--cells and --genes"),
        (["simulate", "--recipe", "r", "-o", "f", "--cells", "3", "--genes", "3", "--like", "d"], "--like"),
        (["recipe", "nonsense"], "nonsense"),
        (["summary", "F", "--format", "xml"], "--format"),
    ],
)
def test_usage_errors_are_one_line(args, said, capsys, verb):
    for module, name in (("fit", "fit"), ("score", "score"), ("simulate", "simulate"), ("summary", "summary")):
        verb(module, name)
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("scribe: error: ") and said in err


@pytest.mark.parametrize("text", ["nonsense", "=3", "model=[", "model=!!python/object:os.system x"])
def test_settings_refused(text, capsys, verb):
    verb("fit", "fit")
    assert main(["fit", "d.h5ad", "--recipe", "r", "--set", text]) == 78
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "--set" in err


def test_fit_passes_every_option(verb, capsys):
    asked = verb("fit", "fit", FitRecord(Path("OUT"), "fitted"))
    line = (
        "fit d.h5ad e.h5ad --recipe r.yaml -o OUT --set svi.n_steps=5e3 --set priors.mu=[0,3] --layer counts --dataset-key batch"
        " --seed 7 --device cpu --threads 2 --key-added k --format zarr --overwrite --fail-on rhat>1.05 --fail-on elbo<0"
        " --dry-run --transpose -q -v"
    )
    assert main(line.split()) == 0
    assert asked == [
        FitOptions(
            data=(Path("d.h5ad"), Path("e.h5ad")),
            recipe="r.yaml",
            output=Path("OUT"),
            overrides={
                "svi.n_steps": 5000.0,
                "priors.mu": [0, 3],
                "data.layer": "counts",
                "dataset_key": "batch",
                "seed": 7,
            },
            machine=Machine("cpu", 2),
            transpose=True,
            key_added="k",
            format="zarr",
            overwrite=True,
            fail_on=("rhat>1.05", "elbo<0"),
            dry_run=True,
        )
    ]


def test_fit_asks_for_nothing_by_itself(verb, capsys):
    asked = verb("fit", "fit", FitRecord(Path("d.zinbvcp.scribe"), "fitted"))
    assert main(["fit", "d.h5ad", "--recipe", "zinbvcp"]) == 0
    assert asked == [FitOptions(data=(Path("d.h5ad"),), recipe="zinbvcp", output=Path("d.zinbvcp.scribe"))]
    assert capsys.readouterr() == ("d.zinbvcp.scribe\n", "")


def test_fit_json(verb, capsys):
    verb("fit", "fit", FitRecord(Path("OUT"), "unchanged", "abc", {"elbo": -1.5, "converged": True}))
    assert main(["fit", "d.h5ad", "--recipe", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "output": "OUT",
        "did": "unchanged",
        "run_id": "abc",
        "metrics": {"elbo": -1.5, "converged": True},
    }


def test_dry_run_prints_the_recipe(verb, capsys):
    verb("fit", "fit", FitRecord(Path("OUT"), "checked", resolved="model: nbdm\n"))
    assert main(["fit", "d.h5ad", "--recipe", "r", "--dry-run"]) == 0
    assert capsys.readouterr().out == "model: nbdm\n"


def test_failed_gate_prints_the_result_and_exits_3(verb, capsys):
    verb("fit", "fit", FitRecord(Path("OUT"), "fitted", failed_gates=("rhat = 1.2 (rhat>1.05)",)))
    assert main(["fit", "d.h5ad", "--recipe", "r", "--fail-on", "rhat>1.05"]) == 3
    out, err = capsys.readouterr()
    assert out == "OUT\n" and "rhat = 1.2 (rhat>1.05)" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "error, code, said",
    [
        (errors.NumericalError("site mu, step 3: not finite"), 4, "site mu"),
        (errors.BadData("x.h5ad: 3 negative\ncounts"), 65, "3 negative counts"),
        (errors.InputMissing("no x"), 66, "no x"),
        (errors.DeviceUnavailable("no GPU"), 69, "no GPU"),
        (errors.CannotCreate("no room"), 73, "no room"),
        (errors.IOFailure("torn"), 74, "torn"),
        (errors.BadRecipe("r.yaml:1:2"), 78, "r.yaml:1:2"),
        (OSError(28, "No space left on device", "OUT/x"), 74, "No space left on device"),
        (MemoryError(), 137, "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes"), 137, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ValueError("a\nb"), 1, "ValueError: a b"),
    ],
)
def test_exit_codes(error, code, said, verb, capsys):
    verb("fit", "fit", error)
    assert main(["fit", "d.h5ad", "--recipe", "r"]) == code
    out, err = capsys.readouterr()
    assert out == "" and said in err and "Traceback" not in err
    assert err.strip().count("\n") == 0


def test_traceback_only_when_asked(verb, capsys):
    verb("fit", "fit", errors.BadData("bad"))
    assert main(["fit", "d.h5ad", "--recipe", "r", "-vv"]) == 65
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith("scribe: error: bad\n")


def test_score(verb, capsys, tmp_path):
    asked = verb("score", "score", Table(("cell", "log_likelihood"), [("a", -1 / 3), ("b", -2.0)]))
    assert main(["score", "d", "--recipe", "r", "--params", "p.npz", "--by", "cell", "--layer", "raw"]) == 0
    assert asked == [ScoreOptions((Path("d"),), "cell", "r", Path("p.npz"), overrides={"data.layer": "raw"})]
    assert capsys.readouterr().out == "cell\tlog_likelihood\na\t-0.33333333333333331\nb\t-2\n"
    assert main(["score", "d", "--fit", "F", "--by", "cell", "-o", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "s.csv").read_text() == "cell,log_likelihood\na,-0.33333333333333331\nb,-2\n"
    assert capsys.readouterr() == ("", "") and [f.name for f in tmp_path.iterdir()] == ["s.csv"]


def test_score_total_is_one_number(verb, capsys):
    verb("score", "score", Table(("log_likelihood",), [(-0.1,)], header=False))
    assert main(["score", "d", "--fit", "F"]) == 0
    assert capsys.readouterr().out == "-0.10000000000000001\n"


def test_summary_forms(verb, capsys, tmp_path):
    names = tmp_path / "genes.txt"
    names.write_text("CD3E\n\nLYZ\n")
    tables = [Table(("parameter", "map"), [("p", 0.123456), ("mu", float("nan"))], "Globals"), Table(("n",), [(3,)])]
    asked = verb("summary", "summary", tables)
    assert main(["summary", "F", "--genes", "A,B", "--genes", str(names), "--names", "descriptive"]) == 0
    assert asked[-1] == SummaryOptions(Path("F"), True, ("A", "B", "CD3E", "LYZ"), every_row=False)
    assert capsys.readouterr().out == "Globals\nparameter     map\np          0.1235\nmu            nan\n\nn\n3\n"
    tables.pop()
    assert main(["summary", "F", "--format", "json"]) == 0
    assert asked[-1] == SummaryOptions(Path("F"), every_row=True)
    assert json.loads(capsys.readouterr().out) == [{"parameter": "p", "map": 0.123456}, {"parameter": "mu", "map": None}]


def test_output_that_cannot_be_written(verb, capsys, tmp_path):
    verb("score", "score", Table(("cell", "log_likelihood"), []))
    assert main(["score", "d", "--fit", "F", "-o", str(tmp_path / "none" / "s.tsv")]) == 73
    assert "s.tsv: cannot be written" in capsys.readouterr().err


def test_simulate(verb, capsys):
    asked = verb("simulate", "simulate")
    assert main("simulate --recipe r --cells 5 --genes 4 --params p.yaml --seed 1 -o f.h5ad".split()) == 0
    assert asked == [SimulateOptions("r", Path("f.h5ad"), {"seed": 1}, cells=5, genes=4, params=Path("p.yaml"))]
    assert capsys.readouterr().out == "f.h5ad\n"


def test_recipe_check(verb, capsys):
    asked = verb("recipes", "check", "r.yaml: good")
    assert main("recipe check r.yaml --data d.h5ad --set seed=1 --device cpu".split()) == 0
    assert asked == [RecipeOptions("r.yaml", {"seed": 1}, Path("d.h5ad"), Machine("cpu"))]
    assert capsys.readouterr().out == "r.yaml: good\n"


def test_names_of_output():
    assert output_folder(None, [Path("a/pbmc.h5ad")], "recipes/zinb.yaml") == Path("pbmc.zinb.scribe")
    assert output_folder(None, [Path("a.h5ad"), Path("b"), Path("c")], "zinb") == Path("a+2.zinb.scribe")
    assert output_folder(Path("x.y"), [Path("d")], "r") == Path("x.y")
    assert [stem(p) for p in ("m.mtx.gz", "a/b.zarr", "a/filtered/", ".h5ad")] == ["m", "b", "filtered", ".h5ad"]


BUNDLED = sorted(path.stem for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize(
    "args, incomplete, offered",
    [
        ([], "su", ["summary"]),
        (["recipe"], "ex", ["explain"]),
        (["fit", "d.h5ad"], "--rec", ["--recipe"]),
        (["fit", "d.h5ad", "--device"], "", ["auto", "cpu", "gpu"]),
        (["fit", "d.h5ad", "--recipe"], "", [*BUNDLED, "my.yaml"]),
        (["recipe", "check"], "m", ["mixture", "my.yaml"]),
        (["recipe", "show"], "zinbv", ["zinbvcp"]),
        (["summary"], "", ["first.scribe"]),
        (["summary"], "deep/", ["deep/other", "deep/second.scribe"]),
        (["score", "d.h5ad", "--fit"], "fi", ["first.scribe"]),
        (["summary"], "nothing/", ["file"]),  # the shell's own names of files
    ],
)
def test_completion(args, incomplete, offered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("my.yaml", "first.scribe/fit.h5ad", "deep/second.scribe/fit.zarr/x", "deep/other/fit.h5ad"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = BashComplete(scribe, {}, "scribe", "_SCRIBE_COMPLETE").get_completions(args, incomplete)
    assert [item.value if item.type == "plain" else item.type for item in found] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    env = {**os.environ, "_SCRIBE_COMPLETE": f"{shell}_source"}
    code = "import sys; sys.argv[0] = 'scribe'; from scribe_cli.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert f"_SCRIBE_COMPLETE={shell}_complete" in done.stdout and done.stderr == ""


def test_a_closed_pipe_ends_in_silence():
    line = f"{sys.executable} -m scribe_cli fit --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=os.environ)
    assert done.stderr == "" and done.returncode in (0, 141)
