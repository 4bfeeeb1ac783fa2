"""`spadit compact`, whatever comes between and wherever it is interrupted: readers cannot tell, and nothing is lost."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from harness.store import compaction as module
from harness.store.compaction import compact
from harness.store.damage import verified
from harness.store.files import LocalFiles
from tests.harness.store.packed import SIX, SIXTY, like, odd, same, seen
from tests.reports.stores import build

pytestmark = pytest.mark.usefixtures("unsynced")


OPERATIONS = ("sizes", "read", "exists", "write", "create", "delete", "move", "changed")


def between(
    patch: pytest.MonkeyPatch, n: int, act: Callable[[], Any], names: tuple[str, ...] = OPERATIONS
) -> list[int]:
    """Do something else just before the n-th operation on files that follows; the list gets an entry once it is."""
    happened: list[int] = []
    count, lock = itertools.count(), threading.Lock()
    for name in names:
        real = getattr(LocalFiles, name)

        def operation(self: LocalFiles, *words: Any, real: Callable[..., Any] = real) -> Any:
            with lock:
                mine = not happened and next(count) == n
                happened.extend([n] if mine else [])
            if mine:
                act()
            return real(self, *words)

        patch.setattr(LocalFiles, name, operation)
    return happened


def every(
    copies: Iterator[Path],
    act: Callable[[Path], Any],
    other: Callable[[Path], Any],
    names: tuple[str, ...] = OPERATIONS,
) -> Iterator[tuple[Path, Any]]:
    """A copy and what `act` returned, for each operation of it between which `other` can come."""
    for n, root in enumerate(copies):
        with pytest.MonkeyPatch.context() as patch:
            happened = between(patch, n, lambda root=root: other(root), names)
            result = act(root)
        if not happened:
            assert n > 10
            return
        yield root, result
        shutil.rmtree(root)


def test_a_reader_sees_everything_wherever_a_compaction_comes_between(half: Path, copies: Iterator[Path]) -> None:
    whole = seen(Store(half))

    for _, result in every(copies, lambda root: seen(Store(root)), lambda root: compact(Store(root))):
        same(whole, result)


def test_a_reader_that_has_read_before_sees_everything_too(half: Path, copies: Iterator[Path]) -> None:
    whole = seen(Store(half))

    def again(root: Path) -> dict[str, Any]:
        store = Store(root)
        store.packs.all()
        compact(Store(root))
        return seen(store)

    same(whole, again(next(copies)))


def test_two_compactions_at_once_lose_nothing_and_neither_complains(half: Path, copies: Iterator[Path]) -> None:
    whole = seen(Store(half))

    for root, _ in every(copies, lambda root: compact(Store(root)), lambda root: compact(Store(root))):
        same(whole, seen(Store(root)))
        compact(Store(root))
        assert [len(pack.records) for pack in Store(root).packs.all()] == [7]
        assert not list(root.glob("trials/*"))


def test_a_trial_that_finishes_while_others_are_merged_is_there(half: Path, copies: Iterator[Path]) -> None:
    whole = seen(Store(half))
    late = like(Store(half), "e" * 16)

    listed_or_changed = ("sizes", "write", "delete")
    for root, _ in every(
        copies, lambda root: compact(Store(root)), lambda root: Store(root).put(late), listed_or_changed
    ):
        assert Store(root).done() == whole["done"] | {"e" * 16}
        compact(Store(root))
        assert Store(root).done() == whole["done"] | {"e" * 16}
        assert len(Store(root).genes([Store(root).record("e" * 16)])) == late.genes.num_rows  # type: ignore[union-attr]


class Crash(Exception):  # noqa: N818 - nobody's mistake
    """The power is gone."""


@pytest.mark.parametrize("full", [4, 10_000])
def test_interrupted_at_any_write_or_deletion_nothing_is_lost_and_the_next_one_ends_it(
    half: Path, copies: Iterator[Path], full: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL", full)
    whole = seen(Store(half))

    def crash() -> None:
        raise Crash

    for n, root in enumerate(copies):
        with pytest.MonkeyPatch.context() as patch:
            happened = between(patch, n, crash, ("write", "delete"))
            try:
                compact(Store(root))
            except Crash:
                assert happened
        same(whole, seen(Store(root)))
        compact(Store(root))
        same(whole, seen(Store(root)))
        assert sum(len(pack.records) for pack in Store(root).packs.all()) == 7
        assert not [*root.glob("trials/*"), *root.glob("genes/*")]
        shutil.rmtree(root)
        if not happened:
            break
    assert n > 10


def test_readers_beside_it_see_everything_all_the_time(tmp_path: Path) -> None:
    store = build(tmp_path, SIXTY)
    odd(store)
    whole, wrong, ended = seen(store), [], threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                same(whole, seen(Store(tmp_path)))
            except BaseException as error:
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    compact(store)
    ended.set()
    for reader in readers:
        reader.join()

    assert wrong == []


@pytest.mark.slow
def test_for_a_while_all_at_once_nothing_is_lost_twice_or_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL", 7)
    until = time.monotonic() + (5 if os.environ.get("SPADIT_SHORT") else 60)
    source = build(tmp_path / "source", SIX)
    outcomes = [like(source, f"{i:016x}") for i in range(200 if os.environ.get("SPADIT_SHORT") else 1000)]
    finished: list[str] = []
    wrong: list[BaseException] = []

    def write() -> None:
        for outcome in outcomes:
            Store(tmp_path / "S").put(outcome)
            finished.append(outcome.record.trial_id)
            time.sleep(0.01)

    def look() -> None:
        before, store = set(finished), Store(tmp_path / "S")
        records = store.records()
        ids = [record.trial_id for record in records]
        assert before <= set(ids) <= {outcome.record.trial_id for outcome in outcomes}
        rows = store.genes(records)
        assert list(dict.fromkeys(rows["trial_id"]) if len(rows) else []) == ids
        assert len(rows) == 2 * len(ids)
        assert verified(store, ids)[1] == {}

    def again(act: Callable[[], Any]) -> None:
        try:
            while time.monotonic() < until and not wrong:
                act()
        except BaseException as error:
            wrong.append(error)

    acts = [look, look, lambda: compact(Store(tmp_path / "S")), lambda: compact(Store(tmp_path / "S"))]
    threads = [threading.Thread(target=again, args=[act]) for act in acts]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    look()
    compact(Store(tmp_path / "S"))
    look()
    assert len(finished) == len(outcomes)
