"""Claims: one driver computes a trial; what nobody renews is nobody's, by the storage's own clock."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.store import claims as module
from harness.store import files_at
from harness.store.claims import EXPIRES, RENEWED, Claims, Driver, claims
from harness.store.files import LocalFiles, StoreFailed


def elsewhere(submission: str) -> Driver:
    """A driver of another machine, of which nothing can be known here."""
    return Driver(submission, "another machine", 1, 0.0)


def aged(folder: Path, trial_id: str, seconds: float, end: str = ".json") -> None:
    """As if it had last been renewed so long ago."""
    path = folder / f"claims/{trial_id}{end}"
    os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def eight(where: str) -> list[Claims]:
    """Eight drivers, which reach the store over four connections."""
    files = [files_at(where) for _ in range(4)]
    return [Claims(files[i % 4], elsewhere(str(i))) for i in range(8)]


def takers(drivers: list[Claims], trial_id: str) -> list[Claims]:
    """Those that take a trial, when all try at once."""
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda each: each.take(trial_id), drivers))
    return [driver for driver, has in zip(drivers, taken, strict=True) if has]


def test_of_many_drivers_one_takes_a_trial(where: str) -> None:
    drivers = eight(where)
    for trial_id in "tuvwxyz":
        [one] = takers(drivers, trial_id)

        assert claims(one.files)[trial_id].driver == one.driver


def test_of_many_drivers_one_takes_a_trial_that_was_left(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_at(where)
    Claims(files, elsewhere("gone")).take("t")
    if isinstance(files, LocalFiles):
        aged(files.root, "t", EXPIRES + 5)
    else:
        monkeypatch.setattr(module, "EXPIRES", 1.0)  # its times are whole seconds
        time.sleep(2.2)

    [one] = takers(eight(where), "t")

    monkeypatch.undo()
    assert claims(files)["t"].driver == one.driver
    assert list(files.sizes("claims", ".void")) == []


@pytest.mark.parametrize("left", ["void", "void mark"])
def test_whenever_another_comes_between_one_of_both_takes_it(tmp_path: Path, left: str) -> None:
    for n in itertools.count():
        root = tmp_path / str(n)
        one, other, third = _three(root)
        aged(root, "t", EXPIRES + 5)
        if left == "void mark":  # of one that was killed while it took the claim over
            one.files.create("claims/t.void", b"")
            aged(root, "t", EXPIRES + 5, ".void")
        taken = []

        with pytest.MonkeyPatch.context() as patch:
            happened = _before(patch, {n: lambda other=other, taken=taken: taken.append(other.take("t"))})
            taken.append(one.take("t"))
        if not happened:
            break
        if left == "void mark" and not any(taken):  # the mark had to go first
            taken = [one.take("t"), other.take("t")]
        assert taken.count(True) == 1, n
        assert not third.take("t")
    assert n > 5


def test_of_a_claim_that_is_given_back_meanwhile_only_one_is_made(tmp_path: Path) -> None:
    for n, m in itertools.combinations(range(5), 2):
        root = tmp_path / f"{n} {m}"
        one, other, third = _three(root)
        taken: list[bool] = []

        with pytest.MonkeyPatch.context() as patch:
            take = lambda other=other, taken=taken: taken.append(other.take("t"))  # noqa: E731
            _before(patch, {n: lambda root=root: (root / "claims/t.json").unlink(missing_ok=True), m: take})
            taken.append(one.take("t"))

        assert taken.count(True) <= 1, (n, m)
        assert any(taken) is not third.take("t")


def _three(root: Path) -> list[Claims]:
    """Three drivers, and the claim of a fourth."""
    Claims(files_at(root), elsewhere("fourth")).take("t")
    return [Claims(files_at(root), elsewhere(name)) for name in ("one", "other", "third")]


def _before(patch: pytest.MonkeyPatch, acts: dict[int, Callable[[], None]]) -> list[int]:
    """Do something else just before the n-th operation on files; the list gets n once it is done."""
    happened: list[int] = []
    count, busy = itertools.count(), []
    for name in ("read", "write", "create", "delete", "changed"):
        real = getattr(LocalFiles, name)

        def operation(self: LocalFiles, *words: Any, real: Callable[..., Any] = real) -> Any:
            if not busy and (n := next(count)) in acts:
                busy.append(n)
                acts[n]()
                happened.append(busy.pop())
            return real(self, *words)

        patch.setattr(LocalFiles, name, operation)
    return happened


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
    one = Claims(files_at(tmp_path), elsewhere("a"))
    one.take("fresh")
    one.take("left")
    aged(tmp_path, "left", EXPIRES + 5)
    real = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=wrong)

    monkeypatch.setattr(time, "time", lambda: real() + wrong)
    monkeypatch.setattr(module, "datetime", Wrong)
    skewed, third = (Claims(files_at(tmp_path), elsewhere(name)) for name in "bc")

    assert not skewed.take("fresh")
    assert skewed.take("left")
    assert not third.take("left")
    assert set(claims(one.files)) == {"fresh", "left"}


def test_the_claim_of_a_driver_that_has_died_on_this_machine_is_void_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom harness.store import files_at\nfrom harness.store.claims import Claims, Driver\n"
        "Claims(files_at(sys.argv[1]), Driver.here('dead')).take('t')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)

    assert claims(files_at(tmp_path)) == {}
    assert Claims(files_at(tmp_path), Driver.here("new")).take("t")


def test_so_is_that_of_one_whose_end_nobody_has_asked_for(tmp_path: Path) -> None:
    if not hasattr(os, "waitid"):
        pytest.skip("this system cannot wait for a process and leave it")
    code = (
        "import sys\nfrom harness.store import files_at\nfrom harness.store.claims import Claims, Driver\n"
        "Claims(files_at(sys.argv[1]), Driver.here('dead')).take('t')\n"
    )
    dead = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now

    assert claims(files_at(tmp_path)) == {}
    dead.wait()


def test_a_clock_that_is_set_meanwhile_ends_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system tells when a process started by its wall clock only")
    Claims(files_at(tmp_path), Driver.here("one")).take("t")
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)

    assert set(claims(files_at(tmp_path))) == {"t"}


def test_a_driver_whose_process_may_not_be_seen_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, read = Driver.here("one"), Path.read_text

    def hidden(self: Path, *words: Any, **named: Any) -> str:
        if str(self).startswith(f"/proc/{driver.pid}/"):
            raise FileNotFoundError(str(self))
        return read(self, *words, **named)

    def another_users(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", hidden)
    monkeypatch.setattr(os, "kill", another_users)

    assert not driver.is_gone()


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


def test_what_runs_is_told_from_a_read_only_file_system(tmp_path: Path) -> None:
    Claims(files_at(tmp_path / "S"), elsewhere("a")).take("t")
    (tmp_path / "readonly").mkdir()
    here = ["mount", "--bind", str(tmp_path / "S"), str(tmp_path / "readonly")]
    if shutil.which("mount") is None or subprocess.run(here, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        again = ["mount", "-o", "remount,ro,bind", str(tmp_path / "readonly")]
        if subprocess.run(again, capture_output=True).returncode:
            pytest.skip("a file system cannot be made read-only here")
        files = files_at(tmp_path / "readonly")

        assert set(claims(files)) == {"t"}
        with pytest.raises(StoreFailed, match="read-only"):
            Claims(files, elsewhere("b")).take("u")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "readonly")], check=True)


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
