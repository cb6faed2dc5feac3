"""`scribe doctor`: every finding has a state and a remedy, and the code is that of the error a run would end with."""

from __future__ import annotations

import json
import tempfile
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from scribe_cli import errors
from scribe_cli.cli.main import main
from scribe_cli.run import device, doctor, record
from scribe_cli.run.doctoring import machine, software, trial
from scribe_cli.run.doctoring.finding import OK, PROBLEM, WARNING
from scribe_cli.run.options import Machine
from scribe_cli.run.terminal.console import Console

GOOD = trial.Outcome(seconds=1.0, converged=True, covered=0.9, off=0.02)


def by_name(diagnosis: doctor.Diagnosis) -> dict:
    return {f.what: f for f in diagnosis.findings}


@pytest.fixture
def outcome(monkeypatch):
    """Puts an outcome, or an error, in place of the trial fit."""

    def put(what):
        def fitted(machine):
            if isinstance(what, Exception):
                raise what
            return what

        monkeypatch.setattr(trial, "fitted", fitted)

    return put


def test_a_real_trial_recovers_its_truth_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["doctor", "-q", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    findings = {f["what"]: f for f in found["findings"]}
    assert found["good"] and findings["trial fit"]["state"] == OK
    assert {"versions", "device", "threads", "memory", "cache", "disk here", "temporary files", "output"} < set(
        findings
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (trial.Outcome(1.0, False, 0.9, 0.02), "not converged"),
        (trial.Outcome(1.0, True, 0.4, 0.02), "40% of r"),
        (trial.Outcome(1.0, True, 0.9, 0.7), "off by 0.70"),
    ],
)
def test_a_trial_with_wrong_results_ends_with_4(outcome, wrong, said, capsys):
    outcome(wrong)
    assert main(["doctor", "-q"]) == 4
    out, err = capsys.readouterr()
    assert said in out and "problem" in out and "trial fit" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [errors.CannotCreate("no room"), errors.IOFailure("disk"), errors.NumericalError("nan")]
)
def test_a_trial_that_fails_ends_with_its_own_code_after_the_findings(outcome, error, capsys):
    outcome(error)
    assert main(["doctor", "-q", "--json"]) == error.exit_code
    found = json.loads(capsys.readouterr().out)
    assert not found["good"] and found["findings"][-1]["found"] == str(error) and found["findings"][-1]["remedy"]


def test_a_device_that_is_not_there_ends_with_69_after_the_other_findings(outcome, monkeypatch, capsys):
    def none(machine):
        raise errors.DeviceUnavailable("--device gpu: jax finds no GPU; use --device cpu")

    outcome(AssertionError("no trial is made"))
    monkeypatch.setattr(device, "start", none)
    assert main(["doctor", "-q", "--device", "gpu", "--json"]) == 69
    findings = {f["what"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert (findings["device"]["state"], findings["device"]["remedy"]) == (PROBLEM, "use --device cpu")
    assert "memory" in findings and "trial fit" not in findings


def test_a_gpu_that_stands_idle_is_a_warning_and_no_failure(outcome, monkeypatch, tmp_path, capsys):
    outcome(GOOD)
    monkeypatch.setattr(device, "GPU_FILES", (str(tmp_path),))
    assert main(["doctor", "-q", "--json"]) == 0
    (gpu,) = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["what"] == "gpu"]
    assert gpu["state"] == WARNING and str(tmp_path) in gpu["found"]


def test_the_table_has_a_line_for_each_finding_with_its_remedy(outcome, monkeypatch, capsys):
    outcome(GOOD)
    monkeypatch.setenv("SCRIBE_THREADS", "4096")
    assert main(["doctor", "-q"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1 + len(doctor.doctor(Machine(), Console(quiet=True)).findings)
    assert "--threads" in next(line for line in out.splitlines() if line.startswith("threads"))


def test_a_missing_library_is_a_problem_and_no_fit_is_tried(outcome, monkeypatch):
    def missing():
        raise metadata.PackageNotFoundError("optax")

    outcome(AssertionError("no trial is made"))
    monkeypatch.setattr(record, "versions", missing)
    assert software.versions().state == PROBLEM and "optax" in software.versions().found
    diagnosis = doctor.doctor(Machine(), Console(quiet=True))
    assert diagnosis.error is not None and "trial fit" not in by_name(diagnosis)


# the machine


def test_limits_of_cgroups_of_both_versions(tmp_path):
    def made(name: str, files: dict[str, str]) -> Path:
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / name

    two = made("two", {"cpu.max": "150000 100000\n", "memory.max": "2147483648\n"})
    free = made("free", {"cpu.max": "max 100000\n", "memory.max": "max\n"})
    one = made(
        "one",
        {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000", "memory/memory.limit_in_bytes": "1024"},
    )
    unlimited = made("unlimited", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
    assert [machine.cpu_limit(g) for g in (two, free, one, unlimited, tmp_path / "none")] == [
        1.5,
        None,
        4.0,
        None,
        None,
    ]
    assert [machine.memory_limit(g) for g in (two, free, one, tmp_path / "none")] == [2**31, None, 1024, None]


def test_more_threads_than_the_cgroup_allows_are_warned_of(monkeypatch):
    monkeypatch.setattr(machine, "_cores", lambda: 64)
    monkeypatch.setattr(machine, "cpu_limit", lambda: 4.0)
    for name in ("SCRIBE_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    seen = machine._threads(Machine())
    assert seen.state == WARNING and "--threads 4" in seen.remedy
    assert machine._threads(Machine(threads=4)).state == OK


def test_little_memory_is_warned_of(monkeypatch):
    monkeypatch.setattr(machine, "memory_limit", lambda: int(1e9))
    seen = machine._memory()
    assert seen.state == WARNING and "1.0 GB by the cgroup" in seen.found
    monkeypatch.setattr(machine, "memory_limit", lambda: psutil.virtual_memory().total * 2)
    assert "cgroup" not in machine._memory().found


def test_a_full_disk_and_a_cache_that_cannot_be_written_are_warned_of(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCRIBE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    seen = machine._cache()
    assert seen.state == WARNING and "SCRIBE_CACHE_DIR" in seen.remedy
    monkeypatch.setattr(machine, "_free", lambda folder: int(1e8))
    assert [f.state for f in machine._disk()] == [WARNING, WARNING]


def test_no_folder_for_temporary_files_is_a_problem(monkeypatch):
    def none():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert [f for f in machine._disk() if f.state == PROBLEM][0].remedy == "set TMPDIR to one that can"
