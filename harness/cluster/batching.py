"""Which trials share a worker slot: scheduling a trial takes as long as running a cheap one, so these go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.cluster.resources import Share
from harness.trial import Trial

MOST = 32
"""At most so many trials in a batch: progress stays visible, and a lost worker costs little."""


@dataclass(frozen=True)
class Batch:
    """Trials that run one after the other in one worker, and what that worker is given."""

    trials: tuple[Trial, ...]
    share: Share


def batches(trials: Sequence[Trial], slots: int, share: Callable[[Trial], Share], most: int = MOST) -> list[Batch]:
    """Costly trials alone and last; cheap ones in batches of one dataset, small enough to keep every slot busy."""
    costly = [Batch((trial,), share(trial)) for trial in trials if not trial.method.cheap]
    cheap: dict[tuple[str, Share], list[Trial]] = {}
    for trial in trials:
        if trial.method.cheap:
            cheap.setdefault((trial.dataset_id, share(trial)), []).append(trial)
    size = max(1, min(most, -(-sum(map(len, cheap.values())) // max(1, 2 * slots))))
    grouped = [
        Batch(tuple(group[i : i + size]), key[1]) for key, group in cheap.items() for i in range(0, len(group), size)
    ]
    # Cheap batches first: every fold's controls are there within seconds, and what can go wrong shows early.
    return grouped + costly
