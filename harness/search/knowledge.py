"""What a sampler knows of a study: Optuna's own, told of every configuration and outcome that the store has."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import BadInput
from harness.search.question import Search
from harness.search.space import Infeasible, Space
from harness.store.searches import Configuration, Outcome

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

PATIENCE = 10
"""Draws in a row that are no method, or too large, after which one is drawn at random among those that are."""

HOPELESS = 1000
"""Random draws after which a space is given up: hardly anything in it can be computed here."""

ABANDONED = 60.0
"""Seconds after which a suggestion that was never written down is its killed driver's."""

TOLD = {"finished": "COMPLETE", "stopped": "PRUNED", "failed": "FAIL"}
"""Optuna's words for what became of a configuration."""

Ask = Callable[[], None]
"""Makes Optuna's next trial, and has it draw (see `Knowledge.draw`)."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What one draw of a space gave: a method, or why there is none.

    asked_as: its number in the Optuna study. seen: how many configurations with an outcome that study had.
    """

    asked_as: int
    seen: int
    params: dict[str, Any]
    distributions: dict[str, str]
    method: Any
    origin: str
    reason: str = ""


class Knowledge:
    """The Optuna study of one study, as one driver uses it.

    seed: of its sampler. start: how many times the study was started before. storage: shared with other drivers, or of
    this process alone.
    too_large: of a method, by how much its memory exceeds what there is (<= 0 if it fits; None if nobody knows).
    """

    def __init__(
        self,
        study: str,
        search: Search,
        space: Space,
        seed: int,
        start: int,
        storage: BaseStorage,
        too_large: Callable[[Any], float | None],
    ) -> None:
        import optuna

        self.study, self.search, self.space, self.storage = study, search, space, storage
        self.seed, self.start, self.too_large = seed, start, too_large
        self.infeasible = 0
        self._drawn: Drawn | None = None
        self._asked_as: dict[int, int] = {}
        self._optuna = optuna.create_study(
            storage=storage,
            study_name=study,
            sampler=self.sampler(),
            directions=["maximize" if o.higher_is_better else "minimize" for o in search.objectives],
            load_if_exists=True,
        )

    @property
    def alone(self) -> bool:
        """Whether no other driver can suggest for the study meanwhile."""
        from optuna.storages import InMemoryStorage

        return isinstance(self.storage, InMemoryStorage)

    def sampler(self) -> BaseSampler:
        """The sampler of this start: the first draws what plain Optuna draws from that seed; each later one anew.

        The same stream again would suggest again what was suggested before.
        """
        seed = np.random.SeedSequence((self.seed, self.start)).generate_state(1)[0] if self.start else self.seed
        return self.search.sampler.optuna(int(seed))

    # -- asking ---------------------------------------------------------------------------------------------------

    def draw(self, trial: Any) -> None:
        """Draw by an Optuna trial; `suggest` takes what came of it. Each that can be known is told what it takes."""
        from optuna.distributions import distribution_to_json

        method, reason = None, ""
        try:
            method = self.space.draw(trial)
            excess = self.too_large(method)
            if excess is not None:
                trial.set_constraint("memory", excess)
            if excess is not None and excess > 0:
                reason = f"it takes {1 + excess:.1f} times the memory that there is"
        except Infeasible as why:
            trial.set_constraint("parts", 1.0)
            reason = str(why)
        described = {name: distribution_to_json(each) for name, each in trial.distributions.items()}
        origin = trial.user_attrs.get("origin", "sampler")
        self._drawn = Drawn(trial.number, self._seen(), dict(trial.params), described, method, origin, reason)

    def placed(self, method: Any, origin: str) -> Drawn:
        """A method of the space as if it had been drawn."""
        import optuna
        from optuna.distributions import distribution_to_json

        trial = optuna.trial.FixedTrial(self.space.place(method))
        self.space.draw(trial)
        described = {name: distribution_to_json(each) for name, each in trial.distributions.items()}
        return Drawn(-1, self._seen(), dict(trial.params), described, method, origin)

    def _seen(self) -> int:
        known = set(self._asked_as.values())
        return sum(t.number in known and t.state.is_finished() for t in self._optuna.get_trials(deepcopy=False))

    def suggest(self, ask: Ask) -> Drawn:
        """The next draw that is a method and fits; `BadInput` where hardly anything does."""
        while True:
            ask()
            assert self._drawn is not None
            if not self._drawn.reason:
                return self._drawn
            self.infeasible += 1
            self._tell(self._drawn.asked_as, "PRUNED")
            if self.infeasible % PATIENCE == 0:
                self._enqueue_random()

    def _enqueue_random(self) -> None:
        import optuna

        sampler = optuna.samplers.RandomSampler(seed=self.seed + self.infeasible)
        scratch = optuna.create_study(sampler=sampler)
        reason = ""
        for _ in range(HOPELESS):
            trial = scratch.ask()
            self.draw(trial)
            assert self._drawn is not None
            reason = self._drawn.reason
            if not reason:
                self._optuna.enqueue_trial(trial.params, user_attrs={"origin": "random"})
                return
        raise BadInput(
            f"{self.search.name}: hardly a configuration of the space of {type(self.space.base).__name__} can be "
            f"computed here ({reason}); narrow it, or give each trial more memory."
        )

    # -- telling --------------------------------------------------------------------------------------------------

    def suggested(self, configuration: Configuration) -> None:
        """A draw has become that configuration."""
        self.infeasible = 0
        self._asked_as[configuration.number] = configuration.asked_as

    def not_needed(self, drawn: Drawn) -> None:
        """A draw has become none."""
        self._tell(drawn.asked_as, "FAIL")

    def knows(self, configuration: Configuration) -> bool:
        """Whether the sampler knows of a configuration."""
        return configuration.number in self._asked_as

    def learn(self, configuration: Configuration) -> None:
        """Tell the sampler of a configuration that somebody else suggested, or an earlier start."""
        known = {trial.number: trial for trial in self._optuna.get_trials(deepcopy=False)}.get(configuration.asked_as)
        if known is not None and known.params == configuration.params:
            self._asked_as[configuration.number] = configuration.asked_as
        else:
            self._asked_as[configuration.number] = self._add(configuration)

    def tell(self, number: int, outcome: Outcome) -> None:
        """Tell the sampler what became of a configuration; nothing happens if it knows."""
        finished = outcome.state == "finished"
        values = [outcome.values[name] for name in self.search.metric] if finished else None
        self._tell(self._asked_as[number], TOLD[outcome.state], values)

    def _tell(self, asked_as: int, state: str, values: list[float] | None = None) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError):  # another driver has told it this moment
            self._optuna.tell(asked_as, values, TrialState[state], skip_if_finished=True)

    def _add(self, configuration: Configuration) -> int:
        """Make a trial of it; returns the number that it has."""
        from optuna.distributions import json_to_distribution
        from optuna.trial import TrialState, create_trial

        mark = f"{self.study}/{configuration.number}"
        self._optuna.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=configuration.params,
                distributions={n: json_to_distribution(d) for n, d in configuration.distributions.items()},
                user_attrs={"configuration": mark},
            )
        )
        trials = self._optuna.get_trials(deepcopy=False)
        return max(trial.number for trial in trials if trial.user_attrs.get("configuration") == mark)

    def try_first(self) -> None:
        """Have what the space names first drawn first, as far as it has not been."""
        for component in self.space.first:
            self._optuna.enqueue_trial(self.space.place(component), {"origin": "first"}, skip_if_exists=True)

    def forget_abandoned(self) -> None:
        """Suggestions of drivers that were killed before they wrote them down: no outcome of these will come."""
        known = set(self._asked_as.values())
        for trial in self._optuna.get_trials(deepcopy=False):
            started = trial.datetime_start.timestamp() if trial.datetime_start is not None else time.time()
            if trial.state.name == "RUNNING" and trial.number not in known and time.time() - started > ABANDONED:
                self._tell(trial.number, "FAIL")
