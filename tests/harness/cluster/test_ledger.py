"""The ledger: what is pending is run until it has a record or has been lost too often, and nothing twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.faults import fault
from harness.cluster.ledger import ATTEMPTS, Ledger
from harness.protocol import KFold
from harness.trial import Trial
from tests.toys import Noise

TRIALS = [Trial(Noise(), "x", "x" * 16, KFold(5), 0, seed) for seed in range(6)]
IDS = [trial.id for trial in TRIALS]


def test_a_settled_trial_is_pending_no_more_and_counted_once() -> None:
    ledger = Ledger(TRIALS)

    assert ledger.settle([IDS[0], IDS[0], "unknown"]) == [IDS[0]]
    assert IDS[0] not in ledger.pending


def test_a_lost_trial_runs_alone_the_next_time() -> None:
    ledger = Ledger(TRIALS)

    ledger.lose([IDS[2]], "infrastructure", "gone")

    together, alone = ledger.to_run()
    assert [trial.id for trial in alone] == [IDS[2]]
    assert IDS[2] not in {trial.id for trial in together}


def test_what_another_driver_computes_waits() -> None:
    together, alone = Ledger(TRIALS).to_run(held=IDS[:4])

    assert [trial.id for trial in together] == IDS[4:]
    assert alone == []


def test_a_trial_that_was_too_large_needs_more_and_one_whose_worker_was_lost_does_not() -> None:
    ledger = Ledger(TRIALS)
    ledger.lose([IDS[0]], "memory", "out of memory")
    ledger.lose([IDS[1]], "infrastructure", "gone")

    assert [ledger.enlarged(i) for i in IDS[:3]] == [True, False, False]


@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(["infrastructure", "memory"])), max_size=40))
def test_a_trial_is_given_up_once_one_of_its_causes_has_used_up_its_attempts(losses: list[tuple[str, str]]) -> None:
    ledger = Ledger(TRIALS)
    for trial_id, cause in losses:
        ledger.lose([trial_id], cause, "")  # type: ignore[arg-type]

    expected = [i for i in IDS if any(losses.count((i, cause)) >= limit for cause, limit in ATTEMPTS.items())]

    assert [trial.id for trial in ledger.given_up()] == expected


def test_what_ray_says_of_a_lost_worker_is_infrastructure() -> None:
    said = fault("Failure # 1 (at 2026-01-01)\nThe actor died unexpectedly before finishing this task.\n\tpid: 1")

    assert (said.cause, said.reason) == ("infrastructure", "The actor died unexpectedly before finishing this task.")


def test_what_rays_memory_monitor_ends_is_memory() -> None:
    assert fault("Failure # 1\nTask was killed due to the node running low on memory.\nMore").cause == "memory"
    assert fault("x\nray.exceptions.OutOfMemoryError: Task was killed").cause == "memory"


def test_a_worker_that_leaves_of_its_own_accord_is_no_fault() -> None:
    trace = "Failure # 1\nray::trainable()\n  File x\nharness.cluster.worker.Recycled: it kept 1200 MiB"

    assert fault(trace).cause is None


def test_a_fault_without_a_word_is_a_lost_worker() -> None:
    assert fault("").reason == "its worker was lost"
