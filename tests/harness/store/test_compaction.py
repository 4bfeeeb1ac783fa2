"""`spadit compact`: readers cannot tell, whatever comes between, and wherever it is interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from harness.errors import BadInput
from harness.record import Outcome, Record
from harness.store import Store
from harness.store import compaction as module
from harness.store.compaction import FORGOTTEN, compact
from harness.store.damage import damaged_names, set_aside, verified
from harness.store.files import LocalFiles
from reports.figures import drawing
from reports.report import write_report
from tests.reports.stores import Plan, Variant, build, genes, qualities

VARIANTS = {"A": Variant(), "B": Variant(method="other", random=False), "C": Variant(method="third")}
VALUES = qualities({"A": 0.5, "B": 0.3, "C": 0.45})
SIXTY = Plan(VARIANTS, VALUES, {"one": genes(9), "two": genes(12)}, folds=3, seeds=(0, 1), rates=(1.0, 0.5))
SIX = Plan({"A": Variant()}, VALUES, {"one": genes(6), "two": genes(4)}, folds=3)


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut would lose is not asked here; to wait for the disk takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def like(store: Store, trial_id: str) -> Outcome:
    """What another trial gave, as if it were a trial of its own."""
    record = store.records()[0]
    table = store.rows([record])[0]
    table = table.set_column(0, "trial_id", pa.array([trial_id] * table.num_rows))
    return Outcome(dataclasses.replace(record, trial_id=trial_id, seed=7, files={}), table)


def odd(store: Store) -> None:
    """One more trial, with a metric that no other has, and its prediction kept."""
    outcome = like(store, "f" * 16)
    assert outcome.genes is not None
    table = outcome.genes.append_column("own", pa.array(np.arange(outcome.genes.num_rows, dtype=float)))
    prediction = np.arange(6, dtype=np.float32).reshape(3, 2)
    store.put(Outcome(outcome.record, table, prediction, ("g", "h"), np.arange(3)), keep_prediction=True)


def seen(store: Store) -> dict[str, Any]:
    """All that a reader can see of finished trials."""
    records = store.records()
    return {
        "done": store.done(),
        "records": records,
        "genes": store.genes(records),
        "some": store.genes(records[5:2:-1]),
        "predictions": [store.prediction(record) for record in records],
        "has": [store.has(record.trial_id) for record in records],
        "unfinished": store.unfinished(),
        "verified": verified(store, [record.trial_id for record in records]),
    }


def same(one: Any, other: Any) -> None:
    """Equal, frames with their columns, types and order of rows."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    else:
        assert one == other


