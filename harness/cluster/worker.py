"""What runs in a worker: a batch of trials, one after the other, each straight into the store."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from harness.checkpoints import Checkpoints
from harness.protocol import Prepared
from harness.record import Record
from harness.store import Store
from harness.trial import Setting, Trial, lost, release_memory, run_trial

GRACE = 5.0
"""Seconds past the time limit after which a method that never reports is ended together with its worker."""

EVERY = 1.0
"""Seconds between two messages about how far a trial is."""

Tell = Callable[[dict[str, Any]], None]


def work(
    batch: Sequence[Trial],
    codes: Mapping[str, str],
    data: Callable[[str], Prepared],
    store: Store,
    setting: Setting,
    keep: frozenset[str],
    tell: Tell,
) -> None:
    """Run a batch and store every outcome.

    codes: variant id -> code hash. data: dataset id -> its prepared pair. keep: ids whose prediction is stored.
    tell: receives {"trial", "share"} while a trial runs and {"trial", "status", "means", "reason"} at its end.
    """
    for trial in batch:
        its_setting = replace(setting, code=codes[trial.variant_id])
        listen = _throttled(partial(_tell_share, tell, trial.id))
        checkpoints = Checkpoints(store.files, trial.id, its_setting.code)
        with _watched(trial, store, its_setting):
            outcome = run_trial(trial, data(trial.dataset_id), its_setting, listen, checkpoints)
        record = store.put(outcome, keep_prediction=trial.id in keep)
        if record.cause != "timeout":  # with more time, it could go on from there
            checkpoints.remove()
        del outcome
        release_memory()
        tell(summary(record))


def summary(record: Record) -> dict[str, Any]:
    """What a driver is told of a finished trial: no rows, no text but the reason."""
    return {"trial": record.trial_id, "status": record.status, "means": record.means, "reason": record.reason}


def _tell_share(tell: Tell, trial_id: str, share: float) -> None:
    tell({"trial": trial_id, "share": share})


def _throttled(tell: Callable[[float], None]) -> Callable[[float], None]:
    last = time.monotonic()

    def listen(share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY:
            last = time.monotonic()
            tell(share)

    return listen


@contextmanager
def _watched(trial: Trial, store: Store, setting: Setting) -> Iterator[None]:
    """End the process if the body outlasts the time limit by the grace period, after recording why.

    A method that reports is stopped at the limit by its run; this is for one that hangs.
    """
    if setting.timeout is None:
        yield
        return

    def end() -> None:
        limit = f"{setting.timeout:g} s"
        record = lost(trial, f"no sign of life past the time limit of {limit}; its worker was ended", setting)
        store.files.write(f"unfinished/{trial.id}.json", replace(record, cause="timeout").to_json())
        os._exit(1)

    timer = threading.Timer(setting.timeout + GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
