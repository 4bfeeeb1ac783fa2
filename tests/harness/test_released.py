"""The released protocol: what it leaves of the truth, and that a row made by it is never taken for a result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.experiment import Experiment
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, pose, prepare
from harness.released import LABEL, score_released, written_back
from harness.store import Store
from harness.trial import run_trial
from models.controls.gene_mean import GeneMean
from models.method import Run
from reports.report import scores
from tests.conftest import tiny_pair
from tests.toys import VisibleMean


@pytest.fixture(scope="module")
def pair() -> PairedSample:
    return dataclasses.replace(tiny_pair(spots=400), name="here")


def test_every_zero_and_seven_tenths_of_the_rest_are_the_truth_and_what_is_left_is_the_genes_mean(
    pair: PairedSample,
) -> None:
    problem, truth = pose(prepare(pair, Protocol()), KFold(), 0)
    values = truth.values.astype(np.float64)

    answer = written_back(problem, values, np.random.default_rng(1))

    mean = GeneMean().impute(problem, Run.local())
    assert (answer[values == 0] == 0).all()
    left = (answer != values) & (values != 0)
    assert left.sum() / (values != 0).sum() == pytest.approx(0.3, abs=0.03)  # 5 standard errors of 6,000 draws
    assert (answer[left] == mean[left]).all()


def test_its_row_stands_in_the_tables_of_the_experiment_marked_and_outside_the_ranking(
    pair: PairedSample, tmp_path: Path
) -> None:
    store = Store(tmp_path / "S")
    experiment = Experiment("ours", {"mean": VisibleMean(), "hopeless": GeneMean()}, ["here"], split=KFold(3))
    for trial in experiment.trials({"here": pair.id}):
        store.put(run_trial(trial, prepare(pair, trial.protocol)))
    store.put_asked(experiment.asked({"here": {"dataset_id": pair.id, "synthetic": ""}}, "2026-01-01"))
    before = scores(store, "ours").set_index("variant")

    found = score_released(pair, experiment, store)
    after = scores(store, "ours").set_index("variant")

    assert [scored.record.fold for scored in found] == [0, 1, 2]
    assert after.loc[LABEL, "group"] == "external"
    assert after.loc[LABEL, "pcc"] > 0.5
    assert after.loc["hopeless", "pcc"] == 0
    for label in ("mean", "hopeless"):
        assert after.loc[label, "accuracy_score"] == before.loc[label, "accuracy_score"]


def test_the_audit_of_files_finds_the_truth_in_it_without_being_told(pair: PairedSample, tmp_path: Path) -> None:
    experiment = Experiment("ours", {"mean": VisibleMean()}, ["here"], split=KFold(2))

    found = score_released(pair, experiment, Store(tmp_path / "S"))

    for scored in found:
        said, *tests = scored.audit.tests
        assert (said.name, scored.audit.verdict) == ("by construction", "leak")
        assert "leak" in {test.verdict for test in tests}


def test_the_same_values_are_left_out_at_every_sampling_rate(pair: PairedSample, tmp_path: Path) -> None:
    experiment = Experiment("ours", {"mean": VisibleMean()}, ["here"], split=KFold(2), sampling_rates=(1.0, 0.5))

    found = score_released(pair, experiment, Store(tmp_path / "S"))

    hashes = [scored.record.prediction_sha256 for scored in found]
    assert hashes[:2] == hashes[2:]
    assert [scored.record.sampling_rate for scored in found] == [1.0, 1.0, 0.5, 0.5]
