"""What a person and a program see of a run: stderr, run.log, events.jsonl, status.json."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys
import termios
import warnings
from datetime import datetime

import pytest

from scribe_cli.errors import BadData
from scribe_cli.run.terminal.console import Console
from scribe_cli.run.terminal.progress import Phase, duration

DATED = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "


def on_a_terminal(code: str, width: int) -> str:
    """What a program writes to a terminal of this width for its stderr."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stderr=theirs, env=env, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    return shown


def run_phase(console, losses=(10.0, 5.0)):
    with console.phase("fit"):
        for i, loss in enumerate(losses):
            console.progress(100 * (i + 1), 400, loss)


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys):
    console = Console(interval=0.0)
    run_phase(console)
    console.notice("rounded 3 values")
    console.result("OUT")
    out, err = capsys.readouterr()
    assert out == "OUT\n"
    lines = err.splitlines()
    assert re.fullmatch(DATED + r"fit  step 100 of 400  loss 10.0  ETA \d+s  memory \d+\.\d GB", lines[0])
    assert re.fullmatch(DATED + r"fit  step 200 of 400  loss 5.0  ETA \d+s  memory \d+\.\d GB", lines[1])
    assert re.fullmatch(DATED + r"fit \d+\.\d s  step 200  loss 5.0", lines[2])
    assert re.fullmatch(DATED + "rounded 3 values", lines[3])


def test_progress_keeps_its_interval(capsys):
    run_phase(Console(interval=1000.0))
    assert len(capsys.readouterr().err.splitlines()) == 1  # the closing line of the phase alone


def test_quiet_leaves_warnings(capsys):
    console = Console(quiet=True, interval=0.0)
    run_phase(console)
    console.notice("seen")
    console.warning("1 gene is prior-dominated")
    err = capsys.readouterr().err
    assert re.fullmatch(DATED + "warning: 1 gene is prior-dominated\n", err)


def test_details_need_verbose(capsys):
    for verbose in (0, 1):
        Console(verbose=verbose).detail("lane separable")
    assert capsys.readouterr().err.count("lane separable") == 1


def test_libraries_speak_through_the_console(capsys):
    for verbose in (0, 1):
        console = Console(verbose=verbose)
        with console.libraries_heard(), warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old file", UserWarning, stacklevel=1)
            logging.getLogger("jax").warning("falling back")
    err = capsys.readouterr().err
    assert err.count("UserWarning: old file") == 1 and err.count("jax: falling back") == 1


def test_journal_of_a_good_run(tmp_path):
    console = Console(quiet=True, interval=0.0)
    console.notice("before there was a folder")
    with console.recorded(tmp_path, "abc"):
        run_phase(console)
        assert json.loads((tmp_path / "status.json").read_text()) == {
            "state": "running",
            "phase": "fit",
            "run_id": "abc",
            "exit_code": None,
        }
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["notice", "progress", "progress", "phase", "end"]
    said = {k: events[2][k] for k in ("event", "phase", "step", "total", "loss")}
    assert said == {"event": "progress", "phase": "fit", "step": 200, "total": 400, "loss": 5.0}
    assert events[2]["eta_seconds"] >= 0 and datetime.fromisoformat(events[2]["time"]).tzinfo
    assert events[3]["seconds"] == pytest.approx(console.seconds["fit"], abs=1e-3)
    log = (tmp_path / "run.log").read_text()
    assert "before there was a folder" in log and log.count("\n") == 5
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("done", 0)
    assert not (tmp_path / ".tmp").exists()


def test_journal_of_a_failed_gate(tmp_path):
    with Console().recorded(tmp_path, "abc") as journal:
        journal.code = 3
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("done", 3)


@pytest.mark.parametrize("error, code, trace", [(BadData("3 negative counts"), 65, False), (KeyError("mu"), 1, True)])
def test_journal_of_a_failed_run(tmp_path, error, code, trace):
    console = Console(quiet=True)
    with pytest.raises(type(error)), console.recorded(tmp_path, "abc"), console.phase("fit"):
        raise error
    status = json.loads((tmp_path / "status.json").read_text())
    assert status == {"state": "failed", "phase": "fit", "run_id": "abc", "exit_code": code}
    assert ("Traceback" in (tmp_path / "run.log").read_text()) == trace


def test_phase_text():
    phase = Phase("draws")
    assert phase.text() == "draws" and phase.fields() == {"phase": "draws"}
    phase.advance(1200, None, float("nan"), "cell")
    assert phase.text().startswith("draws  cell 1,200  loss nan")
    assert phase.fields() == {"phase": "draws", "step": 1200}


@pytest.mark.parametrize("term, bar", [("xterm", True), ("dumb", False)])
def test_bar_on_a_terminal_only(term, bar):
    code = (
        "from scribe_cli.run.terminal.console import Console\n"
        "c = Console()\n"
        "with c.phase('fit'):\n"
        "    c.progress(1, 2); c.notice('rounded'); c.warning('odd')\n"
        "c.result('OUT')\n"
    )
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": term, "NO_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=env, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"OUT\n"
    assert "rounded" in shown and "warning: odd" in shown
    assert re.search(r"fit \d+\.\d s  step 1", shown)
    assert ("\x1b[?25l" in shown) == bar and "\x1b[32m" not in shown
    assert bool(re.search(DATED, shown)) != bar


def test_the_bar_stays_in_one_line_and_leaves_nothing_behind():
    """Of 80 columns: each frame is drawn over the one before, so none may be longer."""
    code = (
        "import time; from scribe_cli.run.terminal.console import Console\n"
        "c = Console()\n"
        "with c.phase('fit'):\n"
        "    c.progress(14000, 50000, 4512345678.2); time.sleep(0.3)\n"
    )
    shown = on_a_terminal(code, 80)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    frames = [frame for frame in re.split(r"[\r\n]+", plain) if frame]
    assert any("step 14,000 of 50,000" in frame and "ETA" in frame for frame in frames)
    assert max(map(len, frames)) <= 80
    assert shown.count("\x1b[1A") == 1  # up one line, to erase it at the end
    assert re.fullmatch(r"fit 0\.\d s  step 14,000  loss 4,512,345,678.2", frames[-1])
    assert "\x1b[1A\x1b[2Kfit 0." in shown


@pytest.mark.parametrize("width", [80, 160, 0])
def test_messages_are_broken_between_words_on_a_terminal(width):
    text = "52% of the genes do not look like the model's predictions " * 4 + "a/path/" * 20
    code = f"from scribe_cli.run.terminal.console import Console; c = Console(); c.warning({text!r}); c.error({text!r})"
    lines = on_a_terminal(code, width).splitlines()
    assert max(len(line) for line in lines if "a/path" not in line) <= (width or 80)
    assert " ".join(line.strip() for line in lines) == f"warning: {text} scribe: error: {text}"


def test_peak_memory_is_of_this_process_alone():
    child = "from scribe_cli.run.record import peak_memory_gb; print(peak_memory_gb())"
    parent = f"large = b'a' * 400_000_000; import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 0.005 < float(done.stdout) < 0.2


def test_duration():
    assert [duration(s) for s in (0.4, 48, 65, 10_920)] == ["0s", "48s", "1m05s", "3h02m"]
