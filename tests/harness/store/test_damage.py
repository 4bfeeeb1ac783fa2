"""What is not as it was written is found, refused by readers, set aside and computed again; all else stays."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Experiment, KFold
from harness.card import put_card
from harness.datasets import load
from harness.datasets.simulated import write_pair
from harness.errors import BadInput
from harness.protocol import prepare
from harness.record import Outcome, Record
from harness.results import Plan, make_plan
from harness.sealed import SCHEMA, Damaged, sealed, unsealed
from harness.store import Store
from harness.store.compaction import compact
from harness.store.damage import damaged_names, set_aside, state, verified
from harness.trial import run_trial
from reports.reading.scores import read
from tests.conftest import tiny_pair
from tests.toys import Noise, VisibleMean

EXPERIMENT = Experiment("few", {"noise": Noise(), "mean": VisibleMean()}, ["tiny"], split=KFold(2), seeds=range(2))


@dataclass(frozen=True)
class Grid:
    """Six finished trials with their predictions, in two stores: as small files, and packed."""

    data: Path
    outcomes: list[Outcome]
    small: Path
    packed: Path

    def plan(self, where: str | Path) -> Plan:
        return make_plan(EXPERIMENT, Store(where), self.data)

    def file(self, root: Path, kind: str) -> Path:
        """One file of that kind which reports read: of predictions, they read the first seed's."""
        return next(root.glob(KINDS[kind].format(id=self.outcomes[0].record.trial_id)))

    def computed(self, store: Store, ids: set[str]) -> None:
        """As if these had been run again."""
        for outcome in self.outcomes:
            if outcome.record.trial_id in ids:
                store.put(outcome, keep_prediction=True)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    root = tmp_path_factory.mktemp("grid")
    write_pair(tiny_pair(), root / "D")
    pair = load("tiny", [root / "D"])
    data = prepare(pair, EXPERIMENT.protocol)
    outcomes = [run_trial(trial, data) for trial in EXPERIMENT.trials({"tiny": pair.id})]
    found = Grid(root / "D", outcomes, root / "S", root / "P")
    for where in (found.small, found.packed):
        store = Store(where)
        found.computed(store, {outcome.record.trial_id for outcome in outcomes})
        put_card(store, pair, data)
        store.put_asked(EXPERIMENT.asked({"tiny": {"dataset_id": pair.id, "synthetic": ""}}, "2026-01-01"))
    assert compact(Store(found.packed)) == len(outcomes) == 6
    return found


def flipped(data: bytes, at: int) -> bytes:
    """With one bit the other way round, the at-th."""
    byte, bit = divmod(at, 8)
    return data[:byte] + bytes([data[byte] ^ (1 << bit)]) + data[byte + 1 :]


SPOILT: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "emptied": lambda _: b"",
    "flipped": lambda data: flipped(data, random.Random(0).randrange(8 * len(data))),
    "prolonged": lambda data: data + b" ",
    "removed": lambda _: None,
}

KINDS = {
    "record": "trials/{id}.json",
    "genes": "genes/{id}.parquet",
    "prediction": "predictions/{id}.parquet",
    "packed records": "packs/records-*",
    "packed genes": "packs/genes-*",
}


def everything(store: Store) -> list[pd.DataFrame | None]:
    """All that a report reads of trials."""
    comparison = read(store, store.asked("few")[-1])
    kept = [comparison.kept.prediction(label, "tiny", 1.0) for label in ("noise", "mean")]
    return [store.genes(store.records()), *kept]


# -- one record, byte by byte -----------------------------------------------------------------------------------------


def test_every_flipped_bit_of_a_record_is_found(grid: Grid) -> None:
    written = grid.outcomes[0].record.to_json()

    for at in range(8 * len(written)):
        with pytest.raises(Damaged):
            Record.from_json(flipped(written, at))


def test_a_record_that_was_cut_anywhere_is_found(grid: Grid) -> None:
    written = grid.outcomes[0].record.to_json()

    for length in range(len(written)):
        with pytest.raises(Damaged):
            Record.from_json(written[:length])


