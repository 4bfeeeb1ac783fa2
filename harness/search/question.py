"""A search: one question as a value - which method of each space is best - and by which genes that may be decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from harness.errors import BadInput
from harness.experiment import Experiment, Variant
from harness.metrics import metrics
from harness.protocol import HeldOutGenes, KFold, Protocol, Split, Task, Within
from harness.search.objectives import COSTS, Objective, objective
from harness.search.samplers import TPE, Halving, Sampler
from harness.search.space import Space
from harness.trial import Trial
from models.component import Component, Json, canonical, nearest, short_hash
from models.method import Method

TUNED = "(tuned)"
"""What stands behind the label of a space in the row of its winners."""


@dataclass(frozen=True)
class Nested(Component):
    """One search inside each fold of each dataset, by an inner split of the genes that are visible in that fold.

    A winner is scored on its own fold's test genes, which its search has never seen (protocol section 3).
    """

    inner: KFold = field(default_factory=lambda: KFold(3))


@dataclass(frozen=True)
class Elsewhere(Component):
    """One search on other dataset pairs than those that are scored, by all folds of the split there."""

    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """What one study of a search is about: a space, and for a nested search the dataset and fold it is inside of."""

    label: str
    dataset: str = ""
    fold: int | None = None

    @property
    def said(self) -> str:
        """In words."""
        return self.label if self.fold is None else f"{self.label} · {self.dataset} · fold {self.fold}"


@dataclass(frozen=True)
class Search:
    """Spaces (label -> space), and how the best of each is found and scored.

    datasets: where winners are scored, by `split`, with `seeds`; the search itself uses `tuning_seeds`, and none of
    these may be among those. selection: which genes decide (`Nested()` or `Elsewhere((name, ..))`). metric: what is
    made better, the first the one that decides; several give a Pareto front. beside: further rows of the final table.
    sampler, halving: how configurations are suggested, and whether poor ones end early. seed: of the sampler; that of
    fold k of a nested search is k more, so that folds do not all try the same.
    earlier: whether studies start from what the store has of their spaces already, which counts towards their budget.
    memory: GiB that a configuration may take by its own estimate; None: what the machine has for each.
    Every space is searched with the same budget. Raises `BadInput` for what would fool itself.
    """

    name: str
    spaces: Mapping[str, Space]
    datasets: Sequence[str]
    selection: Nested | Elsewhere = field(default_factory=Nested)
    split: Split = field(default_factory=KFold)
    seeds: Sequence[int] = (1, 2, 3)
    tuning_seeds: Sequence[int] = (0,)
    metric: Sequence[str] = ("pcc",)
    beside: Mapping[str, Variant] = field(default_factory=dict)
    task: Task = field(default_factory=HeldOutGenes)
    protocol: Protocol = field(default_factory=Protocol)
    sampler: Sampler = field(default_factory=TPE)
    halving: Halving | None = None
    seed: int = 0
    earlier: bool = False
    memory: float | None = None
    folds: Sequence[int] | None = None
    title: str = ""

    def __post_init__(self) -> None:
        for label, space in self.spaces.items():
            if not isinstance(space, Space) or not isinstance(space.base, Method):
                raise BadInput(f"Search {self.name}: {label!r} is no space of a method; give Space(Method(), ...).")
        # What an experiment refuses is refused here, before a search rather than after it.
        self.scored({label: self.base(label) for label in self.spaces})
        tuned = {f"{label} {TUNED}" for label in self.spaces}
        if both := sorted((tuned | set(self.spaces)) & set(self.beside)):
            raise BadInput(f"Search {self.name}: beside has {both[0]!r}, which is a row of its own; call it otherwise.")
        if shared := set(self.seeds) & set(self.tuning_seeds):
            raise BadInput(
                f"Search {self.name}: winners would be scored with seed {min(shared)}, with which they were chosen; "
                "keep seeds and tuning_seeds apart."
            )
        if not self.metric or len(set(self.metric)) < len(self.metric) or isinstance(self.metric, str):
            raise BadInput(f"Search {self.name}: metric is {self.metric!r}; give different names, e.g. ('pcc',).")
        if self.objectives[0].name in COSTS:
            raise BadInput(
                f"Search {self.name}: the cheapest configuration is not the best; name an accuracy before "
                f"{self.metric[0]!r}."
            )
        if self.halving is not None and len(self.metric) > 1:
            raise BadInput(f"Search {self.name}: halving compares one number, not {len(self.metric)}; name one metric.")
        self._check_selection()

    def _check_selection(self) -> None:
        if isinstance(self.selection, Elsewhere):
            if not self.selection.datasets:
                raise BadInput(f"Search {self.name}: Elsewhere(()) names no dataset to search on; name at least one.")
            if both := sorted(set(self.selection.datasets) & set(self.datasets)):
                raise BadInput(
                    f"Search {self.name}: {both[0]} would decide, and be scored as well; search on other datasets, or "
                    "use Nested()."
                )
        elif not isinstance(self.task, HeldOutGenes):
            raise BadInput(
                f"Search {self.name}: a nested search divides the visible genes, and {type(self.task).__name__} hides "
                "entries of all of them; use Elsewhere(...)."
            )

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better, in order."""
        return tuple(objective(name) for name in self.metric)

    @property
    def nested(self) -> bool:
        """Whether each fold has a search of its own."""
        return isinstance(self.selection, Nested)

    @property
    def needed(self) -> tuple[str, ...]:
        """Datasets that the search itself looks at."""
        return self.selection.datasets if isinstance(self.selection, Elsewhere) else tuple(self.datasets)

    def narrowed(self, datasets: Sequence[str] = (), spaces: Sequence[str] = (), folds: Sequence[int] = ()) -> Search:
        """The same question on part of its axes; `datasets` replaces the datasets that are scored."""
        for label in spaces:
            if label not in self.spaces:
                raise BadInput(f"Search {self.name} has no space {label!r}; {nearest(label, list(self.spaces))}")
        changes: dict[str, Any] = {}
        if datasets:
            changes["datasets"] = tuple(dict.fromkeys(datasets))
        if spaces:
            changes["spaces"] = {label: space for label, space in self.spaces.items() if label in spaces}
        if folds:
            changes["folds"] = tuple(dict.fromkeys(folds))
        return dataclasses.replace(self, **changes)

    def base(self, label: str) -> Method:
        """What a space starts from."""
        return cast(Method, self.spaces[label].base)

    def topics(self, present: Sequence[str]) -> Iterator[Topic]:
        """The studies that the search consists of. present: datasets that are there."""
        for label in self.spaces:
            if not self.nested:
                yield Topic(label)
                continue
            for dataset in (name for name in self.datasets if name in present):
                for fold in range(self.split.folds) if self.folds is None else self.folds:
                    yield Topic(label, dataset, fold)

    def parts(self, topic: Topic, method: Method, ids: Mapping[str, str]) -> list[Trial]:
        """The trials that a configuration is judged by, in the order in which they run; ids: dataset -> content id.

        Of a nested search, none holds or scores a test gene of the topic's fold; of one elsewhere, none is of a dataset
        that is scored.
        """
        if isinstance(self.selection, Elsewhere):
            where = [(self.split, fold, name) for fold in range(self.split.folds) for name in self.selection.datasets]
        else:
            assert topic.fold is not None
            within = Within(self.split, topic.fold, self.selection.inner)
            where = [(within, fold, topic.dataset) for fold in range(within.folds)]
        trials = [
            Trial(method, name, ids[name], split, fold, seed, 1.0, self.protocol, self.task)
            for seed in self.tuning_seeds
            for split, fold, name in where
        ]
        return list({trial.id: trial for trial in trials}.values())  # without randomness, seeds share theirs

    def scored(self, variants: Mapping[str, Variant], **facts: Any) -> Experiment:
        """The experiment that scores these variants on test genes."""
        return Experiment(
            name=self.name,
            variants=dict(variants) | dict(self.beside),
            datasets=self.datasets,
            split=self.split,
            seeds=self.seeds,
            task=self.task,
            protocol=self.protocol,
            folds=self.folds,
            title=self.title,
            **facts,
        )

    def described(self) -> Json:
        """What makes a suggestion what it is, as JSON: all but where and with which seeds winners are scored."""
        return {
            "selection": canonical(self.selection),
            "split": canonical(self.split),
            "tuning_seeds": list(self.tuning_seeds),
            "metric": list(self.metric),
            "metrics": sorted(metric.tag for metric in metrics().values()),
            "task": canonical(self.task),
            "protocol": canonical(self.protocol),
            "sampler": canonical(self.sampler),
            "halving": canonical(self.halving),
            "seed": self.seed,
            "earlier": self.earlier,
            "memory": canonical(self.memory),
        }

    def seed_of(self, topic: Topic) -> int:
        """The seed of a study's sampler."""
        return self.seed + (topic.fold or 0)

    def study_id(self, topic: Topic, ids: Mapping[str, str]) -> str:
        """16 hex digits over everything that the study's suggestions and their scores may depend on."""
        datasets = [ids[topic.dataset]] if topic.dataset else [ids[name] for name in self.needed]
        about = {"space": self.spaces[topic.label].described(), "datasets": datasets, "fold": topic.fold}
        return short_hash(self.described() | about, 16)
