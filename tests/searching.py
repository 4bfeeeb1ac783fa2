"""Searches for tests: spaces of a toy method, and a study run without Ray, one configuration after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna

from harness.pair import PairedSample
from harness.protocol import KFold, Prepared, Protocol, prepare
from harness.search import TPE, Choice, Float, Int, Nested, Search, Space
from harness.search.judging import Judge
from harness.search.knowledge import Ask, Knowledge
from harness.search.question import Topic
from harness.search.study import Running, Study
from harness.store import Store
from harness.trial import run_trial
from tests.toys import Even, Peaked, Tunable

FLAT = {"shape.place": Float(0.0, 1.0), "shape.width": Float(0.05, 0.5), "shift": Int(0, 3)}
SHAPES = Choice(
    [
        Space(Even(), {"power": Float(0.0, 2.0)}),
        Space(Peaked(), {"place": Float(0.0, 1.0), "width": Float(0.05, 1.0)}),
    ]
)
"""Even, or peaked; a peak that is wide and at the edge is no method."""


def flat(**base: Any) -> Space:
    """A space without options."""
    return Space(Tunable(Peaked(), **base), FLAT)


def nested(**base: Any) -> Space:
    """A space with options that have fields of their own."""
    return Space(Tunable(**base), {"shape": SHAPES, "shift": Int(0, 3)})


def asked(space: Space, **changes: Any) -> Search:
    """A nested search of two folds with two inner ones, on the tiny pair."""
    given: dict[str, Any] = {"sampler": TPE(startup=3), "split": KFold(2), "selection": Nested(KFold(2)), "seeds": (1,)}
    return Search("searched", {"toy": space}, **{"datasets": ["tiny"]} | given | changes)


class Driver:
    """One driver of one study of a search on a pair."""

    def __init__(
        self,
        search: Search,
        budget: int,
        store: Store,
        pair: PairedSample,
        storage: optuna.storages.BaseStorage | None = None,
        too_large: Callable[[Any], float | None] = lambda method: None,
        fold: int | None = 0,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        topic = Topic("toy", "tiny" if fold is not None else "", fold)
        ids = {pair.name: pair.id}
        study = search.study_id(topic, ids)
        seed, start = search.seed_of(topic), store.start(study)
        storage = storage or optuna.storages.InMemoryStorage()
        knowledge = Knowledge(study, search, search.spaces["toy"], seed, start, storage, too_large)
        self.data: Prepared = prepare(pair, Protocol())
        self.store = store
        self.study = Study(topic, search, store, ids, budget, knowledge, Judge(search, store, ()))
        self._optuna = optuna.create_study(
            storage=storage, study_name=study, sampler=knowledge.sampler(), load_if_exists=True
        )

    @property
    def ask(self) -> Ask:
        """As Tune's `OptunaSearch` asks."""
        return lambda: self.study.knowledge.draw(self._optuna.ask())

    def next(self) -> Running | None:
        """What is to run next."""
        return self.study.next(self.ask)

    def run(self, running: Running, parts: int | None = None) -> None:
        """Compute what is missing of it, or only its first parts, as a worker does, and end it."""
        for trial in running.parts[:parts]:
            if not self.store.has(trial.id):
                self.store.put(run_trial(trial, self.data))
        self.study.ended(running)

    def to_the_end(self) -> Study:
        """Run until there is nothing to run."""
        while (running := self.next()) is not None:
            self.run(running)
        return self.study