@given(st.dictionaries(st.text(min_size=1), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=5))
def test_what_was_sealed_comes_back_as_it_was(values: dict[str, object]) -> None:
    values = {**{k: v for k, v in values.items() if k != "sha256"}, "schema": SCHEMA}

    assert unsealed(sealed(values)) == values
    assert json.loads(sealed(values)).items() >= values.items()  # it is JSON, for others to read


def test_a_record_of_an_earlier_version_is_refused_and_neither_called_damaged_nor_moved(
    grid: Grid, tmp_path: Path
) -> None:
    record = grid.outcomes[0].record
    values = {k: v for k, v in json.loads(record.to_json()).items() if k not in ("sha256", "earlier", "resources")}
    old = json.dumps({**values, "schema": 1}, indent=1).encode()
    store = Store(tmp_path)
    store.files.write(f"trials/{record.trial_id}.json", old)

    for act in (lambda: grid.plan(tmp_path), store.records, lambda: compact(store)):
        with pytest.raises(BadInput, match=r"schema 1, which had no checksums; .*use a store of this version\.$"):
            act()
    assert store.files.read(f"trials/{record.trial_id}.json") == old


# -- files of a store -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_is_missing_with_a_reason_refused_set_aside_and_computed_again(
    grid: Grid, tmp_path: Path, kind: str, how: str
) -> None:
    root = Path(shutil.copytree(grid.packed if "packed" in kind else grid.small, tmp_path / "S"))
    whole, ids = everything(Store(root)), Store(root).done()
    path = grid.file(root, kind)
    lost = ids if "packed" in kind else {path.stem}
    before, after = path.read_bytes(), SPOILT[how](path.read_bytes())
    path.unlink() if after is None else path.write_bytes(after)
    if (kind, how) == ("prediction", "flipped"):  # found when it is read, and then removed by hand
        assert grid.plan(root).damaged == {}
        with pytest.raises(BadInput, match=r"does not match its checksum; delete it and run the experiment again"):
            everything(Store(root))
        path.unlink()
        after = None

    plan = grid.plan(root)

    assert {trial.id for trial in plan.missing()} == lost
    assert set(plan.done) == ids - lost
    if how == "removed" and "record" in kind:  # as if they had not been run
        assert plan.damaged == {}
    else:
        assert set(plan.damaged) == lost
        assert all(path.relative_to(root).as_posix() in said for said in plan.damaged.values())
        with pytest.raises(BadInput, match=r"run the experiment again[^.]*\.$") as refused:
            everything(Store(root))
        assert path.relative_to(root).as_posix() in str(refused.value)

    store = plan.store
    set_aside(store, plan.damaged)

    kept = [store.files.read(f"damaged/{name}") for name in damaged_names(store)]
    assert after is None or after in kept
    assert not path.exists()
    assert store.done() == Store(root).done() == ids - lost
    grid.computed(store, lost)
    assert grid.plan(root).missing() == []
    for act in (lambda: None, lambda: compact(store)):
        act()
        for one, other in zip(whole, everything(store), strict=True):
            pd.testing.assert_frame_equal(one, other)
        assert verified(store, ids)[1] == {}
    assert before not in kept


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "prediction"])
def test_any_flipped_bit_of_any_file_that_a_plan_reads_is_found(grid: Grid, tmp_path: Path, kind: str) -> None:
    root = Path(shutil.copytree(grid.packed if "packed" in kind else grid.small, tmp_path / "S"))
    path, ids = grid.file(root, kind), Store(root).done()
    data, lost = path.read_bytes(), ids if "packed" in kind else {path.stem}

    for at in random.Random(1).sample(range(8 * len(data)), 40):
        path.write_bytes(flipped(data, at))

        assert set(verified(Store(root), ids)[1]) == lost, at
        if kind != "record":
            with pytest.raises(BadInput, match="does not match its"):
                Store(root).genes(Store(root).records())


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("record", "flipped"),
        pytest.param("genes", "truncated", marks=pytest.mark.slow),
        pytest.param("prediction", "removed", marks=pytest.mark.slow),
        pytest.param("packed records", "flipped", marks=pytest.mark.slow),
        pytest.param("packed genes", "flipped", marks=pytest.mark.slow),
    ],
)
def test_it_is_the_same_under_a_uri(grid: Grid, bucket: str, kind: str, how: str) -> None:
    ids, root = Store(grid.small).done(), grid.packed if "packed" in kind else grid.small
    where = f"{bucket}/{kind.replace(' ', '-')}"
    files = Store(where).files
    for path in root.rglob("*"):
        if path.is_file():
            files.write(path.relative_to(root).as_posix(), path.read_bytes())
    path = grid.file(root, kind)
    name, after = path.relative_to(root).as_posix(), SPOILT[how](path.read_bytes())
    files.delete(name) if after is None else files.write(name, after)
    lost = ids if "packed" in kind else {path.stem}

    plan = grid.plan(where)
    assert set(plan.damaged) == {trial.id for trial in plan.missing()} == lost
    with pytest.raises(BadInput, match="run the experiment again"):
        everything(Store(where))
    set_aside(plan.store, plan.damaged)

    assert Store(where).done() == ids - lost
    assert after is None or after in [files.read(f"damaged/{each}") for each in damaged_names(Store(where))]
    grid.computed(plan.store, lost)
    assert grid.plan(where).missing() == []


