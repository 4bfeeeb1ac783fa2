"""Claims: one driver computes a trial; what nobody renews is nobody's, by the storage's own clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.store import files_at
from harness.store.claims import EXPIRES, RENEWED, Claims, Driver, claims
from harness.store.files import StoreFailed


def elsewhere(submission: str) -> Driver:
    """A driver of another machine, of which nothing can be known here."""
    return Driver(submission, "another machine", 1, 0.0)


def aged(folder: Path, trial_id: str, seconds: float) -> None:
    """As if the claim had last been renewed so long ago."""
    path = folder / f"claims/{trial_id}.json"
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_of_many_drivers_one_takes_a_trial(where: str) -> None:
    drivers = [Claims(files_at(where), elsewhere(str(i))) for i in range(8)]

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda each: each.take("t"), drivers))

    assert taken.count(True) == 1
    assert claims(drivers[0].files)["t"].driver == drivers[taken.index(True)].driver


def test_what_is_given_back_can_be_taken(where: str) -> None:
    one, other = (Claims(files_at(where), elsewhere(name)) for name in "ab")
    assert one.take("t")
    assert not other.take("t")

    one.release("t")

    assert other.take("t")


def test_another_worker_of_the_same_driver_takes_over(where: str) -> None:
    one, again = (Claims(files_at(where), elsewhere("same")) for _ in range(2))
    assert one.take("t")

    assert again.take("t")


def test_a_claim_that_is_not_renewed_is_taken_and_one_that_is_is_not(tmp_path: Path) -> None:
    one, other = (Claims(files_at(tmp_path), elsewhere(name)) for name in "ab")
    for trial_id in ("renewed", "left"):
        one.take(trial_id)
        aged(tmp_path, trial_id, EXPIRES + 5)

    one.renew("renewed")

    assert not other.take("renewed")
    assert other.take("left")
    assert RENEWED < EXPIRES / 2  # one renewal may be late


@pytest.mark.parametrize("wrong", [-7200.0, 7200.0])
def test_a_node_whose_clock_is_hours_off_takes_and_leaves_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    one, skewed = (Claims(files_at(tmp_path), elsewhere(name)) for name in "ab")
    one.take("fresh")
    one.take("left")
    aged(tmp_path, "left", EXPIRES + 5)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + wrong)

    assert not skewed.take("fresh")
    assert skewed.take("left")
    assert set(claims(one.files)) == {"fresh", "left"}


def test_the_claim_of_a_driver_that_has_died_on_this_machine_is_void_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom harness.store import files_at\nfrom harness.store.claims import Claims, Driver\n"
        "Claims(files_at(sys.argv[1]), Driver.here('dead')).take('t')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)

    assert claims(files_at(tmp_path)) == {}
    assert Claims(files_at(tmp_path), Driver.here("new")).take("t")


def test_the_claim_of_a_driver_that_lives_on_this_machine_is_not(tmp_path: Path) -> None:
    assert Claims(files_at(tmp_path), Driver.here("one")).take("t")

    assert not Claims(files_at(tmp_path), Driver.here("other")).take("t")


def test_a_claim_that_is_being_written_is_not_taken(tmp_path: Path) -> None:
    files = files_at(tmp_path)
    files.create("claims/t.json", b"")

    assert not Claims(files, elsewhere("a")).take("t")
    aged(tmp_path, "t", EXPIRES + 5)
    assert Claims(files, elsewhere("a")).take("t")


def test_what_runs_is_told_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_at(tmp_path)
    Claims(files, elsewhere("a")).take("t")

    def refuse(*_: object) -> None:
        raise StoreFailed("read-only")

    monkeypatch.setattr(type(files), "write", refuse)

    assert set(claims(files)) == {"t"}


def test_looking_at_a_store_without_claims_writes_nothing(tmp_path: Path) -> None:
    assert claims(files_at(tmp_path / "S")) == {}
    assert not (tmp_path / "S").exists()


def test_nothing_is_left_of_a_driver_that_has_given_everything_back(where: str) -> None:
    one = Claims(files_at(where), elsewhere("a"))
    one.take("t")
    one.now()

    one.release("t")
    one.close()

    assert one.files.sizes("claims", "") == {}
