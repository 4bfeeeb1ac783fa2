"""`spadit status`: what runs now is told by claims, from any machine, and by nothing that runs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.store import Store
from harness.store.claims import EXPIRES, Claims, Driver
from harness.views.status import print_status, status_facts
from tests.reports.stores import Plan, Variant, build, row


def planned(folder: Path) -> tuple[Store, list[str]]:
    """A store of one variant whose second fold is missing, and the ids of both its trials."""
    variants = {"v": Variant(ends={("MG", 1, 0): ("missing", "")})}
    genes = [f"g{i}" for i in range(4)]
    store = build(folder, Plan(variants, lambda *_: row(0.5), {"MG": genes}))
    [asked] = store.asked()
    return store, [cell["trial_id"] for cell in asked.cells]


def test_a_claimed_trial_runs_and_is_shown_with_its_node(tmp_path: Path) -> None:
    store, (_, missing) = planned(tmp_path)
    Claims(store.files, Driver("s", "another machine", 1, 0.0)).take(missing)

    [facts] = status_facts(store)["experiments"]

    assert (facts["ok"], facts["running"], facts["missing"]) == (1, 1, 0)
    assert facts["now"][0]["trial_id"] == missing
    assert facts["now"][0]["node"]


def test_a_claim_that_was_not_renewed_is_nobodys(tmp_path: Path) -> None:
    store, (_, missing) = planned(tmp_path)
    Claims(store.files, Driver("s", "another machine", 1, 0.0)).take(missing)
    past = time.time() - EXPIRES - 5
    os.utime(tmp_path / f"claims/{missing}.json", (past, past))

    [facts] = status_facts(store)["experiments"]

    assert (facts["now"], facts["running"], facts["missing"]) == ([], 0, 1)


def test_what_has_a_record_is_done_though_its_claim_is_still_there(tmp_path: Path) -> None:
    store, (done, _) = planned(tmp_path)
    Claims(store.files, Driver("s", "another machine", 1, 0.0)).take(done)

    [facts] = status_facts(store)["experiments"]

    assert (facts["ok"], facts["now"]) == (1, [])


def test_what_ended_alike_for_the_same_reason_is_told_once_with_the_command_that_reruns_all_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {("MG", fold, seed): ("skipped", "needs counts") for fold in (0, 1) for seed in (0, 1)}
    ends |= {("MG", 1, 1): ("failed", "MemoryError: it was one")}
    genes = [f"g{i}" for i in range(4)]
    store = build(tmp_path / "S", Plan({"v": Variant(ends=ends)}, lambda *_: row(0.5), {"MG": genes}, seeds=(0, 1)))

    print_status(status_facts(store))
    said = capsys.readouterr().out

    assert said.count("needs counts") == 1
    assert "skipped: v · MG · 3 trials" in said
    assert "failed (method): v · MG · fold 1 · seed 1" in said
    every, one = [line for line in said.splitlines() if "spadit run" in line][::-1]
    assert "--fold" not in every
    assert "--fold 1" in one
