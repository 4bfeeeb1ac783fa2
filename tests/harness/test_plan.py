"""What a plan leaves to run: not what is done, not what would end the same again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness import Experiment, Holdout
from harness.datasets import load
from harness.datasets.simulated import write_pair
from harness.protocol import prepare
from harness.results import make_plan
from harness.store import Store
from harness.trial import run_trial
from models.method import Method
from tests.conftest import tiny_pair
from tests.toys import Packaged, Raises, Refuses, VisibleMean


@pytest.mark.parametrize("method", [VisibleMean(), Refuses(), Raises(), Packaged()], ids=lambda it: type(it).__name__)
def test_what_would_end_the_same_again_is_not_run_again(tmp_path: Path, method: Method) -> None:
    assert left_to_run(tmp_path, method) == []


def test_a_method_skipped_for_want_of_its_package_runs_once_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert left_to_run(tmp_path, Packaged()) == []
    [record] = Store(tmp_path / "S").unfinished()
    assert (record.status, record.cause) == ("skipped", "packages")
    assert "moon_of_no_index, which is not installed; run pip install 'spadit-harness[moon]'" in record.reason

    monkeypatch.setattr("models.method.find_spec", lambda name: name)

    assert len(left_to_run(tmp_path, Packaged())) == 1


def left_to_run(folder: Path, method: Method) -> list[object]:
    """What is left of an experiment of one trial once that has run, now or before."""
    if not (folder / "tiny").exists():
        write_pair(dataclasses.replace(tiny_pair(), name="tiny"), folder)
    store = Store(folder / "S")
    experiment = Experiment("one", {"it": method}, ["tiny"], split=Holdout())
    plan = make_plan(experiment, store, folder)
    data = prepare(load("tiny", [folder]), experiment.protocol)
    if not store.unfinished_ids() | store.done():
        store.put(run_trial(plan.trials[0], data))
    return list(make_plan(experiment, store, folder).missing())
