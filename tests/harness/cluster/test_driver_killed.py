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

pytestmark = [pytest.mark.ray, pytest.mark.slow]

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


def test_ctrl_c_ends_with_130_and_the_command_that_goes_on(tmp_path: Path) -> None:
    command, driver, _, store = prepared(tmp_path)

    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not store.done() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)

    assert running.returncode == 130
    assert f"To go on: spadit run {driver}" in told
    assert "Traceback" not in told
    assert store.done()
    assert len(store.records()) == len(store.done())
