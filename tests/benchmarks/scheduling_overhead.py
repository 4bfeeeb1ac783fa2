"""What a trial of no work costs beyond itself: batched, unbatched, and as a bare Ray task, in turn on one Ray.

    python -m tests.benchmarks.scheduling_overhead [--trials 200] [--rounds 5]

Wall milliseconds per trial on warm workers, medians of the rounds. "tasks" runs the same trials as plain `ray.remote`
tasks on the same two workers, store included: what is left to Tune, claims and batching is the difference. "empty
tasks" do nothing at all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.cluster.connection import connected
from harness.cluster.resources import Resources
from harness.protocol import KFold, Prepared, Protocol, prepare
from harness.store import Store
from harness.trial import Trial, run_trial
from tests.conftest import tiny_pair
from tests.submitted import submitted
from tests.toys import Alone, VisibleMean


def main() -> None:
    """Print milliseconds per trial of each way, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    data = prepare(tiny_pair(), Protocol())
    spent: dict[str, list[float]] = {way: [] for way in ("batched", "unbatched", "tasks", "empty tasks")}
    with connected(Resources()), tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds + 1):  # the first warms up
            for way in spent:
                method = VisibleMean if way == "batched" else Alone
                todo = _trials(method, data, options.trials)
                seconds = _run(way, todo, data, Store(Path(folder) / f"{way}-{turn}"))
                if turn:
                    spent[way].append(1000 * seconds / options.trials)
    for way, values in spent.items():
        print(f"{way:12} {statistics.median(values):7.1f} ms per trial ({min(values):.1f} to {max(values):.1f})")


def _trials(method: type[VisibleMean], data: Prepared, n: int) -> list[Trial]:
    # A rate between 0 and 1 gives each its own id and costs the same.
    return [Trial(method(), "tiny", data.dataset_id, KFold(3), i % 3, 0, 1.0 - i / (4 * n)) for i in range(n)]


def _run(way: str, todo: Sequence[Trial], data: Prepared, store: Store) -> float:
    if way in ("batched", "unbatched"):
        return _through_tune(todo, data, store)
    return _as_tasks(todo, data, store, work=way == "tasks")


def _through_tune(todo: Sequence[Trial], data: Prepared, store: Store) -> float:
    start = time.perf_counter()
    submitted(todo, {data.dataset_id: data}, store)
    seconds = time.perf_counter() - start
    assert len(store.done()) == len(todo)
    return seconds


def _as_tasks(todo: Sequence[Trial], data: Prepared, store: Store, work: bool) -> float:
    import ray

    @ray.remote
    def one(trial: Trial, prepared: Prepared) -> None:
        if work:
            store.put(run_trial(trial, prepared))

    ref = ray.put(data)
    start = time.perf_counter()
    ray.get([one.remote(trial, ref) for trial in todo])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
