"""Trials through Ray, as tests and benchmarks run them, and waiting for what they cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from harness.cluster.connection import connected
from harness.cluster.progress import Progress
from harness.cluster.resources import Resources, Share
from harness.cluster.shares import shares
from harness.cluster.tuning import Work, execute
from harness.protocol import Prepared
from harness.store import Store
from harness.trial import Trial


def submitted(
    todo: Sequence[Trial],
    data: dict[str, Prepared],
    store: Store,
    share: Callable[[Trial, bool], Share] | None = None,
    show: bool = False,
    **asked: object,
) -> Progress:
    """Run these trials on the Ray that is connected, else on one as `asked` of `Resources`; what was told of them.

    data is empty afterwards: Ray holds it.
    """
    resources = Resources(**asked)  # type: ignore[arg-type]
    labels = {trial.id: type(trial.method).__name__ for trial in todo}
    with Progress(labels, labels, show=show) as progress, connected(resources) as there:
        given = share or shares(resources, {}, [], {})
        execute(Work(todo, data, store, resources, given), resources.slots(there.resources), progress)
    return progress


def until(holds: Callable[[], bool], within: float = 120.0) -> None:
    """Wait for it; an assertion fails if it does not come."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