@pytest.fixture
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of six trials and an odd one, of which three were packed already, in two steps."""
    root = tmp_path_factory.mktemp("half")
    store = build(root, SIX)
    odd(store)
    small = [p for p in sorted(root.glob("trials/*")) if p.stem != "f" * 16]
    _compact_only(store, [small[0], small[1]])
    _compact_only(store, [small[2]])
    assert len(store.packs.ids()) == 3
    return root


def _compact_only(store: Store, records: list[Path]) -> None:
    others = {path: path.read_bytes() for path in records[0].parent.iterdir() if path not in records}
    for path in others:
        path.unlink()
    compact(store)
    for path, data in others.items():
        path.write_bytes(data)


@pytest.fixture
def copies(half: Path, tmp_path: Path) -> Iterator[Path]:
    """As many copies of it as are asked for."""
    return (Path(shutil.copytree(half, tmp_path / str(n))) for n in itertools.count())


# -- what a reader sees -----------------------------------------------------------------------------------------------


def written(store: Store, out: Path) -> dict[str, bytes]:
    write_report(store, out)
    return {p.name: p.read_bytes() for p in sorted(out.iterdir()) if p.suffix in (".csv", ".md", ".tex")}


def test_readers_and_every_table_of_the_report_are_the_same_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "saved", lambda name, draw: dict.fromkeys(("pdf", "png", "svg"), b"<svg></svg>"))
    store = build(tmp_path / "S", SIXTY)
    odd(store)
    before, report = seen(store), written(store, tmp_path / "before")
    assert len(before["done"]) == 61

    assert compact(store) == 61

    assert store.files.sizes("trials", ".json") == store.files.sizes("genes", ".parquet") == {}
    for reader in (store, Store(tmp_path / "S")):
        same(before, seen(reader))
    assert written(store, tmp_path / "after") == report
    assert len(report) > 20


def test_it_works_wherever_a_store_lies_and_so_do_reports(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "saved", lambda name, draw: dict.fromkeys(("pdf", "png", "svg"), b"<svg></svg>"))
    store = build(where, SIX)  # type: ignore[arg-type]
    odd(store)
    before, report = seen(store), written(store, tmp_path / "before")

    assert compact(store) == 7
    assert written(Store(where), tmp_path / "after") == report

    same(before, seen(Store(where)))
    assert store.files.sizes("trials", ".json") == store.files.sizes("genes", ".parquet") == {}
    assert store.files.sizes("claims", "") == {}


def test_later_trials_are_merged_into_what_is_there_and_doing_it_again_changes_nothing(half: Path) -> None:
    store = Store(half)
    before = seen(store)

    assert compact(store) == 4

    same(before, seen(store))
    assert len(store.packs.all()) == 1
    there = {path: path.read_bytes() for path in half.glob("packs/records-*")}
    assert compact(store) == 0
    assert {path: path.read_bytes() for path in half.glob("packs/records-*")} == there


def test_full_packs_are_left_as_they_are(half: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FULL", 4)
    store = Store(half)
    before = seen(store)
    compact(store)
    full = {pack.name for pack in store.packs.all() if len(pack.records) == 4}
    store.put(like(store, "e" * 16))

    compact(store)

    assert sorted(len(pack.records) for pack in store.packs.all()) == [4, 4]
    assert len(full) == 1
    assert full < {pack.name for pack in store.packs.all()}
    assert store.done() == before["done"] | {"e" * 16}


def test_a_file_of_packs_is_named_by_its_content_and_the_same_trials_give_the_same_files(
    copies: Iterator[Path],
) -> None:
    one, other = next(copies), next(copies)
    compact(Store(one))
    compact(Store(other))

    names = sorted(path.name for path in (one / "packs").iterdir())
    assert names == sorted(path.name for path in (other / "packs").iterdir())
    for path in (one / "packs").iterdir():
        assert path.stem.rpartition("-")[2] == hashlib.sha256(path.read_bytes()).hexdigest()[:32]


# -- what comes between -----------------------------------------------------------------------------------------------

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


# -- what is done to packs --------------------------------------------------------------------------------------------


def test_a_superseded_trial_leaves_its_pack_and_the_others_stay(half: Path) -> None:
    store = Store(half)
    compact(store)
    first, *others = sorted(store.done())
    record, table = store.record(first), store.rows([store.record(first)])[0]

    store.supersede([first])

    assert store.done() == Store(half).done() == set(others)
    assert Record.from_json((half / f"superseded/{first}-{record.code}.json").read_bytes()) == record
    assert set(store.genes(store.records())["trial_id"]) == set(others)
    store.put(Outcome(dataclasses.replace(record, code="new", files={}), table))
    assert compact(store) == 1
    assert (store.record(first).code, store.done()) == ("new", {first, *others})
    assert store.rows([store.record(first)])[0].equals(table)


def test_a_trial_that_is_set_aside_leaves_its_pack_its_bytes_are_kept_and_it_can_come_again(half: Path) -> None:
    store = Store(half)
    compact(store)
    whole, odd_one = seen(store), store.record("f" * 16)
    prediction = store.prediction(odd_one)
    assert prediction is not None
    table = store.rows([odd_one])[0]
    (pack,) = half.glob("packs/records-*")
    data = pack.read_bytes()
    (half / f"predictions/{'f' * 16}.parquet").unlink()

    set_aside(store, store.done())  # of which one is damaged

    assert store.done() == Store(half).done() == whole["done"] - {"f" * 16}
    assert [(half / "damaged" / name).read_bytes() for name in damaged_names(store)] == [data]
    again = Outcome(dataclasses.replace(odd_one, files={}), table, prediction.to_numpy(), ("g", "h"), np.arange(3))
    store.put(again, keep_prediction=True)
    compact(store)
    same(whole, seen(store))


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        *((pattern, "cut") for pattern in ("trials/*", "genes/*", "packs/records-*", "packs/genes-*")),
        *((pattern, "removed") for pattern in ("genes/*", "packs/genes-*")),
    ],
)
def test_what_is_damaged_is_not_merged_and_nothing_is_changed(half: Path, pattern: str, how: str) -> None:
    named = {name for pack in Store(half).packs.all() for name in pack.genes.values()}
    path = next(p for p in sorted(half.glob(pattern)) if f"packs/{p.name}" in named or "packs/genes" not in str(p))
    path.unlink() if how == "removed" else path.write_bytes(path.read_bytes()[:-1])
    before = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}

    with pytest.raises(BadInput, match=r"(is damaged|does not match|as long as it was).*run the experiment again"):
        compact(Store(half))

    assert {path: path.read_bytes() for path in before} == before


def test_what_merging_has_left_goes_once_nobody_can_be_reading_it(half: Path) -> None:
    store = Store(half)
    merged = {half / name for pack in store.packs.all() for name in pack.genes.values()}
    for path in merged:
        os.utime(path, (path.stat().st_mtime - 2 * FORGOTTEN,) * 2)
    (half / "packs/genes-0.parquet").write_bytes(b"about to be named")

    compact(store)
    named = {half / name for pack in store.packs.all() for name in pack.genes.values()}
    left = merged - named
    assert left
    assert all(path.exists() for path in left)

    compact(store)
    assert not any(path.exists() for path in left)
    assert (half / "packs/genes-0.parquet").exists()
    assert store.files.sizes("claims", "") == {}


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
