"""What a configuration came to: from the records of its parts to an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.record import Record
from harness.search.objectives import pooled, seconds
from harness.search.question import Search
from harness.store import Store
from harness.store.searches import Configuration, Outcome
from harness.trial import Trial
from models.component import code_hash
from models.method import Method

SETTLED = ("method", "skipped")
"""Causes for which a part fails again however often it runs, as long as its code is the same."""


class Judge:
    """Judges the configurations of one study. controls: for objectives that need them, each control's trials on the
    parts that every configuration has, all finished.
    """

    def __init__(self, search: Search, store: Store, controls: Sequence[Sequence[Trial]]) -> None:
        self.search, self.store = search, store
        self._field = [[store.record(trial.id) for trial in each] for each in controls]

    def outcome(self, configuration: Configuration, stopped: bool) -> Outcome | None:
        """What it came to; None where parts are missing and it was not stopped."""
        ids = configuration.trials
        records = self.records(ids)
        whole = len(records) == len(ids)
        failed = [] if whole else self.store.unfinished(ids)
        if not (failed or stopped or whole):
            return None
        facts: dict[str, Any] = {
            "parts": len(records),
            "seconds": sum(map(seconds, records)),
            "memory": max((r.peak_memory_mib or 0.0 for r in records), default=0.0),
        }
        if failed:
            return Outcome("failed", reason=failed[0].reason, **facts)
        values = self._values(records)
        if values is None:
            return Outcome("failed", reason="no gene of its parts could be scored", **facts)
        means = {name: value for name, value in pooled(records).items() if np.isfinite(value)}
        return Outcome("finished" if whole else "stopped", values, metrics=means, **facts)

    def records(self, ids: Sequence[str]) -> list[Record]:
        """Records of the parts up to the first that has none: what configurations have so far is then of the same."""
        found = []
        for trial_id in ids:
            if not self.store.has(trial_id):
                break
            found.append(self.store.record(trial_id))
        return found

    def rungs(self, configuration: Configuration) -> list[tuple[int, float]]:
        """(parts, first objective over them), after each part that has finished."""
        records = self.records(configuration.trials)
        each = [(n, self._values(records[:n])) for n in range(1, len(records) + 1)]
        return [(n, values[self.search.metric[0]]) for n, values in each if values is not None]

    def may_yet_finish(self, configuration: Configuration) -> bool:
        """Whether what failed was not the method, so that it is tried once more when the search is run again."""
        return any(record.cause not in SETTLED for record in self.store.unfinished(configuration.trials))

    def forget_failures(self, configuration: Configuration, method: Method) -> None:
        """Parts that failed in an earlier run for no reason of the method, or by other code of it, are run again."""
        self.store.forget_unfinished(
            record.trial_id
            for record in self.store.unfinished(configuration.trials)
            if record.cause not in SETTLED or record.code != code_hash(method)
        )

    def _values(self, records: Sequence[Record]) -> dict[str, float] | None:
        """Each objective over these parts; None where one has no value."""
        field = [each[: len(records)] for each in self._field]
        values = {objective.name: objective.of(records, field) for objective in self.search.objectives}
        return values if values and all(np.isfinite(value) for value in values.values()) else None
