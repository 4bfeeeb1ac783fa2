"""Tune's own files: gone after a run, however it ends; what killed drivers have left goes with a later one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.cluster.scratch import LEFT, scratch
from harness.store import files_at
from harness.store.claims import Claims, Driver


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(files_at(tmp_path / "S"), Driver.here("mine"))


@pytest.mark.parametrize("spread", [True, False])
def test_nothing_is_left_of_a_run_that_breaks(claims: Claims, tmp_path: Path, spread: bool) -> None:
    seen: list[Path] = []

    def broken() -> None:
        with scratch(claims, spread) as storage:
            seen.append(Path(storage["storage_path"]))
            (seen[0] / "state.json").write_text("{}")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()

    assert seen[0].is_relative_to(tmp_path / "S") is spread  # where every node reaches it, or on this machine
    assert not seen[0].exists()


def test_what_a_killed_driver_has_left_goes_and_what_a_living_one_uses_stays(claims: Claims, tmp_path: Path) -> None:
    for name in ("tune-dead", "tune-alive", "trials"):
        (tmp_path / "S" / name / "run").mkdir(parents=True)
        (tmp_path / "S" / name / "run/state.json").write_text("{}")
    past = time.time() - LEFT - 60
    for path in [*(tmp_path / "S").rglob("*")]:
        if path != tmp_path / "S/tune-alive/run/state.json":
            os.utime(path, (past, past))

    with scratch(claims, spread=True):
        there = sorted(path.name for path in (tmp_path / "S").iterdir())

    assert there == ["claims", "trials", "tune-alive", "tune-mine"]
