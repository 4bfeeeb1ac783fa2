"""An experiment: one question as a value - which variants, on which datasets, folds, seeds and sampling rates."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import BadInput
from harness.protocol import HeldOutGenes, KFold, Protocol, Split, Task
from harness.record import Asked
from harness.trial import Trial
from models.component import canonical, nearest, short_hash, stem
from models.method import Method


@dataclass(frozen=True)
class ByDataset:
    """A variant whose settings differ from dataset to dataset, as the paper's do: one method, set up for each.

    on: dataset -> the method there. elsewhere: the method on any other dataset.
    """

    on: Mapping[str, Method]
    elsewhere: Method

    def __post_init__(self) -> None:
        for dataset, method in self.on.items():
            if type(method) is not type(self.elsewhere):
                raise BadInput(
                    f"ByDataset has a {type(method).__name__} on {dataset} and a {type(self.elsewhere).__name__} "
                    "elsewhere; a variant is one method, with other settings."
                )


@dataclass(frozen=True)
class ByFold:
    """A variant whose settings differ from fold to fold, as the winners of a nested search do.

    on: dataset -> fold -> the method there. No fold runs the method of another: the genes that it was chosen by are
    those that the other folds are scored on (protocol section 3).
    """

    on: Mapping[str, Mapping[int, Method]]

    @property
    def methods(self) -> list[Method]:
        """All of them, dataset by dataset and fold by fold."""
        return [method for folds in self.on.values() for _, method in sorted(folds.items())]

    def at(self, dataset: str, fold: int) -> Method:
        """The method there; `BadInput` where there is none."""
        if fold not in self.on.get(dataset, {}):
            raise BadInput(
                f"No settings were chosen for fold {fold} of {dataset}. Those of another fold were chosen on genes "
                "that this one is scored on, so they are not scored here; search in this fold as well, or score the "
                "others alone."
            )
        return self.on[dataset][fold]


Variant = Method | ByDataset | ByFold

_SAID_ONCE = {name for name, kind in Method.__annotations__.items() if str(kind).startswith("ClassVar")}
"""What a method says for its whole class, such as `needs`; a field of that name would be a setting beside it."""


def method_on(variant: Variant, dataset: str, fold: int) -> Method:
    """What a variant runs on a fold of a dataset."""
    if isinstance(variant, ByFold):
        return variant.at(dataset, fold)
    return variant if isinstance(variant, Method) else variant.on.get(dataset, variant.elsewhere)


def alike(name: str, known: Iterable[str]) -> str:
    """The one known name that is the same but for case, spaces, dashes and underscores; else `name` itself."""
    found = [each for each in known if _letters(each) == _letters(name)]
    return name if name in found or len(found) != 1 else found[0]


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def described(variant: Variant) -> Any:
    """Canonical JSON of a variant; of one that differs, that of each of its methods."""
    if isinstance(variant, Method):
        return canonical(variant)
    if isinstance(variant, ByFold):
        return {name: {str(fold): canonical(m) for fold, m in folds.items()} for name, folds in variant.on.items()}
    return {"on": {name: canonical(m) for name, m in variant.on.items()}, "elsewhere": canonical(variant.elsewhere)}


@dataclass(frozen=True)
class Experiment:
    """Variants (label -> method) x datasets x folds x seeds x sampling rates, under one protocol.

    Labels are for people and never enter a trial's identity: experiments that need the same trial share it.
    folds: which folds of the split are run, by index; all of them where none are named. How many there are is the
    split's own (`split=KFold(5)`).
    chosen_on: label -> the datasets on whose scores that variant's settings were chosen; its rows there say "tuned on
    these genes" in every table. part_of: the variants of the whole that `narrowed` took these from.
    tuned: label -> how a search chose that variant's settings, for those that one did (see `harness.search.winners`).
    reference: the label that reports compare every other one with, pair by pair; the first variant where none is named.
    Raises `BadInput` for what cannot be run, when it is made.
    """

    name: str
    variants: Mapping[str, Variant]
    datasets: Sequence[str]
    split: Split = field(default_factory=KFold)
    seeds: Sequence[int] = (0,)
    sampling_rates: Sequence[float] = (1.0,)
    task: Task = field(default_factory=HeldOutGenes)
    protocol: Protocol = field(default_factory=Protocol)
    folds: Sequence[int] | None = None
    title: str = ""
    chosen_on: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reference: str = ""
    part_of: Mapping[str, Variant] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", self.name):
            raise BadInput(
                f"An experiment cannot be named {self.name!r}; use up to 80 letters, digits, dots, dashes, underscores."
            )
        if isinstance(self.datasets, str):
            raise BadInput(f"Experiment {self.name}: datasets is the text {self.datasets!r}; give a list of names.")
        for axis, example in (("seeds", "range(3)"), ("sampling_rates", "(1.0, 0.3)"), ("folds", "(0, 1)")):
            given = getattr(self, axis)
            if isinstance(given, int | float):
                raise BadInput(f"Experiment {self.name}: {axis} is {given}; give the values, such as {example}.")
        for axis in ("variants", "datasets", "seeds", "sampling_rates"):
            if len(getattr(self, axis)) == 0:
                raise BadInput(f"Experiment {self.name} has no {axis.replace('_', ' ')}; give at least one.")
        for label, method in self.variants.items():
            if not isinstance(method, Variant):
                raise BadInput(
                    f"Experiment {self.name}: variant {label!r} is a {kind_name(method)}; expected an instance of a "
                    "models.method.Method, e.g. SpaGE() with its parentheses."
                )
            own = [f.name for f in dataclasses.fields(method) if isinstance(method, Method) and f.name in _SAID_ONCE]
            for name in own:
                raise BadInput(
                    f"Experiment {self.name}: {type(method).__name__}.{name} is a field, and Method has it for the "
                    f"whole class; write `{name}: ClassVar[...] = ...` there, or leave its type out."
                )
        named = {name: (tuple(getattr(self, name)), self.variants) for name in ("chosen_on", "tuned")}
        if self.reference:
            named["reference"] = ((self.reference,), self.part_of or self.variants)
        for where, (labels, variants) in named.items():
            for label in labels:
                if label not in variants:
                    raise BadInput(
                        f"Experiment {self.name}: {where} names {label!r}, which is no variant; "
                        f"{nearest(label, list(variants))}"
                    )
        for rate in self.sampling_rates:
            if not (isinstance(rate, int | float) and math.isfinite(rate) and 0 < rate <= 1):
                raise BadInput(f"Experiment {self.name}: a sampling rate of {rate} is impossible; rates lie in (0, 1].")
        for seed in self.seeds:
            if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
                raise BadInput(f"Experiment {self.name}: seed {seed!r} is not an integer from 0 to 2^31 - 1.")
        for fold in self.folds or ():
            if fold not in range(self.split.folds):
                raise BadInput(
                    f"Experiment {self.name}: there is no fold {fold}; its split has folds 0 to {self.split.folds - 1}."
                )

    def narrowed(
        self,
        datasets: Sequence[str] = (),
        variants: Sequence[str] = (),
        folds: Sequence[int] = (),
        seeds: int | None = None,
    ) -> Experiment:
        """The same question on part of its axes; `datasets` replaces the datasets, `seeds` is how many.

        A variant may be named in any spelling that no other has: SpaGE, spage.
        """
        variants = [alike(label, self.variants) for label in variants]
        for label in variants:
            if label not in self.variants:
                raise BadInput(
                    f"Experiment {self.name} has no variant {label!r}; {nearest(label, list(self.variants))}"
                )
        changes: dict[str, Any] = {}
        if datasets:
            changes["datasets"] = tuple(dict.fromkeys(datasets))
        if variants:
            changes["part_of"] = self.part_of or self.variants
            changes["variants"] = {label: m for label, m in self.variants.items() if label in variants}
            for axis in ("chosen_on", "tuned"):
                changes[axis] = {label: facts for label, facts in getattr(self, axis).items() if label in variants}
        if folds:
            changes["folds"] = tuple(dict.fromkeys(folds))
        if seeds is not None:
            changes["seeds"] = tuple(range(seeds))
        return dataclasses.replace(self, **changes)

    def cells(self, ids: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], Trial]]:
        """Every cell that is asked for, with its trial; ids: dataset name -> content id (absent ones are left out)."""
        folds = range(self.split.folds) if self.folds is None else self.folds
        for dataset in self.datasets:
            if dataset not in ids:
                continue
            for label, variant in self.variants.items():
                for rate in self.sampling_rates:
                    for seed in self.seeds:
                        for fold in folds:
                            method = method_on(variant, dataset, fold)
                            trial = Trial(
                                method, dataset, ids[dataset], self.split, fold, seed, rate, self.protocol, self.task
                            )
                            cell = {"label": label, "dataset": dataset, "fold": fold, "seed": seed}
                            yield cell | {"sampling_rate": float(rate), "trial_id": trial.id}, trial

    def trials(self, ids: Mapping[str, str]) -> list[Trial]:
        """The distinct trials behind the cells, in order of first appearance."""
        return list({trial.id: trial for _, trial in self.cells(ids)}.values())

    def asked(
        self,
        datasets: Mapping[str, Mapping[str, Any]],
        asked_at: str,
        commands: Sequence[str] = (),
        excluded: Sequence[Mapping[str, str]] = (),
    ) -> Asked:
        """What the store keeps of the question; datasets: name -> {dataset_id, title, synthetic, panel, ...}."""
        ids = {name: facts["dataset_id"] for name, facts in datasets.items()}
        variants = {label: self._row(label, variant) for label, variant in self.variants.items()}
        common = {
            "task": canonical(self.task),
            "protocol": canonical(self.protocol),
            "split": canonical(self.split),
        }
        # A part of a question has the definition of the whole, so that its answers join what was asked before.
        whole = {label: described(variant) for label, variant in (self.part_of or self.variants).items()}
        definition = short_hash(whole | common, 8)
        return Asked(
            name=self.name,
            definition=definition,
            asked_at=asked_at,
            title=self.title,
            commands=tuple(commands),
            protocol_id=self.protocol.id,
            variants=variants,
            datasets={name: dict(facts) for name, facts in datasets.items()},
            folds=self.split.folds,
            reference=self.reference or next(iter(self.part_of or self.variants)),
            flags=self.protocol.flags + self.task.flags,
            cells=tuple(cell for cell, _ in self.cells(ids)),
            excluded=tuple(dict(e) for e in excluded),
            **common,
        )

    def _row(self, label: str, variant: Variant) -> dict[str, Any]:
        """What the store keeps of a variant."""
        method = variant.methods[0] if isinstance(variant, ByFold) else method_on(variant, "", 0)
        row = {
            "variant_id": short_hash(described(variant), 8),
            "method": stem(type(method)),
            "control": type(method).control,
            "component": canonical(method),
            "chosen_on": list(self.chosen_on.get(label, ())),
        }
        if label in self.tuned:
            row["tuned"] = dict(self.tuned[label])
        if isinstance(variant, ByFold):
            return row | {"by_fold": described(variant)}
        return row if isinstance(variant, Method) else row | {"by_dataset": described(variant)["on"]}


def kind_name(thing: object) -> str:
    """How a message calls what was given in place of something else."""
    return f"class ({thing.__name__})" if isinstance(thing, type) else type(thing).__name__
