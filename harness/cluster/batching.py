"""Which trials share a worker slot: scheduling a trial takes as long as running a cheap one, so these go together."""

from __future__ import annotations

from collections.abc import Sequence

from harness.trial import Trial

MOST = 32
"""At most so many trials in a batch: progress stays visible, and a lost worker costs little."""


def batches(trials: Sequence[Trial], slots: int, most: int = MOST) -> list[list[Trial]]:
    """Costly trials alone and first; cheap ones in batches of one dataset, small enough to keep every slot busy."""
    costly = [[trial] for trial in trials if not trial.method.cheap]
    cheap: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.method.cheap:
            cheap.setdefault(trial.dataset_id, []).append(trial)
    size = max(1, min(most, -(-sum(map(len, cheap.values())) // max(1, 2 * slots))))
    grouped = [group[i : i + size] for group in cheap.values() for i in range(0, len(group), size)]
    # Cheap batches first: every fold's controls are there within seconds, and what can go wrong shows early.
    return grouped + costly
