"""One study: what was suggested, what came of it, and what is to run next.

The store is the state (`harness.store.searches`); the sampler's knowledge is made of it on start, so that a search that
was killed goes on where it was, and neither repeats nor loses what had finished.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.search.earlier import earlier
from harness.search.judging import Judge
from harness.search.knowledge import Ask, Drawn, Knowledge
from harness.search.question import Search, Topic
from harness.store import Store
from harness.store.searches import Configuration, Outcome
from harness.trial import Trial
from models.component import canonical
from models.method import Method

AGAIN = 2.0
"""Seconds before a configuration is looked at again whose parts another driver computes."""

TAKEN_IN = 5.0
"""Seconds between two looks at what other drivers have written."""


@dataclass(eq=False)
class Running:
    """A configuration without an outcome. stopped: whether it is to end early; not_before: when to look at it."""

    study: Study
    configuration: Configuration
    method: Method
    parts: Sequence[Trial]
    stopped: bool = False
    not_before: float = 0.0


class Study:
    """One study of a search, as one driver works on it.

    ids: dataset -> content id. budget: how many configurations it has in all.
    """

    def __init__(
        self,
        topic: Topic,
        search: Search,
        store: Store,
        ids: Mapping[str, str],
        budget: int,
        knowledge: Knowledge,
        judge: Judge,
    ) -> None:
        self.topic, self.search, self.store, self.ids, self.budget = topic, search, store, ids, budget
        self.id, self.knowledge, self.judge = knowledge.study, knowledge, judge
        self.configurations: dict[int, Configuration] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.running: dict[int, Running] = {}
        self._waiting: deque[Running] = deque()
        store.put_study(self.id, self._about())
        self._take_in()
        if search.earlier and not self.configurations:
            self._start_from(earlier(store, knowledge.space, self._parts(search.base(topic.label))))
        knowledge.forget_abandoned()
        if len(self.configurations) < budget:
            knowledge.try_first()

    @property
    def finished(self) -> bool:
        """Whether as many configurations as were asked for have an outcome."""
        return len(self.configurations) >= self.budget and self.outcomes.keys() >= self.configurations.keys()

    def next(self, ask: Ask) -> Running | None:
        """What to run now: a configuration that has no outcome yet, or a new one; None if there is nothing just now."""
        if not self.knowledge.alone and time.monotonic() - self._taken_in > TAKEN_IN:
            self._take_in()
        found = self._unfinished()
        while found is None and len(self.configurations) < self.budget:
            found = self._suggested(ask)
        return found

    def ended(self, running: Running) -> None:
        """A configuration does not run any more; if it has no outcome, it waits to be run again."""
        del self.running[running.configuration.number]
        if not self._settled(running):
            running.not_before = time.monotonic() + AGAIN
            self._waiting.append(running)

    def method(self, configuration: Configuration) -> Method:
        """The method of a configuration."""
        import optuna

        method: Method = self.knowledge.space.draw(optuna.trial.FixedTrial(configuration.params))
        return method

    # -- what to run ----------------------------------------------------------------------------------------------

    def _unfinished(self) -> Running | None:
        for _ in range(len(self._waiting)):
            running = self._waiting.popleft()
            if running.configuration.number in self.outcomes:
                continue
            if running.not_before > time.monotonic() or self._has_twin(running):
                self._waiting.append(running)
            elif not self._settled(running):
                return self._started(running)
        return None

    def _suggested(self, ask: Ask) -> Running | None:
        """A new configuration to run; None where what was suggested has an outcome at once, or has to wait."""
        drawn = self.knowledge.suggest(ask)
        for number in range(len(self.configurations), self.budget):
            configuration = self._configuration(number, drawn)
            if self.store.put_configuration(configuration):
                return self._new(Running(self, configuration, drawn.method, self._parts(drawn.method)))
        self.knowledge.not_needed(drawn)  # other drivers have had the last
        self._take_in()
        return None

    def _configuration(self, number: int, drawn: Drawn) -> Configuration:
        return Configuration(
            study=self.id,
            number=number,
            params=drawn.params,
            distributions=drawn.distributions,
            component=canonical(drawn.method),
            trials=tuple(trial.id for trial in self._parts(drawn.method)),
            seen=drawn.seen,
            origin=drawn.origin,
            asked_as=drawn.asked_as,
            infeasible=self.knowledge.infeasible,
        )

    def _parts(self, method: Method) -> list[Trial]:
        return self.search.parts(self.topic, method, self.ids)

    def _start_from(self, methods: Sequence[Method]) -> None:
        for number, method in enumerate(methods[: self.budget]):
            self.store.put_configuration(self._configuration(number, self.knowledge.placed(method, "earlier")))
        self._take_in()

    def _new(self, running: Running) -> Running | None:
        self.configurations[running.configuration.number] = running.configuration
        self.knowledge.suggested(running.configuration)
        if self._settled(running):  # all its parts are in the store
            return None
        if self._has_twin(running):
            self._waiting.append(running)
            return None
        return self._started(running)

    def _started(self, running: Running) -> Running:
        self.running[running.configuration.number] = running
        return running

    def _has_twin(self, running: Running) -> bool:
        """Whether the same configuration is running already: its parts would be computed twice."""
        return any(other.configuration.trials == running.configuration.trials for other in self.running.values())

    # -- outcomes -------------------------------------------------------------------------------------------------

    def _settled(self, running: Running) -> bool:
        """Whether it has an outcome, which is then told to whom it concerns."""
        configuration = running.configuration
        outcome = self.judge.outcome(configuration, running.stopped) or self._of_twin(configuration)
        if outcome is None:
            return False
        if outcome.state != "failed" or not self.judge.may_yet_finish(configuration):
            self.store.put_outcome(self.id, configuration.number, outcome)
        self.outcomes[configuration.number] = outcome
        self.knowledge.tell(configuration.number, outcome)
        return True

    def _of_twin(self, configuration: Configuration) -> Outcome | None:
        """What the same configuration came to before: one that was stopped is not tried again."""
        twins = (n for n, each in self.configurations.items() if each.trials == configuration.trials)
        return next((self.outcomes[n] for n in twins if n in self.outcomes), None)

    def _take_in(self) -> None:
        """Take in what the store has: of earlier starts, and of other drivers."""
        self._taken_in = time.monotonic()
        self.configurations = self.store.configurations(self.id, self.configurations)
        told = set(self.outcomes)
        self.outcomes = self.store.outcomes(self.id, self.outcomes)
        for number, configuration in self.configurations.items():
            if not self.knowledge.knows(configuration):
                self.knowledge.learn(configuration)
                if number not in self.outcomes:
                    self._resume(configuration)
            if number in self.outcomes and number not in told:
                self.knowledge.tell(number, self.outcomes[number])

    def _resume(self, configuration: Configuration) -> None:
        method = self.method(configuration)
        self.judge.forget_failures(configuration, method)
        self._waiting.append(Running(self, configuration, method, self._parts(method)))

    def _about(self) -> dict[str, Any]:
        search, topic = self.search, self.topic
        datasets = {name: self.ids[name] for name in ([topic.dataset] if topic.dataset else search.needed)}
        return {
            "search": search.name,
            "label": topic.label,
            "dataset": topic.dataset,
            "fold": topic.fold,
            "datasets": datasets,
            "space": self.knowledge.space.described(),
            **search.described(),
        }
