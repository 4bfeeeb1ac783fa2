"""A driver that is killed half-way loses nothing: the next run computes what is missing and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.datasets.simulated import simulate, write_pair
from harness.store import Store
from tests.submitted import until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.alone]

TRIALS = 8 if os.environ.get("SPADIT_SHORT") else 24
DRIVER = """
from harness import Experiment, KFold
from tests.toys import Sleeps

EXPERIMENT = Experiment(
    "killed", {f"s{i}": Sleeps(1 + i / 100, tally="TALLY") for i in range(TRIALS // 2)}, ["small"], split=KFold(2)
)
"""


def prepared(folder: Path) -> tuple[list[str], Path, Path, Store]:
    """A command that runs `TRIALS` slow trials, its driver file, its side file and its store."""
    write_pair(simulate(60, 80, 30, seed=1, name="small"), folder / "D")
    tally, driver = folder / "tally", folder / "killed.py"
    driver.write_text(DRIVER.replace("TALLY", str(tally)).replace("TRIALS", str(TRIALS)))
    command = [sys.executable, "-m", "harness.cli", "run", str(driver), "--data", str(folder / "D")]
    return [*command, "--store", str(folder / "S")], driver, tally, Store(folder / "S")


def test_no_finished_trial_is_computed_again_after_sigkill(tmp_path: Path) -> None:
    command, _, tally, store = prepared(tmp_path)

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(store.done()) < TRIALS // 2 and time.monotonic() < deadline:
        assert first.poll() is None
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(3)  # workers notice that their driver is gone
    finished = {path: path.read_bytes() for path in (tmp_path / "S/trials").iterdir()}
    before = len(tally.read_text().splitlines())

    second = subprocess.run(command, capture_output=True, text=True)

    assert second.returncode == 0, second.stderr
    assert len(store.done()) == TRIALS
    assert {path: path.read_bytes() for path in finished} == finished
    assert len(tally.read_text().splitlines()) - before == TRIALS - len(finished)


LONG = """
from harness import Experiment, Holdout
from tests.toys import Steps

EXPERIMENT = Experiment(
    "killed", {f"s{i}": Steps(100 + i, 0.1, tally="TALLY") for i in range(2)}, ["small"], split=Holdout()
)
"""


def test_ctrl_c_lets_what_runs_be_written_and_the_same_command_goes_on_from_there(tmp_path: Path) -> None:
    command, driver, tally, _ = prepared(tmp_path)
    driver.write_text(LONG.replace("TALLY", str(tally)))

    running, told = interrupted(command, tally, signal.SIGINT)

    assert running.returncode == 130
    assert f"To go on: spadit run {driver}" in told
    assert "Traceback" not in told
    made = len(tally.read_text().splitlines())
    assert len(list((tmp_path / "S/checkpoints").iterdir())) == 2  # though none was due for half a minute
    assert list((tmp_path / "S/claims").iterdir()) == []

    again = subprocess.run(command, capture_output=True, text=True)

    assert again.returncode == 0, again.stderr
    assert made < 201 == len(tally.read_text().splitlines())  # no step is made twice


def test_a_schedulers_sigterm_is_a_ctrl_c(tmp_path: Path) -> None:
    command, driver, tally, _ = prepared(tmp_path)
    driver.write_text(LONG.replace("TALLY", str(tally)))

    running, told = interrupted(command, tally, signal.SIGTERM)

    assert running.returncode == 130
    assert "To go on" in told


def test_a_second_ctrl_c_ends_at_once_and_loses_nothing_that_had_finished(tmp_path: Path) -> None:
    command, driver, _, store = prepared(tmp_path)
    # Sleeps without a word: the first Ctrl-C would wait for it.
    driver.write_text(driver.read_text().replace("Sleeps(1 + i / 100,", "Sleeps(0.5 if i else 60, reports=False,"))
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(store.done()) >= 2)

    running.send_signal(signal.SIGINT)
    time.sleep(1)
    start = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)

    assert time.monotonic() - start < 10
    assert running.returncode == 130
    assert "To go on" in told
    assert "Traceback" not in told
    assert len(store.records()) == len(store.done()) >= 2


def interrupted(command: list[str], tally: Path, number: int) -> tuple[subprocess.Popen[str], str]:
    """Run, send the signal once both trials have made ten steps, and wait for the end: the driver and its words."""
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: tally.exists() and tally.read_text().count(" 10\n") == 2)
    running.send_signal(number)
    shown, told = running.communicate(timeout=60)
    assert shown == ""  # results go there, and there are none
    return running, told
