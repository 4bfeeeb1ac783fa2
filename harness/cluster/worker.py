"""What runs in a worker: a batch of trials, one after the other, each straight into the store."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psutil

from harness.cluster.batching import Batch
from harness.cluster.heartbeat import Heartbeat
from harness.cluster.nodes import require_same
from harness.errors import BadInput
from harness.protocol import Prepared
from harness.record import Record
from harness.store import Store
from harness.store.checkpoints import EVERY, Checkpoints
from harness.store.claims import Claims, Driver
from harness.store.files import StoreFailed
from harness.trial import Interrupted, Setting, Trial, lost, release_memory, run_trial

GRACE = 5.0
"""Seconds past the time limit after which a method that never reports is ended together with its worker."""

TOLD = 0.5
"""Seconds between two messages to the driver, where nothing waits for them."""

SHARES = 1.0
"""Seconds between two words about how far a trial is."""

RETAINED = 2**30
"""Bytes that a worker may keep between trials, beyond what it kept after its first, before it is replaced."""

Tell = Callable[[list[dict[str, Any]]], None]


class Recycled(Exception):  # noqa: N818 - no error: the worker has done its work, and is not used again
    """The worker has kept too much memory; another takes its place."""


@dataclass(frozen=True)
class Job:
    """What a submission tells its workers.

    codes: variant id -> code hash. keep: ids whose prediction is stored. earlier: trial id -> its lost attempts.
    setting: what is the same for all trials. expected: the driver's versions, None where they need not be compared.
    shipped: whether the code came from the driver, and workers stand in it. told: seconds between two messages to the
    driver at least, each of which waits for the driver to take it.
    """

    store: Store
    driver: Driver
    codes: Mapping[str, str]
    setting: Setting
    keep: frozenset[str] = frozenset()
    earlier: Mapping[str, tuple[dict[str, str], ...]] | None = None
    expected: Mapping[str, str] | None = None
    checkpoint_every: float = EVERY
    shipped: bool = False
    told: float = TOLD

    def setting_of(self, trial: Trial, batch: Batch) -> Setting:
        """How one trial runs."""
        share = batch.share
        return replace(
            self.setting,
            code=self.codes[trial.variant_id],
            device=share.device,
            threads=share.threads,
            cpus=share.cpus,
            gpus=share.gpus,
            earlier=(self.earlier or {}).get(trial.id, ()),
        )


def work(batch: Batch, job: Job, data: Callable[[str], Prepared], tell: Tell, asked: Callable[[], bool]) -> None:
    """Run a batch and store every outcome; trials that another driver computes are left to it.

    data: dataset id -> its prepared pair. asked: whether the submission was asked to end. tell: receives messages
    {"trial", "share", "validation"} while a trial runs, {"trial", "status", "means", "reason", "seconds"} at its end,
    {"trial", "lost", "cause"} for an attempt that is to be made again, {"usage"} now and then, and {"fatal"} for what
    should end the submission. Raises `Recycled` for what should end the worker.
    """
    messages = Messages(tell, job.told)
    if job.shipped:  # another node of the same machine unpacks it anew, and who stands in it then stands nowhere
        os.chdir(tempfile.gettempdir())
    try:
        require_same(job.expected)
        _each(batch, job, data, messages, asked)
    except (StoreFailed, BadInput) as error:
        messages.say({"fatal": str(error)})
        raise
    finally:
        messages.flush()


def _each(
    batch: Batch, job: Job, data: Callable[[str], Prepared], messages: Messages, asked: Callable[[], bool]
) -> None:
    with Heartbeat(Claims(job.store.files, job.driver), asked) as heart:
        for trial in batch.trials:
            if heart.stopping():
                break
            if not heart.take(trial.id):
                continue
            try:
                if not job.store.has(trial.id):
                    _one(trial, batch, job, data, heart, messages)
            except Interrupted:
                break
            finally:
                heart.release()
            if (kept := _retained()) > RETAINED:
                raise Recycled(f"it kept {kept / 2**20:.0f} MiB more than after its first trial")


def _one(
    trial: Trial, batch: Batch, job: Job, data: Callable[[str], Prepared], heart: Heartbeat, messages: Messages
) -> None:
    setting = job.setting_of(trial, batch)
    checkpoints = Checkpoints(job.store.files, trial.id, setting.code, job.checkpoint_every)
    listen = _throttled(partial(_tell_share, messages, heart, trial.id))
    messages.say({"trial": trial.id, "share": 0.0})
    with _watched(trial, job.store, setting):
        outcome = run_trial(trial, data(trial.dataset_id), setting, listen, checkpoints, heart.stopping)
    record = outcome.record
    again = record.cause == "memory" and not any(each["cause"] == "memory" for each in setting.earlier)
    if again:  # the driver tries it with more
        messages.say({"trial": trial.id, "lost": record.reason, "cause": "memory"})
    else:
        record = job.store.put(outcome, keep_prediction=trial.id in job.keep)
    if record.cause != "timeout" and not again and not trial.method.cheap:  # with more time, it could go on from there
        checkpoints.remove()
    del outcome
    release_memory()
    if not again:
        messages.say(summary(record))


def summary(record: Record) -> dict[str, Any]:
    """What a driver is told of a finished trial: no rows, no text but the reason."""
    seconds = round(sum(value or 0.0 for value in record.timings.values()), 3)
    facts = {"trial": record.trial_id, "status": record.status, "means": record.means, "reason": record.reason}
    return facts | {"seconds": seconds}


class Messages:
    """Messages to the driver, several at once: each time costs a round trip."""

    def __init__(self, tell: Tell, every: float) -> None:
        self._tell, self._every = tell, every
        self._waiting: list[dict[str, Any]] = []
        self._last = time.monotonic()

    def say(self, message: dict[str, Any]) -> None:
        """Send a message, now or with the next."""
        self._waiting.append(message)
        if time.monotonic() - self._last >= self._every:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []  # told once, even if the driver ends the batch meanwhile
        if waiting:
            self._tell(waiting)
        self._last = time.monotonic()


def _tell_share(messages: Messages, heart: Heartbeat, trial_id: str, share: float, validation: float | None) -> None:
    messages.say({"trial": trial_id, "share": share, "validation": validation})
    if heart.usage:
        messages.say({"usage": heart.usage})
        heart.usage = {}


def _throttled(tell: Callable[[float, float | None], None]) -> Callable[[float, float | None], None]:
    last = time.monotonic()

    def listen(share: float, validation: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= SHARES:
            last = time.monotonic()
            tell(share, validation)

    return listen


_after_first: int | None = None


def _retained() -> int:
    """Bytes of its own that this process has more than after its first trial; datasets are shared, and do not count."""
    global _after_first
    memory = psutil.Process().memory_info()
    own = memory.rss - getattr(memory, "shared", 0)
    if _after_first is None:
        _after_first = own
    return int(own - _after_first)


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
        said = f"no sign of life past the time limit of {limit}; its worker was ended"
        try:
            store.put_unfinished(lost(trial, said, setting, "timeout"))
        finally:
            os._exit(1)

    timer = threading.Timer(setting.timeout + GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
