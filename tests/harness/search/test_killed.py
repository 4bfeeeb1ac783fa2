"""A search that is killed, wherever, goes on: no trial is lost, none is repeated, and the sampler forgets nothing."""

from __future__ import annotations

import functools
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from harness.datasets.simulated import write_pair
from harness.store import Store
from tests.conftest import tiny_pair
from tests.s3 import serving
from tests.submitted import until

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.alone]

TRIALS, PARTS = 16 if os.environ.get("SPADIT_SHORT") else 30, 2
DRIVER = """
import dataclasses
from harness.search import TPE
from tests.searching import asked, nested

EXPERIMENT = dataclasses.replace(asked(nested(tally="TALLY", pause=PAUSE)), folds=(0,), sampler=TPE(startup=5))
"""


def prepared(folder: Path, store: str, pause: float = 0.3) -> list[str]:
    """A command that searches for the shape of a toy that takes its time."""
    write_pair(tiny_pair(), folder / "D")
    driver = folder / "searched.py"
    driver.write_text(DRIVER.replace("TALLY", str(folder / "tally")).replace("PAUSE", str(pause)))
    command = [sys.executable, "-m", "harness.cli", "tune", str(driver), "--data", str(folder / "D")]
    return [*command, "--store", store, "--trials", str(TRIALS)]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def has_outcomes(store: Store, least: int) -> bool:
    """Whether the one study of a store has as many outcomes."""
    return any(len(store.outcomes(study)) >= least for study in store.studies())


def study_of(store: Store) -> str:
    [study] = store.studies()
    return study


def test_killed_three_times_a_search_has_as_many_trials_as_asked_for_and_repeats_none(tmp_path: Path) -> None:
    command, store = prepared(tmp_path, str(tmp_path / "S")), Store(tmp_path / "S")
    rng, first = random.Random(11), 0.0
    for least in sorted(rng.sample(range(3, TRIALS - 5), 3)):
        running = started(command)
        until(functools.partial(has_outcomes, store, least))
        first = first or time.time_ns()
        time.sleep(rng.uniform(0.0, 0.5))
        running.send_signal(signal.SIGKILL)
        running.wait()
        time.sleep(3)  # workers notice that their driver is gone
        kept = {path: path.read_bytes() for path in (tmp_path / "S/trials").iterdir()}
        before = len((tmp_path / "tally").read_text().splitlines())

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    study = study_of(store)
    configurations, outcomes = store.configurations(study), store.outcomes(study)
    assert list(configurations) == list(outcomes) == list(range(TRIALS))
    assert {outcome.state for outcome in outcomes.values()} == {"finished"}
    assert len({str(c.params) for c in configurations.values()}) == TRIALS
    parts = Counter(trial for c in configurations.values() for trial in c.trials)
    assert len(parts) == parts.total() == TRIALS * PARTS <= len(store.done())  # each with one record
    assert {path: path.read_bytes() for path in kept} == kept  # what had finished was not touched
    scored = len(store.done()) - len(parts)  # the winner and its base, on test genes
    calls = len((tmp_path / "tally").read_text().splitlines())
    assert calls - before == len(store.done()) - len(kept)  # nor computed again
    assert calls <= TRIALS * PARTS + scored + 3 * (os.cpu_count() or 1)  # and of what ran, one part each time

    folder = tmp_path / "S/searches" / study
    told = sorted(path.stat().st_mtime_ns for path in (folder / "outcomes").iterdir())
    for number, configuration in configurations.items():
        asked_at = (folder / f"{number}.json").stat().st_mtime_ns
        finished = sum(at < asked_at for at in told)
        same_tick = sum(abs(at - asked_at) < 10_000_000 for at in told)
        if asked_at > first:  # after a resume
            assert finished - same_tick <= configuration.seen <= finished + same_tick


def test_two_drivers_on_one_search_make_as_many_configurations_as_one(tmp_path: Path) -> None:
    command, store = prepared(tmp_path, str(tmp_path / "S"), pause=0.2), Store(tmp_path / "S")

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [driver.communicate(timeout=280) for driver in both]

    assert [driver.returncode for driver in both] == [0, 0], said
    study = study_of(store)
    configurations, outcomes = store.configurations(study), store.outcomes(study)
    assert list(configurations) == list(outcomes) == list(range(TRIALS))
    calls = len((tmp_path / "tally").read_text().splitlines())
    assert calls <= 1.1 * len(store.done())
    assert len(store.asked("searched")) == 1  # the same winners


def test_ctrl_c_prints_the_command_that_goes_on(tmp_path: Path) -> None:
    command, store = prepared(tmp_path, str(tmp_path / "S")), Store(tmp_path / "S")
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(functools.partial(has_outcomes, store, 2))

    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)

    assert running.returncode == 130
    assert f"To go on: spadit tune {tmp_path}/searched.py" in told
    assert "Traceback" not in told
    assert list((tmp_path / "S/claims").iterdir()) == []


# -- on an object store -----------------------------------------------------------------------------------------------


def test_on_an_object_store_one_driver_searches_and_a_second_is_refused_unless_they_share_a_database(
    tmp_path: Path,
) -> None:
    with serving():
        where = f"s3://bucket/{uuid.uuid4().hex}"
        command, store = prepared(tmp_path, where), Store(where)
        running = started(command)
        until(functools.partial(has_outcomes, store, 2))

        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == 2
        assert re.search(r"Another driver searches in .* object store cannot append .*--storage URL", second.stderr)
        running.send_signal(signal.SIGKILL)
        running.wait()

        database = f"sqlite:///{tmp_path}/studies.db"
        with_it = [*command, "--storage", database]
        both = [subprocess.Popen(with_it, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [driver.communicate(timeout=280) for driver in both]
        assert [driver.returncode for driver in both] == [0, 0], said

        study = study_of(store)
        assert list(store.configurations(study)) == list(store.outcomes(study)) == list(range(TRIALS))
