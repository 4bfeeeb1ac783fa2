"""What share of a GPU a trial needs: by the memory its method says it takes, and the smallest card that is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from harness.cluster.resources import AUTO, Resources, Share
from harness.errors import BadInput
from harness.trial import Trial
from models.method import Size

MARGIN = 1.25
"""What is set aside beyond an estimate: estimates are of the large arrays, not of an allocator's gaps."""

CONTEXT = 2**29
"""Bytes that every process takes of a card before it computes anything."""

STEP = 0.05
"""Shares are rounded up to multiples of it, so that trials of nearly the same size share their workers."""


def share_of_card(memory: int | None, card: int) -> float:
    """The share of a card of that many bytes; all of it where nobody knows, or where it hardly fits."""
    if memory is None:
        return 1.0
    return min(1.0, math.ceil(round((MARGIN * memory + CONTEXT) / card / STEP, 6)) * STEP)


def smallest_share(trials: Sequence[Trial], share: Callable[[Trial, bool], Share]) -> float:
    """The smallest share of a GPU that any of these trials takes."""
    return min((share(trial, False).gpus for trial in trials), default=0.0)


def shares(
    resources: Resources, sizes: Mapping[str, Size], cards: Sequence[int], largest_node: Mapping[str, float]
) -> Callable[[Trial, bool], Share]:
    """What each trial is given, and what when it ran out of memory and is tried with more.

    sizes: dataset id -> the size of its problems. cards: bytes of each card of the cluster. largest_node: {"CPU": ..}
    of the node with the most processors. Raises `BadInput` where "auto" finds no card to measure.
    """
    cpus = resources.cpus_per_trial
    automatic = resources.gpus_per_trial == AUTO
    if automatic and not cards:
        raise BadInput(
            "gpus_per_trial='auto' needs to know how much memory the cards have, and no card was found; give a number, "
            "or 0 to compute on processors."
        )

    def gpus(trial: Trial) -> float:
        if resources.gpus_per_trial != AUTO:
            return float(resources.gpus_per_trial)
        if trial.method.cheap:
            return 0.0
        return share_of_card(trial.method.memory(sizes[trial.dataset_id]), min(cards))

    def share(trial: Trial, enlarged: bool) -> Share:
        asked, threads = gpus(trial), resources.threads
        if not enlarged:
            return Share(cpus, asked, threads)
        if asked > 0:  # a card to itself
            return Share(cpus, max(1.0, asked), threads)
        # A node to itself, for its memory: with more threads, sums would be made in another order.
        return Share(max(cpus, largest_node.get("CPU", cpus)), 0.0, threads)

    return share
