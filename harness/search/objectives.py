"""What a search makes better: numbers of a configuration, from the records of its parts. Never of a test gene.

A metric is averaged over the genes of a dataset, each gene once, then over datasets, each weighing the same. `as` is
the accuracy score beside the controls; `seconds` and `memory` are what a configuration costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from harness.errors import BadInput
from harness.metrics import ORDER, metrics
from harness.record import Record
from models.component import nearest

Values = dict[str, float]
"""Metric -> number."""

COSTS = ("seconds", "memory")
AS = "as"


@dataclass(frozen=True)
class Objective:
    """A number of a configuration, and its direction. of: records of its finished parts, and those of each control."""

    name: str
    higher_is_better: bool
    of: Callable[[Sequence[Record], Sequence[Sequence[Record]]], float]


def objective(name: str) -> Objective:
    """The objective of that name; `BadInput` for a test metric, and for what is none."""
    if name in metrics():
        return Objective(name, metrics()[name].higher_is_better, lambda parts, _: pooled(parts)[name])
    known = {
        AS: Objective(AS, True, accuracy_score),
        "seconds": Objective("seconds", False, lambda parts, _: sum(map(seconds, parts))),
        "memory": Objective("memory", False, lambda parts, _: max(part.peak_memory_mib or 0.0 for part in parts)),
    }
    if name in known:
        return known[name]
    names = [*metrics(), *known]
    if "test" in name.lower():
        raise BadInput(
            f"A search cannot be told to improve {name!r}: test genes are scored once, for its winners; it looks at "
            f"genes that are visible there, by one of {', '.join(names)}."
        )
    raise BadInput(f"There is no objective {name!r}; {nearest(name, names)}")


def pooled(parts: Sequence[Record]) -> Values:
    """Mean of each metric over the scored genes of a dataset, then over the datasets that the parts are of."""
    by_dataset: dict[str, list[Record]] = {}
    for part in parts:
        by_dataset.setdefault(part.dataset_id, []).append(part)
    found = [
        {name: _mean(own, name) for name in metrics()}
        for own in by_dataset.values()
        if any(part.n_genes["scored"] for part in own)
    ]
    return {name: float(np.mean([each[name] for each in found])) if found else float("nan") for name in metrics()}


def accuracy_score(parts: Sequence[Record], controls: Sequence[Sequence[Record]]) -> float:
    """AS/N of a configuration among the controls, between 0 and 1; a rank lies between those of its neighbours.

    The controls are the same for all configurations, so that a score does not change with what else has been tried,
    and ranks are smooth (see `rank`), so that there is something to climb.
    """
    own, field = pooled(parts), [pooled(each) for each in controls]
    ranks = [rank(own[name], [each[name] for each in field], metrics()[name].higher_is_better) for name in ORDER]
    return float(np.mean(ranks)) / (len(controls) + 1)


def rank(value: float, field: Sequence[float], higher_is_better: bool) -> float:
    """The rank (best = n + 1) that a value would have if it joined a field of n, ties sharing theirs, but smooth.

    Level with one of the field it is exactly that rank. Between two of them it lies between their ranks, in proportion;
    beyond the last it approaches n + 1, or 1, the slower the wider the field is.
    """
    signed = np.array(field) if higher_is_better else -np.array(field)
    value = value if higher_is_better else -value
    steps = np.unique(signed)
    ranks = np.array([rankdata(np.append(signed, step))[-1] for step in steps])
    span = float(steps[-1] - steps[0]) or 1.0
    if value > steps[-1]:
        return float(ranks[-1] + (len(field) + 1 - ranks[-1]) * _beyond((value - steps[-1]) / span))
    if value < steps[0]:
        return float(ranks[0] - (ranks[0] - 1) * _beyond((steps[0] - value) / span))
    return float(np.interp(value, steps, ranks))


def _beyond(distance: float) -> float:
    return distance / (1.0 + distance)


def _mean(parts: Sequence[Record], name: str) -> float:
    genes = [part.n_genes["scored"] for part in parts]
    means = [part.means[name] or 0.0 for part in parts]  # None where no gene is scored, which then weighs nothing
    return float(np.average(means, weights=genes))


def seconds(part: Record) -> float:
    """What a part took to fit and to predict."""
    return (part.timings.get("fit") or 0.0) + (part.timings.get("impute") or 0.0)
