"""A driver file with a module beside it, from plan to store: workers find it, and its code tells results apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow]

DRIVER = '''
from dataclasses import dataclass

import numpy as np

from beside import shrink
from harness import Experiment, KFold
from models.method import Method


@dataclass(frozen=True)
class Mine(Method):
    """Predicts the mean of the visible genes, as a module beside this file shrinks it."""

    def impute(self, problem, run):
        from later import shift

        mean = shift(shrink(problem.spots.lognorm.mean(axis=1, keepdims=True).astype(float)))
        return np.repeat(mean, len(problem.targets), axis=1)


EXPERIMENT = Experiment("mine", {"mine": Mine()}, ["pbmc_tissue"], split=KFold(2))
'''


def run(folder: Path) -> str:
    """`spadit run` of the driver, from elsewhere, in a process of its own."""
    words = [
        sys.executable,
        "-m",
        "harness.cli",
        "run",
        str(folder / "mine" / "driver.py"),
        "--store",
        str(folder / "S"),
    ]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_what_lies_beside_a_driver_is_found_by_workers_and_its_code_tells_results_apart(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "driver.py").write_text(DRIVER)
    (tmp_path / "mine" / "beside.py").write_text("def shrink(x):\n    return x * 0.5\n")
    (tmp_path / "mine" / "later.py").write_text("def shift(x):\n    return x + 1.0\n")

    run(tmp_path)
    again = run(tmp_path)
    (tmp_path / "mine" / "later.py").write_text("def shift(x):\n    return x + 2.0\n")
    run(tmp_path)

    assert "Nothing to run" in again
    assert len(Store(tmp_path / "S").records()) == 4
