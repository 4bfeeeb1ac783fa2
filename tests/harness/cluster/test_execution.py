"""Through Ray: the same numbers as without, and every trial ends with a record whatever happens to its worker."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.cluster import progress as progress_module
from harness.cluster import tune_run
from harness.cluster.progress import Progress
from harness.cluster.resources import Resources
from harness.errors import BadInput
from harness.protocol import KFold, Prepared
from harness.store import Store
from harness.trial import Trial, run_trial
from models.method import Method
from tests.submitted import submitted, until
from tests.toys import Dies, Hungry, Noise, Raises, Refuses, Sleeps, VisibleMean

pytestmark = pytest.mark.ray
SPLIT = KFold(3)


def trials(method: Method, data: Prepared, folds: int = 3, seeds: int = 1) -> list[Trial]:
    made = [Trial(method, "tiny", data.dataset_id, SPLIT, fold, seed) for fold in range(folds) for seed in range(seeds)]
    return list({trial.id: trial for trial in made}.values())


def run(todo: list[Trial], data: Prepared, folder: Path, **resources: object) -> tuple[Store, Progress]:
    store = Store(folder)
    return store, submitted(todo, {data.dataset_id: data}, store, **resources)


@pytest.mark.usefixtures("ray_here")
def test_numbers_through_ray_are_those_without_it_bit_for_bit(tmp_path: Path, data: Prepared) -> None:
    todo = trials(Noise(), data, seeds=2) + trials(VisibleMean(), data)

    store, progress = run(todo, data, tmp_path)

    assert progress.counts == {"ok": 9, "failed": 0, "skipped": 0}
    for trial in todo:
        alone = run_trial(trial, data)
        record = store.record(trial.id)
        assert record.prediction_sha256 == alone.record.prediction_sha256
        assert record.means == alone.record.means
        assert store.genes([record]).equals(alone.genes.to_pandas())  # type: ignore[union-attr]


@pytest.mark.usefixtures("ray_here")
def test_a_run_that_waits_for_others_on_the_same_ray_says_so_and_goes_on_when_they_are_done(
    tmp_path: Path, data: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    monkeypatch.setattr(tune_run, "PATIENCE", 0.2)
    monkeypatch.setattr(progress_module, "PLAIN_EVERY", 0.0)
    everything = int(ray.cluster_resources()["CPU"])
    others = ray.remote(num_cpus=everything)(lambda: time.sleep(2)).remote()
    until(lambda: ray.available_resources().get("CPU", 0) < 1)

    store, _ = run(trials(VisibleMean(), data, folds=1), data, tmp_path, show=True)

    ray.get(others)
    assert "0/1 finished · waiting for a place: every CPU of this Ray is in use\n" in capsys.readouterr().err
    assert len(store.done()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the allocator cannot be asked to give memory back")
@pytest.mark.usefixtures("ray_here")
def test_a_worker_gives_back_what_a_trial_took_and_the_next_peak_is_its_own(tmp_path: Path, data: Prepared) -> None:
    # Each is a trial of Tune's, and so has a thread of its own in the one worker.
    methods = [Hungry(mib=400), Hungry(mib=401), Hungry(mib=402), Hungry(mib=1)]

    store, _ = run([trial for it in methods for trial in trials(it, data, folds=1)], data, tmp_path, max_concurrent=1)

    by_size = {record.trial["method"]["mib"]: record.peak_memory_mib for record in store.records()}
    assert by_size[400] > by_size[1] + 300
    assert by_size[402] < by_size[400] + 100


@pytest.mark.usefixtures("ray_here")
def test_failing_and_skipping_trials_are_recorded_while_the_rest_finishes(tmp_path: Path, data: Prepared) -> None:
    todo = trials(Raises(), data, 1) + trials(Refuses(), data, 1) + trials(Noise(), data)

    store, progress = run(todo, data, tmp_path)

    assert len(store.done()) == 3
    assert {(r.status, r.cause) for r in store.unfinished()} == {("failed", "method"), ("skipped", "skipped")}
    assert all(r.traceback or r.status == "skipped" for r in store.unfinished())
    assert progress.counts == {"ok": 3, "failed": 1, "skipped": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_trial_whose_worker_dies_is_tried_once_more_and_the_loss_is_said(
    tmp_path: Path, data: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = tmp_path / "tally"
    todo = trials(Dies(str(tally), times=1), data, 1) + trials(Noise(), data)

    store, _ = run(todo, data, tmp_path / "S", show=True)

    assert store.done() == {trial.id for trial in todo}
    said = capsys.readouterr().err
    assert said.count("a worker is lost, and what it ran is run again after the others") == 1
    assert said.count("lost: Dies") == 1
    assert tally.read_text().splitlines() == ["died", "died"]
    assert store.record(todo[0].id).attempts == 2


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_a_trial_that_always_kills_its_worker_is_recorded_with_the_reason(tmp_path: Path, data: Prepared) -> None:
    tally = tmp_path / "tally"
    todo = trials(Dies(str(tally), times=99), data, 1) + trials(Noise(), data)

    store, progress = run(todo, data, tmp_path / "S")

    (lost,) = store.unfinished()
    assert (lost.cause, lost.attempts) == ("infrastructure", 3)
    assert "3 attempts" in lost.reason
    assert len(store.done()) == 3
    assert progress.counts["failed"] == 1


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("reports", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_trial_past_its_time_limit_is_recorded_as_such(tmp_path: Path, data: Prepared, reports: bool) -> None:
    todo = trials(Sleeps(60, reports), data, 1) + trials(Noise(), data)

    store, _ = run(todo, data, tmp_path, timeout=1.0)

    (late,) = store.unfinished()
    assert late.cause == "timeout"
    assert len(store.done()) == 3


@pytest.mark.usefixtures("ray_here")
@pytest.mark.parametrize("asked", [{"cpus_per_trial": 1000.0}, {"gpus_per_trial": 1000.0}])
def test_resources_that_are_not_there_are_refused(tmp_path: Path, data: Prepared, asked: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="ask for less"):
        run(trials(Noise(), data), data, tmp_path, **asked)

    assert not (tmp_path / "trials").exists()


@pytest.mark.usefixtures("ray_here")
def test_a_ray_of_our_own_listens_on_loopback_only() -> None:
    children = psutil.Process().children(recursive=True)

    addresses = {connection.laddr.ip for child in [*children, psutil.Process()] for connection in _listening(child)}

    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def _listening(process: psutil.Process) -> list:  # type: ignore[type-arg]
    try:
        return [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def test_a_ray_client_address_is_refused_with_the_job_command() -> None:
    with pytest.raises(BadInput, match="ray job submit"):
        Resources(address="ray://head:10001")


def test_resources_that_make_no_sense_are_refused() -> None:
    for wrong in ({"cpus_per_trial": 0}, {"gpus_per_trial": -1}, {"max_concurrent": 0}, {"timeout": 0}):
        with pytest.raises(BadInput):
            dataclasses.replace(Resources(), **wrong)
