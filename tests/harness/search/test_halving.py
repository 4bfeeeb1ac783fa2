"""Halving without Ray running: who goes on at which number of parts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.search import Halving
from harness.search.conductor import Halved, _judged


def decisions(halving: Halving, parts: int, values: list[float]) -> list[bool]:
    """Whether each of several configurations, which got there one after another, goes on after so many parts of 8."""
    study: Any = SimpleNamespace(
        id="s", search=SimpleNamespace(objectives=[SimpleNamespace(higher_is_better=True)]), outcomes={}
    )
    conductor: Any = None
    scheduler = Halved(halving, conductor)._scheduler(study, 8)
    return [_judged(scheduler, number, parts, value) == "CONTINUE" for number, value in enumerate(values)]


@pytest.mark.parametrize("grace", [1, 2, 4])
def test_nobody_is_stopped_before_its_grace_and_the_poorer_half_is_after_it(grace: int) -> None:
    halving = Halving(grace=grace, reduction=2)
    falling = [0.9, 0.8, 0.7, 0.6]

    assert decisions(halving, grace - 1, falling) == [True] * 4
    assert decisions(halving, grace, falling) == [True, False, False, False]


@pytest.mark.parametrize("reduction", [2, 4])
def test_a_configuration_goes_on_if_it_is_among_the_best_share_of_those_before_it(reduction: int) -> None:
    values = [0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.65]
    cutoffs = [np.percentile(values[:i], 100 * (1 - 1 / reduction)) if i else 0.0 for i in range(len(values))]

    expected = [value >= cutoff for value, cutoff in zip(values, cutoffs, strict=True)]

    assert decisions(Halving(reduction=reduction), 1, values) == expected
