"""Stores of a few trials, some of them packed, and what a reader can see of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.record import Outcome
from harness.store import Store
from harness.store.compaction import compact
from harness.store.damage import verified
from tests.reports.stores import Plan, Variant, genes, qualities

VARIANTS = {"A": Variant(), "B": Variant(method="other", random=False), "C": Variant(method="third")}
VALUES = qualities({"A": 0.5, "B": 0.3, "C": 0.45})
SIXTY = Plan(VARIANTS, VALUES, {"one": genes(9), "two": genes(12)}, folds=3, seeds=(0, 1), rates=(1.0, 0.5))
SIX = Plan({"A": Variant()}, VALUES, {"one": genes(6), "two": genes(4)}, folds=3)


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


def compact_only(store: Store, records: list[Path]) -> None:
    """Compact as if there were no other trials than these."""
    others = {path: path.read_bytes() for path in records[0].parent.iterdir() if path not in records}
    for path in others:
        path.unlink()
    compact(store)
    for path, data in others.items():
        path.write_bytes(data)
