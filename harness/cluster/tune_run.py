"""One run of Ray Tune: batches go to workers, what these say comes back, and it ends early where it has to."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cluster.batching import Batch
from harness.cluster.faults import Fault, fault
from harness.cluster.stopping import Leave, Stop, is_asked
from harness.cluster.worker import Job, work
from harness.errors import BadInput


@dataclass(frozen=True)
class Handed:
    """What a worker is given: a batch, and what the submission says of it."""

    batch: Batch
    job: Job


Config = Mapping[str, Any]
"""What Tune knows of one of its own trials, which are our batches."""


@dataclass(frozen=True)
class Feed:
    """Where the batches of a Tune run come from, and who hears of them.

    lookup: what the worker of a batch is given; it travels to the workers. space: Tune's `param_space`.
    heard: takes a message of a worker. broke: takes what Ray says of a batch whose worker ended without a result.
    settings: further arguments of Tune's `TuneConfig`.
    """

    lookup: Callable[[Config], Handed]
    space: Config
    heard: Callable[[Mapping[str, Any]], None]
    broke: Callable[[Config, Fault], None]
    settings: Mapping[str, Any] = field(default_factory=dict)


PATIENCE = 20.0
"""Seconds in which none of our batches runs before it is asked why: a worker of ours takes some of them to start."""


def tune_run(
    feed: Feed,
    refs: Mapping[str, Any],
    stop: Stop,
    storage: Mapping[str, Any],
    crowded_out: Callable[[Sequence[str]], None],
) -> None:
    """Run batches until the feed has no more.

    refs: dataset id -> reference to its data in Ray's object store. storage: where Tune keeps its files, see `scratch`.
    crowded_out: hears, now and then, what is in use everywhere while none of our batches runs.
    Raises `BadInput` for what a worker says should end the submission, KeyboardInterrupt when it was asked to stop.
    """
    import ray
    from ray import tune

    submission, lookup = stop.submission, feed.lookup  # what travels to workers holds no more than these

    def trainable(config: dict[str, Any], lookup: Any, refs: Any) -> None:
        handed = lookup(config)
        work(
            handed.batch,
            handed.job,
            lambda dataset_id: ray.get(refs[dataset_id]),
            lambda messages: tune.report({"messages": messages}),
            lambda: is_asked(submission),
        )

    def asked(config: Config) -> Any:
        share = lookup(config).batch.share
        return tune.PlacementGroupFactory([{"CPU": share.cpus, "GPU": share.gpus}])

    listener = _listener(feed, stop, crowded_out)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, lookup=lookup, refs=refs), resources=asked),
        param_space=dict(feed.space),
        tune_config=tune.TuneConfig(reuse_actors=True, **feed.settings),
        run_config=tune.RunConfig(
            name="run",
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            callbacks=[listener],
            **storage,
        ),
    )
    with contextlib.suppress(Leave):
        tuner.fit()
    gc.collect()  # Tune's objects are cycles, and its workers keep their places for as long as these live
    if listener.fatal is not None:
        raise BadInput(listener.fatal)
    if stop.since is not None:
        raise KeyboardInterrupt


def _listener(feed: Feed, stop: Stop, crowded_out: Callable[[Sequence[str]], None]) -> Any:
    """Tune's callback: passes on what workers say and what breaks, and ends the run when it has to end."""
    from ray.tune import Callback
    from ray.tune.progress_reporter import TrialProgressCallback

    class Listener(TrialProgressCallback):  # in place of Tune's own, which prints where results go
        def __init__(self) -> None:
            super().__init__()
            self.fatal: str | None = None
            self.waited_for: set[str] | None = None
            self.idle_since = time.monotonic()

        def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **_: Any) -> None:
            for message in result.get("messages", ()):
                if "fatal" in message:
                    self.fatal = message["fatal"]
                    raise Leave
                feed.heard(message)

        def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
            feed.broke(trial.config, fault(_noted(trial)))

        def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
            return

        def on_step_end(self, iteration: int, trials: Sequence[Any], **_: Any) -> None:
            running = {trial.trial_id for trial in trials if trial.status == "RUNNING"}
            pending = [trial for trial in trials if trial.status == "PENDING"]
            if running or not pending:
                self.idle_since = time.monotonic()
            elif time.monotonic() - self.idle_since > PATIENCE:
                self.idle_since = time.monotonic()
                if lacking := _lacking(pending[0].placement_group_factory.required_resources):
                    crowded_out(lacking)
            if stop.since is None:
                return
            self.waited_for = running if self.waited_for is None else self.waited_for & running
            if not self.waited_for or stop.overdue:
                raise Leave

        def __getstate__(self) -> dict[str, Any]:
            # Tune writes its callbacks to disk; this one has nothing to restore.
            return {}

        def __reduce__(self) -> Any:
            return Callback, ()

    return Listener()


def _lacking(needed: Mapping[str, float]) -> list[str]:
    """Of what a batch needs, what all nodes together have too little of just now."""
    import ray

    free = ray.available_resources()
    return [name for name, amount in needed.items() if free.get(name, 0.0) < amount]


def _noted(trial: Any) -> str:
    """What Tune noted of a trial of its own that broke, in a file of this machine."""
    file = Path(trial.error_file) if trial.error_file else None
    return file.read_text(errors="replace") if file is not None and file.exists() else ""


def shared(data: dict[str, Any]) -> dict[str, Any]:
    """References to the datasets in Ray's object store, from where each node fetches them once; empties `data`."""
    import ray
    from ray.exceptions import RayError

    refs: dict[str, Any] = {}
    for dataset_id in list(data):
        name = data[dataset_id].dataset
        try:
            refs[dataset_id] = ray.put(data.pop(dataset_id))
        except (RayError, OSError) as error:
            said = " ".join(str(error).split())[:200]
            raise BadInput(
                f"Ray's object store on this node has no room for dataset {name} ({type(error).__name__}: {said}); "
                "start Ray with a larger --object-store-memory, or make room on its disk."
            ) from None
    return refs
