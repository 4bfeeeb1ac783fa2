"""The store: whole files or none, content ids, and nothing that is done is ever rewritten."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.errors import BadInput
from harness.pair import PairedSample
from harness.protocol import KFold, Protocol, prepare
from harness.record import Asked, Outcome, Record
from harness.store import Store
from harness.store.files import LocalFiles, StoreFailed
from harness.trial import Trial, run_trial
from tests.toys import Noise, Raises, VisibleMean


@pytest.fixture(scope="module")
def outcome(tiny: PairedSample) -> Outcome:
    data = prepare(tiny, Protocol())
    return run_trial(Trial(VisibleMean(), "tiny", data.dataset_id, KFold(3), 0, 0), data)


@pytest.fixture(scope="module")
def failed(tiny: PairedSample) -> Outcome:
    data = prepare(tiny, Protocol())
    return run_trial(Trial(Raises(), "tiny", data.dataset_id, KFold(3), 0, 0), data)


def asked(**changes: object) -> Asked:
    values: dict[str, object] = {
        "name": "q", "definition": "d" * 8, "asked_at": "2026-01-01T00:00:00", "title": "",
        "commands": ("spadit run q",), "protocol_id": "p" * 8,
        "variants": {"a": {"variant_id": "1", "method": "m", "control": False, "component": {}}},
        "datasets": {"x": {"dataset_id": "i"}}, "task": {}, "protocol": {}, "split": {}, "folds": 3, "flags": (),
        "cells": ({"label": "a", "dataset": "x", "fold": 0, "seed": 0, "sampling_rate": 1.0, "trial_id": "t0"},),
    }  # fmt: skip
    return Asked(**(values | changes))  # type: ignore[arg-type]


def test_looking_at_a_store_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "S")

    assert store.done() == set()
    assert store.records() == store.unfinished() == store.asked() == []
    assert not (tmp_path / "S").exists()


def test_a_stored_outcome_comes_back_as_it_was(where: str, outcome: Outcome) -> None:
    store = Store(where)

    store.put(outcome, keep_prediction=True)

    record = store.record(outcome.record.trial_id)
    assert dataclasses.replace(record, files={}) == outcome.record
    pd.testing.assert_frame_equal(store.genes([record]), outcome.genes.to_pandas())  # type: ignore[union-attr]
    prediction = store.prediction(record)
    assert prediction is not None
    assert list(prediction.columns) == list(outcome.targets)
    assert (prediction.to_numpy() == outcome.prediction).all()
    assert (prediction.index == outcome.spots).all()


def test_predictions_are_kept_only_where_asked(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)

    record = store.put(outcome)

    assert store.prediction(record) is None
    assert not (tmp_path / "predictions").exists()


def test_an_ok_record_is_never_rewritten(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)
    store.put(outcome)
    before = (tmp_path / "trials" / f"{outcome.record.trial_id}.json").read_bytes()

    store.put(dataclasses.replace(outcome, record=dataclasses.replace(outcome.record, node="elsewhere")))

    assert (tmp_path / "trials" / f"{outcome.record.trial_id}.json").read_bytes() == before


def test_a_failure_is_shown_but_never_done_until_it_is_tried_again(where: str, failed: Outcome) -> None:
    store = Store(where)

    store.put(failed)

    assert store.done() == set()
    assert [r.reason for r in store.unfinished()] == ["ArithmeticError: singular matrix"]
    assert store.unfinished(["f" * 16]) == []
    store.forget_unfinished([failed.record.trial_id])
    assert store.unfinished_ids() == set()


def test_a_damaged_failure_is_none(tmp_path: Path, failed: Outcome) -> None:
    store = Store(tmp_path)
    store.put(failed)
    path = tmp_path / f"unfinished/{failed.record.trial_id}.json"
    path.write_bytes(path.read_bytes()[:-1])

    assert store.unfinished() == []


def test_success_removes_the_failure_of_the_same_trial(where: str, outcome: Outcome) -> None:
    store = Store(where)
    store.put(Outcome(dataclasses.replace(outcome.record, status="failed", reason="power cut")))

    store.put(outcome)

    assert store.unfinished_ids() == set()


def test_the_record_is_written_after_its_tables(tmp_path: Path, outcome: Outcome, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    written: list[str] = []
    write = LocalFiles.write
    monkeypatch.setattr(LocalFiles, "write", lambda self, name, data: (written.append(name), write(self, name, data)))

    Store(tmp_path).put(outcome, keep_prediction=True)

    assert [name.split("/")[0] for name in written] == ["genes", "predictions", "trials"]


def test_a_crash_while_writing_leaves_no_file(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def stop(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", stop)

    with pytest.raises(StoreFailed, match="no space"):
        LocalFiles(tmp_path).write("trials/x.json", b"{}")

    assert list((tmp_path / "trials").iterdir()) == []


def test_a_flipped_bit_in_a_table_is_found_by_its_checksum(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)
    record = store.put(outcome)
    path = tmp_path / "genes" / f"{record.trial_id}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(BadInput, match="checksum"):
        store.genes([record])


def test_a_truncated_record_is_one_sentence(tmp_path: Path, outcome: Outcome) -> None:
    store = Store(tmp_path)
    record = store.put(outcome)
    path = tmp_path / "trials" / f"{record.trial_id}.json"
    path.write_bytes(path.read_bytes()[:50])

    with pytest.raises(BadInput, match="is damaged: its checksum does not match"):
        store.records()


def test_a_superseded_record_makes_its_trial_missing_and_stays_readable(where: str, outcome: Outcome) -> None:
    store = Store(where)
    record = store.put(outcome)

    for _ in range(2):  # another driver may have done so before
        store.supersede([record.trial_id])

    assert store.done() == set()
    assert Record.from_json(store.files.read(f"superseded/{record.trial_id}-{record.code}.json")) == record


def test_an_experiment_asked_in_parts_is_one_with_all_its_cells(where: str) -> None:
    store = Store(where)
    second = {"label": "a", "dataset": "y", "fold": 0, "seed": 0, "sampling_rate": 1.0, "trial_id": "t1"}
    store.put_asked(asked(excluded=({"dataset": "y", "reason": "absent"},)))
    store.put_asked(asked(asked_at="2026-01-02", datasets={"y": {"dataset_id": "j"}}, cells=(second,)))

    (merged,) = store.asked("q")

    assert merged.trial_ids == ("t0", "t1")
    assert set(merged.datasets) == {"x", "y"}
    assert merged.excluded == ()


def test_another_definition_under_the_same_name_is_another_version(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_asked(asked())
    store.put_asked(asked(definition="e" * 8, asked_at="2026-01-02"))

    assert [a.definition for a in store.asked("q")] == ["d" * 8, "e" * 8]


def test_asking_the_same_again_writes_nothing_new(tmp_path: Path) -> None:
    store = Store(tmp_path)

    keys = {store.put_asked(asked()), store.put_asked(asked(asked_at="later", commands=("spadit run q --json",)))}

    assert len(keys) == 1


def test_what_was_asked_and_is_damaged_is_refused_and_written_anew_by_asking_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = tmp_path / f"experiments/{store.put_asked(asked())}.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"spadit run q", b"spadit run Q"))

    with pytest.raises(BadInput, match=r"is damaged: .*; delete it and run the experiment again, which computes not"):
        store.asked()
    store.put_asked(asked())

    assert path.read_bytes() == whole


def test_what_another_version_asked_is_neither_damaged_nor_written_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = tmp_path / f"experiments/{store.put_asked(asked())}.json"
    old = b'{"name": "q", "schema": 1}'
    path.write_bytes(old)

    for act in (store.asked, lambda: store.put_asked(asked())):
        with pytest.raises(BadInput, match=r"schema 1, .*; use a store of this version\.$"):
            act()
    assert path.read_bytes() == old


def test_an_unknown_experiment_gets_the_nearest_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_asked(asked(name="quickstart"))

    with pytest.raises(BadInput, match="did you mean quickstart"):
        store.asked("quikstart")


def test_a_datasets_genes_of_an_earlier_panel_stay(where: str) -> None:
    store = Store(where)
    spots = pd.DataFrame({"spot": [0, 1]})

    for protocol, panel in (("p", ["a", "b"]), ("q", ["b", "c"])):
        measured = pd.DataFrame(np.full((2, 2), float(ord(panel[0]))), columns=panel)
        store.put_dataset("id", {"panels": {protocol: panel}}, spots, pd.DataFrame({"gene": panel}), measured)

    assert store.cards()["id"]["panels"] == {"p": ["a", "b"], "q": ["b", "c"]}
    assert store.described_genes("id") == ("a", "b", "c")
    truth = store.measured("id")
    assert set(truth.columns) == {"a", "b", "c"}
    assert truth["a"].tolist() == [97.0, 97.0]


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "S").write_text("")

    with pytest.raises(BadInput, match="is a file"):
        Store(tmp_path / "S")


def test_noise_is_stored_under_one_id_per_seed(tmp_path: Path, tiny: PairedSample) -> None:
    data, store = prepare(tiny, Protocol()), Store(tmp_path)

    for seed in (0, 1):
        store.put(run_trial(Trial(Noise(), "tiny", data.dataset_id, KFold(3), 0, seed), data))

    assert len(store.done()) == 2