def test_a_table_that_was_changed_under_a_uri_is_refused_when_it_is_read_and_missing_once_it_is_deleted(
    grid: Grid, bucket: str
) -> None:
    store = Store(f"{bucket}/changed")
    grid.computed(store, {grid.outcomes[0].record.trial_id})
    [record] = store.records()
    name = f"genes/{record.trial_id}.parquet"
    store.files.write(name, flipped(store.files.read(name), 1000))  # its storage has checksums of its own

    assert verified(store, store.done())[1] == {}
    with pytest.raises(BadInput, match="does not match its checksum; delete it and run the experiment again"):
        store.genes([record])
    assert state(store, record, name) == "damaged"
    store.files.delete(name)

    assert set(verified(store, store.done())[1]) == store.done()


def test_a_trial_of_which_nothing_is_left_is_missing_and_the_next_run_sets_the_rest_aside(
    grid: Grid, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(grid.packed, tmp_path / "S"))
    for path in (root / "packs").iterdir():
        path.write_bytes(path.read_bytes()[:-1])

    plan = grid.plan(root)

    assert len(plan.missing()) == 6
    assert plan.damaged == {}
    set_aside(plan.store, plan.damaged)
    assert any(name.startswith("packs-records-") for name in damaged_names(plan.store))
    assert plan.store.records() == []


def test_a_trial_damaged_twice_is_kept_twice(grid: Grid, tmp_path: Path) -> None:
    store, first = Store(tmp_path), grid.outcomes[0].record.trial_id
    for data in (b"first", b"second", b"third"):
        grid.computed(store, {first})
        store.files.write(f"trials/{first}.json", data)
        set_aside(store, verified(store, [first])[1])

    kept = {store.files.read(f"damaged/{name}") for name in damaged_names(store)}
    assert kept > {b"first", b"second", b"third"}


def test_what_another_driver_has_set_aside_and_computed_again_stays(grid: Grid, tmp_path: Path) -> None:
    root = Path(shutil.copytree(grid.small, tmp_path / "S"))
    path = sorted(root.glob("genes/*"))[0]
    path.write_bytes(b"")
    one, other = grid.plan(root), grid.plan(root)
    set_aside(one.store, one.damaged)
    grid.computed(one.store, {path.stem})

    set_aside(other.store, other.damaged)

    assert grid.plan(root).missing() == []
    assert len(damaged_names(Store(root))) == 3  # once


def test_a_store_that_is_whole_has_nothing_damaged(grid: Grid, tmp_path: Path) -> None:
    root = Path(shutil.copytree(grid.small, tmp_path / "S"))
    before = sorted(root.rglob("*"))

    plan = grid.plan(root)
    set_aside(plan.store, plan.damaged)

    assert (len(plan.done), plan.damaged, plan.missing()) == (6, {}, [])
    assert sorted(root.rglob("*")) == before
