"""Ray Tune as the executor: which batches run, where, and what to do about those whose worker is lost.

Tune schedules; it is not the database. `Tuner.restore` is not used: what is missing in the store is submitted anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.cluster.batching import batches
from harness.cluster.progress import Progress
from harness.cluster.resources import Resources
from harness.cluster.worker import summary, work
from harness.protocol import Prepared
from harness.store import Store
from harness.trial import Setting, Trial, lost
from models.component import code_hash

ATTEMPTS = 2
"""A trial whose worker is lost is tried once more, alone; then it is recorded as failed and the rest goes on."""


@dataclass
class Work:
    """Everything a submission needs to run its trials; data: dataset id -> prepared pair."""

    trials: Sequence[Trial]
    data: Mapping[str, Prepared]
    store: Store
    resources: Resources
    keep: frozenset[str] = frozenset()
    git: Mapping[str, Any] = field(default_factory=dict)


def execute(todo: Work, slots: int, progress: Progress) -> None:
    """Run the trials through Ray Tune; every one ends with a record in the store, whatever happens to workers.

    Needs a connected Ray with room for `slots` batches at once (`connection.connected`, `Resources.slots`).
    """
    progress.started(slots)
    _forget_unfinished(todo)
    remaining, errors = list(todo.trials), {}
    for attempt in range(1, ATTEMPTS + 1):
        groups = batches(remaining, slots) if attempt == 1 else [[trial] for trial in remaining]
        errors = _round(todo, groups, attempt, progress)
        settled = todo.store.done() | todo.store.unfinished_ids()
        remaining = [trial for trial in remaining if trial.id not in settled]
        if not remaining:
            return
    for trial in remaining:
        reason = errors.get(trial.id, "its worker was lost")
        record = lost(trial, f"{reason} ({ATTEMPTS} attempts)", _setting(todo, ATTEMPTS))
        todo.store.files.write(f"unfinished/{trial.id}.json", record.to_json())
        progress.told(summary(record))


def _round(todo: Work, groups: list[list[Trial]], attempt: int, progress: Progress) -> dict[str, str]:
    """One Tune run over batches of trials; returns, for the trials of broken batches, what Ray said."""
    import ray
    from ray import tune

    _ship_by_value(todo.trials)
    needed = {trial.dataset_id for group in groups for trial in group}
    refs = {dataset_id: ray.put(data) for dataset_id, data in todo.data.items() if dataset_id in needed}
    codes = {trial.variant_id: code_hash(trial.method) for group in groups for trial in group}
    setting = _setting(todo, attempt)

    def trainable(config: dict[str, Any], groups: Any, refs: Any) -> None:
        work(
            groups[config["batch"]],
            codes,
            lambda dataset_id: ray.get(refs[dataset_id]),
            todo_store,
            setting,
            keep,
            lambda message: tune.report(message),
        )

    todo_store, keep = todo.store, todo.keep
    asked = {"cpu": todo.resources.cpus_per_trial, "gpu": todo.resources.gpus_per_trial}
    # What Tune keeps of a run is of no use afterwards. On a cluster it has to lie where every node sees it.
    beside = None if todo.resources.address is None else todo.store.files.root
    with tempfile.TemporaryDirectory(prefix=".spadit-tune-", dir=beside, ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, groups=groups, refs=refs), asked),
            param_space={"batch": tune.grid_search(list(range(len(groups))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=todo.resources.max_concurrent, reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=scratch,
                name="run",
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[progress.callback()],
            ),
        )
        results = tuner.fit()
        broken: dict[str, str] = {}
        for result in (results[i] for i in range(len(results))):
            if result.error is not None:
                reason = _first_line(result.error)
                broken |= {trial.id: reason for trial in groups[(result.config or {})["batch"]]}
        return broken


def _setting(todo: Work, attempt: int) -> Setting:
    return Setting(
        todo.resources.device, todo.resources.threads, todo.resources.timeout, dict(todo.git), attempt=attempt
    )


def _forget_unfinished(todo: Work) -> None:
    # From here on, an unfinished record of these trials is one of this submission.
    there = todo.store.unfinished_ids()
    for trial in todo.trials:
        if trial.id in there:
            todo.store.files.delete(f"unfinished/{trial.id}.json")


def _ship_by_value(trials: Sequence[Trial]) -> None:
    """Workers cannot import a user's driver file; its classes travel by value."""
    import sys

    from ray import cloudpickle

    for name in {type(trial.method).__module__ for trial in trials}:
        if name.startswith("driver_"):
            cloudpickle.register_pickle_by_value(sys.modules[name])


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"[:300]
