"""`spadit compact`: readers cannot tell, wherever a store lies, and what is damaged is not merged."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BadInput
from harness.record import Outcome, Record
from harness.store import Store
from harness.store import compaction as module
from harness.store.compaction import FORGOTTEN, compact
from harness.store.damage import damaged_names, set_aside
from reports.figures import drawing
from reports.report import write_report
from tests.harness.store.packed import SIX, SIXTY, like, odd, same, seen
from tests.reports.stores import build

pytestmark = pytest.mark.usefixtures("unsynced")


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
