"""Progress: what is said is what was told; plain lines where there is no terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from harness.cluster.progress import Progress

IDS = {f"t{i}": f"label{i}" for i in range(4)}


def finished(trial: str, status: str = "ok", pcc: float | None = 0.5, reason: str = "") -> dict[str, object]:
    return {"trial": trial, "status": status, "means": {} if pcc is None else {"pcc": pcc}, "reason": reason}


def test_the_line_counts_what_finished_failed_and_was_skipped() -> None:
    progress = Progress(IDS, dict.fromkeys(IDS, "all"), show=False)

    progress.told(finished("t0"))
    progress.told(finished("t1", "failed", None, "oh"))
    progress.told(finished("t2", "skipped", None, "no"))

    assert progress.line().startswith("3/4 finished · 1 failed · 1 skipped")
    assert progress.counts == {"ok": 1, "failed": 1, "skipped": 1}


def test_who_leads_is_said_of_rows_that_are_done_and_of_no_other() -> None:
    progress = Progress(IDS, {"t0": "a", "t1": "a", "t2": "b", "t3": "c"}, show=False)

    for trial, pcc in (("t0", 0.9), ("t2", 0.6)):
        progress.told(finished(trial, pcc=pcc))
    assert progress.best() == ""  # a has a trial left, and b alone leads nobody

    progress.told(finished("t1", pcc=0.1))
    assert progress.best() == "b (0.600)"
    progress.told(finished("t3", pcc=0.7))
    assert progress.line().endswith("highest PCC of the rows that are done: c (0.700)")


def test_trials_without_a_group_finish_and_lead_nobody() -> None:
    progress = Progress({}, {}, show=False)
    for i, group in enumerate(["", "", "a", "b"]):
        progress.add(f"t{i}", f"label{i}", group)

    for i, pcc in enumerate([0.9, 0.8, 0.1, 0.2]):
        progress.told(finished(f"t{i}", pcc=pcc))

    assert progress.line().startswith("4/4 finished")
    assert progress.best() == "b (0.200)"


def test_a_cheap_trial_weighs_little_in_the_time_that_is_left() -> None:
    progress = Progress(IDS, dict.fromkeys(IDS, "all"), show=False, cheap=frozenset({"t0", "t1", "t2"}))
    progress._start -= 10  # ten seconds in

    for trial in ("t0", "t1", "t2"):
        progress.told(finished(trial))

    # 0.15 of 1.15 is done after 10 s: about 67 s are left, not the 3 s that counting trials would say.
    assert re.search(r"about 1:0\d left", progress.line())


def test_a_share_of_a_running_trial_counts_until_it_finishes() -> None:
    progress = Progress(IDS, dict.fromkeys(IDS, "all"), show=False)

    progress.told({"trial": "t0", "share": 0.5})
    assert progress.running == {"t0": 0.5}
    progress.told(finished("t0"))

    assert progress.running == {}


def test_without_a_terminal_there_are_plain_lines_and_a_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(IDS, dict.fromkeys(IDS, "all")) as progress:
        progress.started(2)
        for trial in IDS:
            progress.told(finished(trial, "failed" if trial == "t1" else "ok", reason="[bold]singular"))

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert "failed: label1: [bold]singular" in captured.err
    assert captured.err.count("4/4 finished") == 1


def test_what_is_waited_for_is_said_once_a_minute_and_shown_until_a_worker_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with Progress(IDS, dict.fromkeys(IDS, "all")) as progress:
        for clock[0] in (1005.0, 1011.0, 1030.0, 1060.0, 1072.0):
            progress.waiting("a place")
        console = Console(width=100)
        with console.capture() as shown:
            console.print(progress.render())
        progress.told({"trial": "t0", "share": 0.1})
        with console.capture() as afterwards:
            console.print(progress.render())

    assert capsys.readouterr().err.count("0/4 finished · waiting for a place") == 2
    assert "waiting for a place" in shown.get()
    assert "waiting" not in afterwards.get()


def test_what_a_node_uses_is_shown_as_it_last_said() -> None:
    progress = Progress(IDS, dict.fromkeys(IDS, "all"), show=False)

    progress.told({"usage": {"node": "b", "cpu": 0.5, "memory": 0.25}})
    progress.told({"usage": {"node": "a", "cpu": 0.1, "memory": 0.2, "card": 0.75}})
    progress.told({"usage": {"node": "b", "cpu": 0.9, "memory": 0.25}})

    assert progress.used() == (
        "a: 10% of processors, 20% of memory, 75% of the card · b: 90% of processors, 25% of memory"
    )


def test_a_lost_attempt_is_said_and_runs_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(IDS, dict.fromkeys(IDS, "all")) as progress:
        progress.told({"trial": "t0", "share": 0.5})
        progress.told({"trial": "t0", "lost": "MemoryError: no", "cause": "memory"})

    assert progress.running == {}
    assert "lost: label0: MemoryError: no" in capsys.readouterr().err


def test_a_trial_that_is_told_twice_counts_once() -> None:
    progress = Progress(IDS, dict.fromkeys(IDS, "all"), show=False)

    progress.told(finished("t0"))
    progress.told(finished("t0"))

    assert progress.counts["ok"] == 1


def test_tensorboard_reads_the_curve_and_the_result_of_each_trial(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    labels = {"t0": "SpaDiT · MG · fold 0 · seed 1"}

    with Progress(labels, labels, show=False, tensorboard=tmp_path) as progress:
        for share, validation in ((0.25, 0.1), (0.5, 0.2)):
            progress.told({"trial": "t0", "share": share, "validation": validation})
        progress.told({**finished("t0", pcc=0.5), "seconds": 3.0})

    events = accumulator.EventAccumulator(str(tmp_path / "SpaDiT/MG/fold_0/seed_1")).Reload()
    assert [(e.step, round(e.value, 6)) for e in events.Scalars("validation")] == [(25, 0.1), (50, 0.2)]
    assert [round(e.value, 6) for e in events.Scalars("test/pcc")] == [0.5]
    assert [e.value for e in events.Scalars("seconds")] == [3.0]
