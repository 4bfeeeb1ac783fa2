"""Ray Tune as the executor: which batches run, where, and what to do about those whose worker is lost.

Tune schedules; it is not the database. `Tuner.restore` is not used: what is missing in the store is submitted anew.
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cluster.batching import Batch, batches
from harness.cluster.faults import Fault
from harness.cluster.ledger import Ledger
from harness.cluster.nodes import signature
from harness.cluster.progress import Progress
from harness.cluster.resources import Resources, Share
from harness.cluster.scratch import scratch
from harness.cluster.shipping import is_shipped, ship_by_value
from harness.cluster.stopping import Stop
from harness.cluster.tune_run import Config, Feed, Handed, shared, tune_run
from harness.cluster.worker import Job, summary
from harness.protocol import Prepared
from harness.record import Cause
from harness.store import Store
from harness.store.claims import Claims, Driver, claims
from harness.store.files import StoreFailed
from harness.trial import Setting, Trial, lost
from models.component import code_hash

WAVE = 1000
"""Batches that are handed to Tune at once: what it keeps of each does not pile up over a grid of any size."""

POLL = 2.0
"""Seconds between two looks at what another driver computes, when there is nothing else to do."""


@dataclass
class Work:
    """Everything a submission needs to run its trials.

    data: dataset id -> prepared pair; emptied once Ray holds them, so that each is in memory once. share: what a trial
    is given, and what when it ran out of memory before.
    """

    trials: Sequence[Trial]
    data: dict[str, Prepared]
    store: Store
    resources: Resources
    share: Callable[[Trial, bool], Share]
    keep: frozenset[str] = frozenset()
    git: Mapping[str, Any] = field(default_factory=dict)


def execute(todo: Work, slots: int, progress: Progress) -> int:
    """Run the trials through Ray Tune; every one ends with a record in the store, whatever happens to workers.

    Returns how many ended here; others may be another driver's.

    Needs a connected Ray with room for `slots` batches at once (`connection.connected`, `Resources.slots`). Trials that
    another driver computes are waited for, and computed here if it does not finish them. Raises `BadInput` when the
    store cannot be written or a node is not as it should be, KeyboardInterrupt when it was asked to stop.
    """
    with submission(todo, slots, progress) as run:
        run.to_the_end()
    return run.ended


@contextlib.contextmanager
def submission(todo: Work, slots: int, progress: Progress) -> Iterator[Submission]:
    """A driver of the connected Ray for the body: signals are taken, and nothing of it is left in the store."""
    driver = Driver.here(uuid.uuid4().hex[:16])
    todo.store.forget_unfinished(trial.id for trial in todo.trials)  # from here on, one is of this submission
    ship_by_value(everything=todo.resources.address is not None)
    start = random.SystemRandom().randrange(max(1, len(todo.trials)))  # drivers that start together meet late
    ledger = Ledger([*todo.trials[start:], *todo.trials[:start]])
    with Stop(driver.submission, progress.say).listening() as stop:
        run = Submission(todo, slots, progress, driver, ledger, stop)
        try:
            yield run
        finally:
            with contextlib.suppress(StoreFailed):
                run.claims.close()


@dataclass(frozen=True)
class Wave:
    """Batches that run in one Tune run, by their place."""

    batches: tuple[Batch, ...]
    job: Job

    def of(self, config: Config) -> Handed:
        """What the worker of a batch is given."""
        return Handed(self.batches[config["batch"]], self.job)


class Submission:
    """One call of `execute`: waves of batches until nothing is pending."""

    def __init__(self, todo: Work, slots: int, progress: Progress, driver: Driver, ledger: Ledger, stop: Stop) -> None:
        self.todo, self.slots, self.progress = todo, slots, progress
        self.driver, self.ledger, self.stop = driver, ledger, stop
        self.claims = Claims(todo.store.files, driver)
        self.ended = 0
        self.refs = shared(todo.data)

    def to_the_end(self) -> None:
        """Run waves until every trial has a record."""
        while self._settle():
            held = {i for i, claim in claims(self.todo.store.files, self.driver.submission).items()}
            wave = self._wave(held)
            if wave:
                self._reckon(wave, self._tune(wave))
            else:
                others = len(held & set(self.ledger.pending))
                self.progress.waiting(f"{others} that another driver computes")
                self._pause()

    def _settle(self) -> bool:
        """Take in what the store says, give up what was lost too often; returns whether anything is pending."""
        store, ledger = self.todo.store, self.ledger
        done, failed = store.done(), store.unfinished_ids()
        told = ledger.settle([i for i in ledger.pending if i in done or i in failed])
        untold = [i for i in told if i not in self.progress.status]
        for record in [*store.records(i for i in untold if i in done), *store.unfinished(set(untold) - done)]:
            self.progress.told(summary(record))
        self.give_up()
        return bool(ledger.pending)

    def give_up(self) -> None:
        """Record what was lost too often as failed."""
        store, ledger = self.todo.store, self.ledger
        for trial in ledger.given_up():
            attempts = ledger.earlier[trial.id]
            cause: Cause = "memory" if ledger.enlarged(trial.id) else "infrastructure"
            reason = f"{attempts[-1]['reason']} ({len(attempts)} attempts)"
            share = self.todo.share(trial, ledger.enlarged(trial.id))
            setting = Setting(
                share.device, share.threads, git=dict(self.todo.git), code=code_hash(trial.method),
                earlier=tuple(attempts[:-1]), cpus=share.cpus, gpus=share.gpus,
            )  # fmt: skip
            record = lost(trial, reason, setting, cause)
            store.put_unfinished(record)
            ledger.settle([trial.id])
            self.heard(summary(record))

    def _wave(self, held: set[str]) -> list[Batch]:
        """The batches to run now: what was never lost in batches, and what was lost before alone."""
        fresh, alone = self.ledger.to_run(held)
        grouped = batches(fresh, self.slots, lambda trial: self.todo.share(trial, False))
        again = [Batch((trial,), self.todo.share(trial, self.ledger.enlarged(trial.id))) for trial in alone]
        return [*grouped, *again][:WAVE]

    def _reckon(self, wave: Sequence[Batch], faults: Mapping[int, Fault]) -> None:
        """After a wave: which trials did the broken batches lose?"""
        mine = {i for i, c in claims(self.todo.store.files, self.driver.submission).items() if c.driver == self.driver}
        for trial_id in mine:  # a worker that ends takes its claim back; one that is lost leaves it
            self.claims.release(trial_id)
        settled = self.todo.store.done() | self.todo.store.unfinished_ids()
        for i, found in faults.items():
            ids = [trial.id for trial in wave[i].trials]
            if found.cause is not None:
                suspects = [j for j in ids if j in mine] or [j for j in ids if j not in settled]
                self.ledger.lose(suspects, found.cause, found.reason)
                for j in suspects:
                    self.progress.again(j, found.reason)

    def feed(self, feed: Feed) -> None:
        """One Tune run over what a feed has; see `tune_run`."""
        with scratch(self.claims, self._spread()) as storage:
            tune_run(feed, self.refs, self.stop, storage, self._crowded_out)

    def _crowded_out(self, lacking: Sequence[str]) -> None:
        self.progress.waiting(f"a place: every {' and '.join(lacking)} of this Ray is in use")

    def _tune(self, wave: Sequence[Batch]) -> dict[int, Fault]:
        """One Tune run over these batches; returns what Ray said of those that broke."""
        from ray import tune

        faults: dict[int, Fault] = {}

        def broke(config: Mapping[str, Any], found: Fault) -> None:
            faults[config["batch"]] = found
            if found.cause is not None:  # whose loss it is shows at the end of the wave, which may be hours away
                self.progress.say(f"a worker is lost, and what it ran is run again after the others: {found.reason}")

        feed = Feed(
            lookup=Wave(tuple(wave), self.job([trial for batch in wave for trial in batch.trials])).of,
            space={"batch": tune.grid_search(list(range(len(wave))))},
            heard=self.heard,
            broke=broke,
            settings={"max_concurrent_trials": self.todo.resources.max_concurrent},
        )
        self.feed(feed)
        return faults

    def job(self, trials: Sequence[Trial]) -> Job:
        """What workers are told of these trials."""
        return Job(
            store=self.todo.store,
            driver=self.driver,
            codes={trial.variant_id: code_hash(trial.method) for trial in trials},
            setting=Setting(timeout=self.todo.resources.timeout, git=dict(self.todo.git)),
            keep=self.todo.keep & {trial.id for trial in trials},
            earlier={i: tuple(found) for i, found in self.ledger.earlier.items()},
            expected=signature() if self.todo.resources.address is not None else None,
            checkpoint_every=self.todo.resources.checkpoint_every,
            shipped=is_shipped(self.todo.resources.address),
        )

    def _spread(self) -> bool:
        """Whether trials run on more than this machine; a Ray that somebody else has connected may do so, too."""
        import ray

        return self.todo.resources.address is not None or sum(node["Alive"] for node in ray.nodes()) > 1

    def heard(self, message: Mapping[str, Any]) -> None:
        """Take one message of a worker."""
        self.ended += "status" in message
        if "lost" in message:
            self.ledger.lose([message["trial"]], message["cause"], message["lost"])
        self.progress.told(message)

    def _pause(self) -> None:
        for _ in range(10):
            if self.stop.since is not None:
                raise KeyboardInterrupt
            time.sleep(POLL / 10)
