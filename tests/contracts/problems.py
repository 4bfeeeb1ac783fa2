"""The tiny problem that conformance and golden tests pose to everything discovered."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest

from harness.contract.tried import small
from harness.methods import methods_by_name
from harness.protocol import KFold, Protocol, pose, prepare
from models.baselines._score_model import ScoreMatching
from models.method import Method, Problem, absent_packages
from models.spadit import SpaDiT
from models.spadit.backbones.transformer import Transformer
from models.spadit.samplers import DDIM
from models.spadit.training import Training
from tests.conftest import tiny_pair

METHODS: dict[str, type[Method]] = methods_by_name()


def asked(name: str, *marks: pytest.MarkDecorator) -> pytest.param:  # type: ignore[valid-type]
    """A discovered method as a parameter of a test, skipped where its own packages are not installed."""
    reason = absent_packages(METHODS[name])
    gone = [] if reason is None else [pytest.mark.skip(reason=reason)]
    return pytest.param(METHODS[name], id=name, marks=[*marks, *gone])


every_method = pytest.mark.parametrize("method", [asked(name) for name in METHODS])
"""Every discovered method; one whose own packages are not installed is skipped and says so."""


@cache
def tiny_problem() -> Problem:
    """48 spots, 60 cells, 16 visible genes, 8 targets; counts, coordinates and cell types."""
    problem, _ = pose(prepare(tiny_pair(), Protocol()), KFold(3), 0)
    return problem


QUICK = SpaDiT(
    backbone=Transformer(hidden=16),
    training=Training(steps=12, warmup=4, batch=20, time_power=1.0),
    sampler=DDIM(steps=4),
    draws=2,
)
"""SpaDiT in a tenth of a second."""


def quick(method: type[Method]) -> Method:
    """A configuration that goes through every stage of a method as fast as may be; its numbers are of no use."""
    if method is SpaDiT:
        return QUICK
    least = {"epochs": 5, "max_epochs": 2, "steps": 5}
    own = {field.name for field in dataclasses.fields(method)}
    found = dataclasses.replace(small(method), **{name: n for name, n in least.items() if name in own})
    if isinstance(training := getattr(found, "training", None), ScoreMatching):
        return dataclasses.replace(found, training=dataclasses.replace(training, most_steps=5))
    return found
