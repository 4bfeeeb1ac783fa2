"""What is left to run of a submission, and what became of every attempt. No Ray here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.record import Cause
from harness.trial import Trial

ATTEMPTS: Mapping[Cause, int] = {"infrastructure": 3, "memory": 2}
"""How often a trial is tried in all, by why it was lost: what is too large twice, is too large."""


class Ledger:
    """Trials that have no record yet, in the order in which they are to run.

    earlier: trial id -> {cause, reason} of each attempt that was lost.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self.pending = {trial.id: trial for trial in trials}
        self.earlier: dict[str, list[dict[str, str]]] = {}

    def add(self, trials: Iterable[Trial]) -> None:
        """These are to be run as well."""
        self.pending |= {trial.id: trial for trial in trials}

    def settle(self, trial_ids: Iterable[str]) -> list[str]:
        """These have a record in the store; returns those that had none before."""
        return [trial_id for trial_id in trial_ids if self.pending.pop(trial_id, None) is not None]

    def lose(self, trial_ids: Iterable[str], cause: Cause, reason: str) -> None:
        """An attempt at each of these has ended without a record."""
        for trial_id in trial_ids:
            if trial_id in self.pending:
                self.earlier.setdefault(trial_id, []).append({"cause": cause, "reason": reason})

    def enlarged(self, trial_id: str) -> bool:
        """Whether a trial ran out of memory before, and needs more than another of its kind."""
        return any(attempt["cause"] == "memory" for attempt in self.earlier.get(trial_id, ()))

    def given_up(self) -> list[Trial]:
        """Trials that are not tried again."""
        return [trial for trial in self.pending.values() if self._spent(self.earlier.get(trial.id, ()))]

    def _spent(self, attempts: Sequence[Mapping[str, str]]) -> bool:
        return any(sum(a["cause"] == cause for a in attempts) >= limit for cause, limit in ATTEMPTS.items())

    def to_run(self, held: Iterable[str] = ()) -> tuple[list[Trial], list[Trial]]:
        """What is to run now, and what of it alone: those that were lost before may have been the reason.

        held: trials that another driver is computing; they wait.
        """
        others = set(held)
        free = [trial for trial in self.pending.values() if trial.id not in others]
        alone = [trial for trial in free if trial.id in self.earlier]
        return [trial for trial in free if trial.id not in self.earlier], alone
