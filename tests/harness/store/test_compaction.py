"""`spadit compact`: readers cannot tell, not when it is interrupted, and not from the report's bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.record import Record
from harness.store import Store
from harness.store import compaction as module
from harness.store.compaction import compact
from harness.store.files import LocalFiles
from reports.report import write_report
from tests.reports.stores import Plan, Variant, build, row

GENES = {"one": [f"g{i}" for i in range(7)], "two": [f"h{i}" for i in range(9)]}


def value(*at: Any) -> dict[str, float]:
    """A score that differs from trial to trial and gene to gene."""
    return row((hash_(at) % 1000) / 1000 - 0.2)


def hash_(at: tuple[Any, ...]) -> int:
    return sum(ord(c) * (i + 7) ** 3 for i, c in enumerate(repr(at)))


PLAN = Plan({"A": Variant(), "B": Variant(method="other", random=False)}, value, GENES, seeds=(0, 1), rates=(1.0, 0.5))


def seen(store: Store) -> dict[str, Any]:
    """All that a reader can see of finished trials."""
    records = store.records()
    return {
        "done": store.done(),
        "records": records,
        "genes": store.genes(records),
        "some": store.genes(records[3:5][::-1]),
        "has": [store.has(record.trial_id) for record in records],
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for name, value_ in one.items():
        if isinstance(value_, pd.DataFrame):
            pd.testing.assert_frame_equal(value_, other[name])
        else:
            assert value_ == other[name]


def tables(store: Store, out: Path) -> dict[str, bytes]:
    write_report(store, out)
    return {p.name: p.read_bytes() for p in sorted(out.iterdir()) if p.suffix in (".csv", ".md", ".tex")}


def test_records_rows_and_every_table_of_the_report_are_the_same_to_the_byte(tmp_path: Path) -> None:
    store = build(tmp_path / "S", PLAN)
    before, report = seen(store), tables(store, tmp_path / "before")

    count = compact(store)

    assert count == len(before["done"]) == 24
    assert store.files.sizes("trials", ".json") == store.files.sizes("genes", ".parquet") == {}
    for reader in (store, Store(tmp_path / "S")):
        same(before, seen(reader))
    assert tables(store, tmp_path / "after") == report


def test_it_works_under_a_uri(where: str) -> None:
    store = build(Path(where), PLAN) if "://" not in where else built(where)
    before = seen(store)

    compact(store)

    same(before, seen(Store(where)))


def built(where: str) -> Store:
    """`build` for a URI: a store of the same content, copied."""
    import tempfile

    target = Store(where)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), PLAN)
        for path in Path(folder).rglob("*.*"):
            target.files.write(path.relative_to(folder).as_posix(), path.read_bytes())
    return target


def test_later_trials_are_merged_into_what_is_there_and_doing_it_again_changes_nothing(tmp_path: Path) -> None:
    store = build(tmp_path, PLAN)
    late = sorted((tmp_path / "trials").iterdir())[::3]
    aside = {path: path.read_bytes() for path in late}
    whole = seen(store)
    for path in late:
        path.unlink()
    compact(store)
    for path, data in aside.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    assert compact(store) == len(late)
    same(whole, seen(store))
    assert len(store.packs.all()) == 1
    there = sorted((tmp_path / "packs").iterdir())
    assert compact(store) == 0
    assert sorted((tmp_path / "packs").iterdir()) == there


def test_full_packs_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL", 10)
    store = build(tmp_path, PLAN)
    whole = seen(store)

    compact(store)

    assert sorted(len(pack.records) for pack in store.packs.all()) == [4, 10, 10]
    same(whole, seen(Store(tmp_path)))


class Crash(Exception):  # noqa: N818 - nobody's mistake
    """The power is gone."""


def crashing(monkeypatch: pytest.MonkeyPatch, after: int) -> Callable[[], int]:
    """Let so many writes and deletions happen, then crash; returns how many there were."""
    count = 0
    for name in ("write", "delete"):
        real = getattr(LocalFiles, name)

        def act(self: LocalFiles, *words: Any, real: Callable[..., None] = real) -> None:
            nonlocal count
            if count >= after:
                raise Crash
            count += 1
            real(self, *words)

        monkeypatch.setattr(LocalFiles, name, act)
    return lambda: count


def test_interrupted_at_any_write_or_deletion_nothing_is_lost_and_the_next_one_ends_it(tmp_path: Path) -> None:
    plan = Plan({"A": Variant()}, value, {"one": GENES["one"]}, rates=(1.0, 0.5))
    whole = seen(build(tmp_path / "whole", plan))
    ended, after = False, 0
    while not ended:
        store = build(tmp_path / str(after), plan)
        with pytest.MonkeyPatch.context() as patch:
            crashing(patch, after)
            try:
                compact(store)
                ended = True
            except Crash:
                pass
        same(whole, seen(Store(tmp_path / str(after))))
        compact(Store(tmp_path / str(after)))
        same(whole, seen(Store(tmp_path / str(after))))
        after += 1
    assert after > 8


def test_a_reader_that_reads_meanwhile_sees_everything_all_the_time(tmp_path: Path) -> None:
    store = build(tmp_path, PLAN)
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


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    whole = seen(build(tmp_path, PLAN))
    several = [threading.Thread(target=lambda: _suppressed(lambda: compact(Store(tmp_path)))) for _ in range(2)]

    for each in several:
        each.start()
    for each in several:
        each.join()

    same(whole, seen(Store(tmp_path)))


def _suppressed(act: Callable[[], Any]) -> None:
    # The other has deleted what it was reading: one of both ends, and says so.
    try:
        act()
    except Exception as error:
        print(error)


def test_a_superseded_trial_leaves_its_pack_and_the_others_stay(tmp_path: Path) -> None:
    store = build(tmp_path, PLAN)
    compact(store)
    first, *others = sorted(store.done())
    record = store.record(first)

    store.supersede([first])

    assert store.done() == set(others)
    assert Record.from_json((tmp_path / f"superseded/{first}-{record.code}.json").read_bytes()) == record
    assert len(store.genes(store.records())) > 0
