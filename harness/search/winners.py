"""From the outcomes of a search to its winners, and from these to the experiment that scores them on test genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.experiment import ByFold, Experiment, Variant
from harness.search.question import TUNED, Elsewhere, Search, Topic
from harness.search.study import Study
from models.method import Method


@dataclass(frozen=True)
class Winner:
    """The best configuration of a study. value: what it scored where it was chosen, which flatters it."""

    topic: Topic
    study: str
    number: int
    method: Method
    params: Mapping[str, Any]
    value: float
    tried: int
    distinct: int


def winner(study: Study) -> Winner | None:
    """The best finished configuration by the first objective, the earliest of several; None where none finished."""
    best = study.search.objectives[0]
    sign = 1.0 if best.higher_is_better else -1.0
    finished = [n for n, outcome in study.outcomes.items() if outcome.state == "finished"]
    if not finished:
        return None
    number = max(finished, key=lambda n: (sign * study.outcomes[n].values[best.name], -n))
    configuration = study.configurations[number]
    return Winner(
        topic=study.topic,
        study=study.id,
        number=number,
        method=study.method(configuration),
        params=configuration.params,
        value=study.outcomes[number].values[best.name],
        tried=len(study.configurations),
        distinct=len({each.trials for each in study.configurations.values()}),
    )


def scoring(search: Search, winners: Sequence[Winner]) -> Experiment:
    """The experiment that scores winners on test genes, each beside the base of its space.

    `tuned` of a winning row: selection ("nested" or "elsewhere"), how many configurations were tried in each study,
    and which studies those were.
    """
    variants: dict[str, Variant] = {}
    tuned: dict[str, dict[str, Any]] = {}
    chosen_on: dict[str, Sequence[str]] = {}
    for label in search.spaces:
        own = [each for each in winners if each.topic.label == label]
        if own:
            row = f"{label} {TUNED}"
            variants[row] = _variant(search, own)
            tuned[row] = _how(search, label, own)
            if isinstance(search.selection, Elsewhere):
                chosen_on[row] = search.selection.datasets
        variants[label] = search.base(label)
    return search.scored(variants, tuned=tuned, chosen_on=chosen_on, reference=next(iter(search.spaces)))


def _variant(search: Search, winners: Sequence[Winner]) -> Variant:
    if not search.nested:
        return winners[0].method
    on: dict[str, dict[int, Method]] = {}
    for each in winners:
        assert each.topic.fold is not None
        on.setdefault(each.topic.dataset, {})[each.topic.fold] = each.method
    return ByFold(on)


def _how(search: Search, label: str, winners: Sequence[Winner]) -> dict[str, Any]:
    return {
        "selection": "nested" if search.nested else "elsewhere",
        "search": search.name,
        "space": label,
        "base": label,
        "metric": list(search.metric),
        "configurations": max(each.tried for each in winners),
        "studies": [
            {
                "study": each.study,
                "dataset": each.topic.dataset,
                "fold": each.topic.fold,
                "number": each.number,
                "value": each.value,
                "tried": each.tried,
                "distinct": each.distinct,
            }
            for each in winners
        ],
    }
