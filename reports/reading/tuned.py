"""The searches behind the tuned rows of a comparison, as the store has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.store.searches import Configuration, Outcome
from reports.published import METRICS
from reports.reading.scores import Comparison


@dataclass(frozen=True, eq=False)
class Tried:
    """One study behind a tuned row.

    dataset, fold: inside of which it was, "" and None where it was elsewhere. winner: the number of the configuration
    that was chosen. metric: what was made better, the first decides; higher: whether more of that is better.
    configurations, outcomes: as far as the store has them, by number, up to how many the row was tuned with.
    """

    label: str
    dataset: str
    fold: int | None
    winner: int
    metric: tuple[str, ...]
    higher: bool
    configurations: Mapping[int, Configuration]
    outcomes: Mapping[int, Outcome]

    @property
    def finished(self) -> dict[int, float]:
        """The first objective of each configuration that finished, by number."""
        return {n: o.values[self.metric[0]] for n, o in self.outcomes.items() if o.state == "finished"}

    @property
    def named(self) -> str:
        """Which study it is, among those of its row."""
        return "all folds" if self.fold is None else f"{self.dataset}, fold {self.fold}"

    def best(self) -> list[tuple[int, float]]:
        """(number, best value until then), in order of suggestion."""
        found: list[tuple[int, float]] = []
        for number, value in sorted(self.finished.items()):
            last = found[-1][1] if found else value
            found.append((number, max(last, value) if self.higher else min(last, value)))
        return found


LESS_IS_BETTER = (*(metric.name for metric in METRICS if not metric.higher_is_better), "seconds", "memory")
"""Objectives with that direction."""


def tried(comparison: Comparison) -> dict[str, list[Tried]]:
    """Label of each tuned row -> its studies."""
    found: dict[str, list[Tried]] = {}
    for label, facts in comparison.asked.variants.items():
        if "tuned" in facts:
            found[label] = [_tried(comparison, label, facts["tuned"], study) for study in facts["tuned"]["studies"]]
    return found


def _tried(comparison: Comparison, label: str, tuned: Mapping[str, Any], study: Mapping[str, Any]) -> Tried:
    store, most = comparison.kept.store, int(study["tried"])
    return Tried(
        label=label,
        dataset=str(study["dataset"]),
        fold=study["fold"],
        winner=int(study["number"]),
        metric=tuple(tuned["metric"]),
        higher=tuned["metric"][0] not in LESS_IS_BETTER,
        configurations={n: c for n, c in store.configurations(study["study"]).items() if n < most},
        outcomes={n: o for n, o in store.outcomes(study["study"]).items() if n < most},
    )


def pooled(studies: Sequence[Tried]) -> pd.DataFrame:
    """One row per finished configuration of a row's studies: study, number, value, centred, and a column per parameter.

    centred: the value minus the mean of its study, since folds and datasets differ in how hard they are. A parameter
    that a configuration does not have is missing there.
    """
    rows = []
    for study in studies:
        values = study.finished
        mean = sum(values.values()) / len(values) if values else 0.0
        for number, value in values.items():
            facts = {"study": study.named, "number": number, "value": value, "centred": value - mean}
            rows.append(facts | {f"param:{k}": v for k, v in study.configurations[number].params.items()})
    return pd.DataFrame(rows)


def parameters(frame: pd.DataFrame) -> list[str]:
    """The parameters of a pooled frame, as they are called in it."""
    return [name for name in frame.columns if name.startswith("param:")]


def front(study: Tried) -> list[int]:
    """Numbers of the configurations that no other beats or equals on every objective (the Pareto front)."""
    signs = [-1.0 if name in LESS_IS_BETTER else 1.0 for name in study.metric]
    points = {
        n: [sign * o.values[name] for sign, name in zip(signs, study.metric, strict=True)]
        for n, o in study.outcomes.items()
        if o.state == "finished"
    }

    def beaten(number: int) -> bool:
        own = points[number]
        return any(
            all(b >= a for a, b in zip(own, other, strict=True)) and (other != own or n < number)
            for n, other in points.items()
            if n != number
        )

    return [number for number in sorted(points) if not beaten(number)]
