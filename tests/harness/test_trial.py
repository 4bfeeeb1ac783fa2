"""A trial: a value with one identity, run by a plain function whose outcomes are never exceptions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import metadata
from typing import ClassVar

import numpy as np
import pytest

from harness.metrics import score
from harness.pair import PairedSample
from harness.protocol import KFold, Panel, Prepared, Protocol, pose, prepare
from harness.trial import Setting, Trial, run_trial
from models.method import Method, Needs
from tests.conftest import tiny_pair
from tests.toys import Counting, Noise, Raises, Refuses, Sleeps, VisibleMean, Wrong

SPLIT = KFold(3)


@dataclass(frozen=True)
class OnHypothesis(VisibleMean):
    """Runs on a package of its own."""

    needs: ClassVar[Needs] = Needs(packages="test", modules=("hypothesis",))


@pytest.fixture(scope="module")
def data(tiny: PairedSample) -> Prepared:
    return prepare(tiny, Protocol())


def a_trial(a_method: Method, data: Prepared, **changes: object) -> Trial:
    trial = Trial(a_method, data.dataset, data.dataset_id, SPLIT, fold=0, seed=0)
    return dataclasses.replace(trial, **changes)  # type: ignore[arg-type]


def test_names_are_no_part_of_an_identity(data: Prepared) -> None:
    assert a_trial(Noise(), data).id == a_trial(Noise(), data, dataset="another name").id


@pytest.mark.parametrize(
    "change",
    [
        {"fold": 1},
        {"seed": 1},
        {"sampling_rate": 0.5},
        {"split": KFold(3, seed=1)},
        {"dataset_id": "0" * 16},
        {"protocol": Protocol(panel=Panel(max_genes=20))},
        {"method": Raises()},
    ],
)
def test_whatever_may_change_the_numbers_changes_the_identity(data: Prepared, change: dict[str, object]) -> None:
    assert a_trial(Noise(), data).id != a_trial(Noise(), data, **change).id


def test_a_method_without_randomness_serves_every_seed(data: Prepared) -> None:
    assert a_trial(VisibleMean(), data, seed=7).id == a_trial(VisibleMean(), data, seed=0).id
    assert a_trial(VisibleMean(), data, seed=7).seed == 0


def test_random_streams_differ_by_seed_and_fold_only(data: Prepared) -> None:
    def draw(**changes: object) -> float:
        return float(a_trial(Noise(), data, **changes).rng().random())

    assert draw() == draw(dataset_id="f" * 16, sampling_rate=0.5)
    assert len({draw(), draw(seed=1), draw(fold=1)}) == 3


def test_an_ok_record_says_what_was_run_and_what_came_of_it(data: Prepared) -> None:
    trial = a_trial(VisibleMean(), data)
    problem, truth = pose(data, SPLIT, 0)
    expected = np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)
    pcc = [np.corrcoef(truth.values[:, i], expected[:, i])[0, 1] for i in range(len(truth.genes))]

    outcome = run_trial(trial, data)

    assert outcome.record.status == "ok"
    assert outcome.record.trial == trial.identity
    assert outcome.record.means["pcc"] == pytest.approx(np.mean(pcc), abs=1e-9)
    assert outcome.record.n_genes == {
        "asked": len(truth.genes), "scored": len(truth.genes), "constant_truth": 0, "constant_prediction": 0,
    }  # fmt: skip
    assert outcome.record.input_sparsity == pytest.approx((problem.spots.counts == 0).mean())
    assert outcome.record.peak_memory_mib
    assert outcome.record.peak_memory_mib > 50
    rows = outcome.genes.to_pandas()  # type: ignore[union-attr]
    assert list(rows["gene"]) == list(truth.genes)
    np.testing.assert_allclose(rows["pcc"], pcc, atol=1e-9)
    np.testing.assert_allclose(rows["truth_sd"], truth.values.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rows["js"], score(truth.values, expected).values["js"])


def test_the_same_trial_gives_the_same_prediction_and_another_seed_another(data: Prepared) -> None:
    hashes = [run_trial(a_trial(Noise(), data, seed=seed), data).record.prediction_sha256 for seed in (0, 0, 1)]

    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("method", "status", "cause", "words"),
    [
        (Raises(), "failed", "method", "ArithmeticError: singular matrix"),
        (Refuses(), "skipped", "skipped", "needs a moon"),
        (Wrong("shape"), "failed", "method", "expected floats of shape"),
        (Wrong("type"), "failed", "method", "int64"),
        (Wrong("nan"), "failed", "method", "is not finite"),
    ],
)
def test_what_a_method_does_wrong_is_an_outcome_with_a_reason(
    data: Prepared, method: Method, status: str, cause: str, words: str
) -> None:
    outcome = run_trial(a_trial(method, data), data)

    assert (outcome.record.status, outcome.record.cause) == (status, cause)
    assert words in outcome.record.reason
    assert outcome.genes is None


def test_a_trial_past_its_time_limit_is_stopped_where_it_reports(data: Prepared) -> None:
    outcome = run_trial(a_trial(Sleeps(60), data), data, Setting(timeout=0.3))

    assert (outcome.record.status, outcome.record.cause) == ("failed", "timeout")
    assert "the time limit is 0.3 s" in outcome.record.reason


def test_fitting_time_ends_with_the_last_report(data: Prepared) -> None:
    timings = run_trial(a_trial(Sleeps(0.2), data), data).record.timings

    assert timings["fit"] == pytest.approx(0.2, abs=0.15)


def test_a_method_that_needs_counts_is_skipped_on_other_data() -> None:
    pair = tiny_pair()
    halves = dataclasses.replace(pair, st=dataclasses.replace(pair.st, values=pair.st.values * 0.5, kind="intensities"))
    data = prepare(halves, Protocol())

    record = run_trial(a_trial(Counting(), data), data).record

    assert record.status == "skipped"
    assert "not counts" in record.reason


def test_a_record_names_the_version_of_a_methods_own_package(data: Prepared) -> None:
    record = run_trial(a_trial(OnHypothesis(), data), data).record

    assert record.versions["hypothesis"] == metadata.version("hypothesis")
    assert "hypothesis" not in run_trial(a_trial(VisibleMean(), data), data).record.versions


def test_data_of_another_content_are_not_scored_under_a_trials_name(data: Prepared) -> None:
    with pytest.raises(ValueError, match="of another"):
        run_trial(a_trial(VisibleMean(), data, dataset_id="0" * 16), data)
