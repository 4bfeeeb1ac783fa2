"""Ray Tune's side of a search: a searcher that hands out the configurations of all studies, and halving for each.

All studies of a search share one Tune run, so that a nested search keeps a cluster as busy as any grid. Each has its
own `OptunaSearch`; the next suggestion is of the study that has the fewest running.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from harness.cluster.tune_run import Handed
from harness.search.samplers import Halving
from harness.search.study import Running, Study


class Ticket:
    """What a worker is given, as Tune may copy and print it: as one thing, and short."""

    def __init__(self, handed: Handed, name: str) -> None:
        self.handed, self.name = handed, name

    def __deepcopy__(self, memo: Any) -> Ticket:
        return self

    def __repr__(self) -> str:
        return self.name


def handed(config: Mapping[str, Any]) -> Handed:
    """What the worker of a configuration is given."""
    found: Handed = config["ticket"].handed
    return found


class Conductor(Searcher):
    """Suggests for all studies. hand: a running configuration -> what its worker is given. slots: how many at once."""

    def __init__(self, studies: Sequence[Study], slots: int, hand: Callable[[Running], Handed]) -> None:
        super().__init__(metric="value", mode="max")
        self.studies, self.slots, self.hand = studies, slots, hand
        self.running: dict[str, Running] = {}
        self.handed_out: dict[str, Running] = {}
        self._asking = {study.id: _Asking(study) for study in studies}

    def suggest(self, trial_id: str) -> Any:
        """The next configuration; None if there is none just now, `FINISHED` if there will be none."""
        if len(self.running) >= self.slots:
            return None
        for study in sorted(self.studies, key=lambda each: len(each.running)):
            running = study.next(self._asking[study.id].ask)
            if running is not None:
                self.running[trial_id] = self.handed_out[trial_id] = running
                name = f"{study.id}-{running.configuration.number}"
                return {"trial": trial_id, "ticket": Ticket(self.hand(running), name)}
        return Searcher.FINISHED if all(study.finished for study in self.studies) else None

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Nothing to set: every study has its own."""
        return True

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Values are read from the store when a configuration ends."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A worker has ended with a configuration, or was lost."""
        running = self.running.pop(trial_id)
        running.study.ended(running)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the store is the state."""

    def __reduce__(self) -> Any:
        return Searcher, ()  # Tune writes its searcher to disk; this one has nothing to restore


class _Asking:
    """Asks Optuna for a study's next trial, through Tune's `OptunaSearch`."""

    def __init__(self, study: Study) -> None:
        self._count = 0
        several = len(study.search.metric) > 1
        directions = ["max" if o.higher_is_better else "min" for o in study.search.objectives]
        self._search = OptunaSearch(
            space=study.knowledge.draw,
            metric=list(study.search.metric) if several else study.search.metric[0],
            mode=directions if several else directions[0],
            sampler=study.knowledge.sampler(),
            storage=study.knowledge.storage,
            study_name=study.id,
        )

    def ask(self) -> None:
        """Have the study draw by a new Optuna trial."""
        self._count += 1
        with warnings.catch_warnings():  # of a first draw that takes a second, since it imports torch
            warnings.filterwarnings("ignore", message="Define-by-run function passed")
            self._search.suggest(str(self._count))


class Halved(FIFOScheduler):
    """Ray Tune's asynchronous successive halving, one for each study: scores of different studies do not compare."""

    def __init__(self, halving: Halving, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self._of: dict[str, AsyncHyperBandScheduler] = {}
        self._halving = halving

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop a configuration that has less than its share of the best at a rung."""
        if not any("status" in message for message in result.get("messages", ())):
            return str(self.CONTINUE)
        running = self._conductor.running[trial.trial_id]
        decision = self._decide(running)
        running.stopped = decision == self.STOP
        return decision

    def __reduce__(self) -> Any:
        return FIFOScheduler, ()

    def _decide(self, running: Running) -> str:
        rungs = running.study.judge.rungs(running.configuration)
        if not rungs or rungs[-1][0] >= len(running.parts):
            return str(self.CONTINUE)
        scheduler = self._scheduler(running.study, len(running.parts))
        return _judged(scheduler, running.configuration.number, *rungs[-1])

    def _scheduler(self, study: Study, parts: int) -> AsyncHyperBandScheduler:
        """The study's own, which knows what earlier drivers saw."""
        if study.id not in self._of:
            metric = study.search.objectives[0]
            made = AsyncHyperBandScheduler(
                time_attr="parts",
                metric="value",
                mode="max" if metric.higher_is_better else "min",
                max_t=parts,
                grace_period=min(self._halving.grace, parts),
                reduction_factor=self._halving.reduction,
            )
            self._of[study.id] = made
            for number in study.outcomes:
                for done, value in study.judge.rungs(study.configurations[number]):
                    _judged(made, number, done, value)
        return self._of[study.id]


class _Named:
    """A configuration as a scheduler knows it."""

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)


def _judged(scheduler: AsyncHyperBandScheduler, number: int, parts: int, value: float) -> str:
    trial: Any = _Named(number)
    nobody: Any = None  # it does not look at who runs the trial
    scheduler.on_trial_add(nobody, trial)  # as often as one likes: it has one bracket
    return str(scheduler.on_trial_result(nobody, trial, {"parts": parts, "value": value}))
