"""What goes wrong in workers, caused for real: each ends in a record or a sentence, and costs no more than it must."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.cluster.resources import Share
from harness.errors import BadInput
from harness.protocol import KFold, Prepared
from harness.store import Store
from harness.trial import Trial, run_trial
from harness.views.status import status_facts
from models.method import Method
from tests.submitted import submitted, until
from tests.toys import Dies, Leaks, Needy, Noise, Raises, Steps

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_here")]


def trials(method: Method, data: Prepared, folds: int = 1) -> list[Trial]:
    return [Trial(method, "tiny", data.dataset_id, KFold(3), fold, 0) for fold in range(folds)]


Give = Callable[[Trial, bool], Share]


def run(todo: list[Trial], data: Prepared, folder: Path, share: Give | None = None, **asked: object) -> Store:
    store = Store(folder)
    submitted(todo, {data.dataset_id: data}, store, share, **asked)
    return store


def lines(tally: Path) -> list[str]:
    return tally.read_text().splitlines() if tally.exists() else []


def test_a_trial_whose_worker_is_killed_goes_on_from_its_checkpoint_to_the_same_numbers(
    tmp_path: Path, data: Prepared
) -> None:
    tally = tmp_path / "tally"
    [todo] = trials(Steps(steps=40, tally=str(tally)), data)

    def kill() -> None:
        until(lambda: len(lines(tally)) >= 10)
        os.kill(int(lines(tally)[-1].split()[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    store = run([todo], data, tmp_path / "S", checkpoint_every=0)
    thread.join()

    made = [tuple(map(int, line.split())) for line in lines(tally)]
    record = store.record(todo.id)
    assert (record.attempts, [each["cause"] for each in record.earlier]) == (2, ["infrastructure"])
    assert record.prediction_sha256 == run_trial(todo, data).record.prediction_sha256
    first, second = dict.fromkeys(pid for pid, _ in made)
    before, later = ([step for pid, step in made if pid == worker] for worker in (first, second))
    assert later[0] in (before[-1], before[-1] + 1)  # at most the step of the kill is made twice
    assert not list((tmp_path / "S/checkpoints").iterdir())


def test_a_methods_own_exception_is_not_tried_again_and_status_tells_it_from_a_lost_worker(
    tmp_path: Path, data: Prepared
) -> None:
    tally = tmp_path / "tally"
    store = run([*trials(Raises(), data), *trials(Dies(str(tally), times=99), data)], data, tmp_path / "S")

    causes = {record.method: (record.cause, record.attempts) for record in store.unfinished()}

    assert causes == {"Raises": ("method", 1), "Dies": ("infrastructure", 3)}
    assert len(lines(tally)) == 3
    assert status_facts(store)["unfinished"] == 2


def test_what_runs_out_of_memory_is_tried_once_more_with_more_and_both_are_recorded(
    tmp_path: Path, data: Prepared
) -> None:
    def share(trial: Trial, enlarged: bool) -> Share:
        return Share(2.0 if enlarged else 1.0)

    enough, never = Needy(str(tmp_path / "a"), times=1), Needy(str(tmp_path / "b"), times=99)

    store = run([*trials(enough, data), *trials(never, data)], data, tmp_path / "S", share)

    [done], [failed] = store.records(), store.unfinished()
    assert (done.attempts, done.resources["cpus"], done.threads) == (2, 2.0, 1)
    assert done.earlier == ({"cause": "memory", "reason": "MemoryError: Unable to allocate 1. TiB for an array"},)
    assert (failed.cause, failed.attempts, failed.resources["cpus"]) == ("memory", 2, 2.0)
    assert len(lines(tmp_path / "a")) == len(lines(tmp_path / "b")) == 2


def test_a_worker_that_keeps_memory_is_replaced_and_its_trials_are_whole(tmp_path: Path, data: Prepared) -> None:
    tally = tmp_path / "tally"
    todo = [t for i in range(5) for t in trials(Leaks(str(tally), mib=600 + i), data)]

    store = run(todo, data, tmp_path / "S", max_concurrent=1)

    assert len(store.done()) == 5
    by_worker = [lines(tally).count(pid) for pid in dict.fromkeys(lines(tally))]
    assert max(by_worker) <= 3  # 600 MiB of the first trial, and at most 1 GiB more
    assert all(record.attempts == 1 for record in store.records())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if made.returncode:
        pytest.skip(f"a file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_run_with_one_sentence_and_no_partial_record(small_disk: Path, data: Prepared) -> None:
    (small_disk / "ballast").write_bytes(bytes(2**21 - 2**16))
    todo = trials(Noise(), data, folds=3) + [t for i in range(30) for t in trials(Steps(1, i / 1e6), data)]

    with pytest.raises(BadInput, match=r"cannot be written .* no room left"):
        run(todo, data, small_disk / "S")

    (small_disk / "ballast").unlink()
    store = Store(small_disk / "S")
    assert len(store.records()) == len(store.done()) < len(todo)
    assert store.unfinished() == []
    run(todo, data, small_disk / "S")
    assert len(store.done()) == len(todo)


def test_a_read_only_store_ends_the_run_with_one_sentence(small_disk: Path, data: Prepared) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(BadInput, match="the file system is read-only"):
        run(trials(Noise(), data), data, small_disk / "S")


def test_when_a_worker_ends_no_process_of_it_is_left(data: Prepared, tmp_path: Path) -> None:
    run(trials(Noise(), data, folds=3), data, tmp_path / "S")

    until(lambda: not any("trainable" in " ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)))
