"""A killed trial goes on from its checkpoint and ends in the same numbers; what lies there can run no code."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.protocol import KFold, Protocol, prepare
from harness.record import Outcome
from harness.store.checkpoints import Checkpoints
from harness.store.files import LocalFiles
from harness.trial import Setting, Trial, TrialRun, run_trial
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.samplers import DDIM
from models.spadit.training import Training
from tests.conftest import tiny_pair

IN_A_PROCESS = """
import sys
from pathlib import Path
from tests.harness.test_checkpoints import checkpoints, run
run(checkpoints(Path(sys.argv[1])))
"""


STEPS = 400
SMALL = SpaDiT(
    backbone=Transformer(hidden=16), training=Training(steps=STEPS, batch=16), sampler=DDIM(steps=4), draws=2
)


def a_trial() -> Trial:
    data = prepare(tiny_pair(), Protocol())
    return Trial(SMALL, data.dataset, data.dataset_id, KFold(3), fold=0, seed=0)


def checkpoints(folder: Path, every: float = 0.0) -> Checkpoints:
    return Checkpoints(LocalFiles(folder), a_trial().id, "code", every)


def run(where: Checkpoints | None) -> Outcome:
    return run_trial(a_trial(), prepare(tiny_pair(), Protocol()), Setting(code="code"), checkpoints=where)


@pytest.mark.slow
def test_a_killed_process_leaves_a_checkpoint_from_which_another_ends_in_the_same_numbers(tmp_path: Path) -> None:
    started = subprocess.Popen([sys.executable, "-c", IN_A_PROCESS, str(tmp_path)], cwd=Path(__file__).parents[2])
    there = tmp_path / checkpoints(tmp_path).name
    until = time.monotonic() + 120
    while not there.exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    saved = checkpoints(tmp_path).read()
    assert saved is not None
    assert 0 < saved["state"]["step"] < STEPS

    resumed, whole = run(checkpoints(tmp_path)).record, run(None).record

    assert resumed.status == "ok"
    assert resumed.prediction_sha256 == whole.prediction_sha256
    assert resumed.timings["fit"] > saved["seconds"]  # what ran before the kill counts


def test_a_trial_goes_on_from_the_step_that_was_saved(tmp_path: Path) -> None:
    run(checkpoints(tmp_path))
    last = checkpoints(tmp_path).read()
    assert last is not None
    assert last["state"]["step"] == STEPS
    heard: list[float] = []

    run_trial(a_trial(), prepare(tiny_pair(), Protocol()), Setting(code="code"), heard.append, checkpoints(tmp_path))

    assert heard == []  # there was no step left to report


def test_short_trials_write_none(tmp_path: Path) -> None:
    run(checkpoints(tmp_path, every=3600.0))

    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no zip"])
def test_a_damaged_checkpoint_is_removed_and_the_trial_starts_anew(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    where = checkpoints(tmp_path)
    where.write({"seconds": 1.0, "state": {"weights": torch.ones(1000)}})
    path = tmp_path / where.name
    path.write_bytes(damage(path.read_bytes()))

    assert where.read() is None
    assert not path.exists()


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def test_a_checkpoint_that_would_run_code_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where = checkpoints(tmp_path)
    torch.save({"seconds": 1.0, "state": Harmful()}, tmp_path / "x.pt")
    (tmp_path / "checkpoints").mkdir()
    for content in ((tmp_path / "x.pt").read_bytes(), pickle.dumps(Harmful())):
        (tmp_path / where.name).write_bytes(content)

        assert where.read() is None
        assert not (tmp_path / "harmed").exists()


def test_only_the_checkpoints_of_a_trial_are_removed_and_all_of_them(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    for name in ("aa-1", "aa-2", "ab-1"):
        Checkpoints(files, *name.split("-")).write({"seconds": 0.0, "state": {}})

    Checkpoints(files, "aa", "1").remove()

    assert list(files.sizes("checkpoints", ".pt")) == ["ab-1"]


def test_other_code_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    Checkpoints(LocalFiles(tmp_path), "aa", "1").write({"seconds": 0.0, "state": {}})

    assert Checkpoints(LocalFiles(tmp_path), "aa", "2").read() is None


def test_the_time_limit_is_one_on_the_whole_trial(tmp_path: Path) -> None:
    where = checkpoints(tmp_path)
    where.write({"seconds": 50.0, "state": {"step": 1}})
    on = TrialRun(np.random.default_rng(0), Setting(timeout=40.0), checkpoints=where)

    assert on.restored() == {"step": 1}
    with pytest.raises(Exception, match=r"stopped after 50 s at step 2 of 3"):
        on.report(2, of=3)
