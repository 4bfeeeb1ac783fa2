"""The tiny problem that conformance and golden tests pose to everything discovered."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from harness.methods import methods_by_name
from harness.protocol import KFold, Protocol, pose, prepare
from models.method import Expression, Method, Problem, absent_packages
from tests.conftest import tiny_pair

METHODS: dict[str, type[Method]] = methods_by_name()


def _asked(name: str, method: type[Method]) -> pytest.param:  # type: ignore[valid-type]
    reason = absent_packages(method)
    return pytest.param(method, id=name, marks=[] if reason is None else pytest.mark.skip(reason=reason))


every_method = pytest.mark.parametrize("method", [_asked(name, method) for name, method in METHODS.items()])
"""Every discovered method; one whose own packages are not installed is skipped and says so."""


@cache
def tiny_problem() -> Problem:
    """48 spots, 60 cells, 16 visible genes, 8 targets; counts, coordinates and cell types."""
    problem, _ = pose(prepare(tiny_pair(), Protocol()), KFold(3), 0)
    return problem


def small(method: type[Method]) -> Method:
    """The smallest honest configuration of a method: `tiny()` where it has one, else its defaults."""
    return method.tiny() if hasattr(method, "tiny") else method()


def reordered(problem: Problem, seed: int = 0) -> Problem:
    """The same problem with visible genes, targets and SC columns in another order."""
    rng = np.random.default_rng(seed)

    def turned(expression: Expression) -> Expression:
        order = rng.permutation(len(expression.genes))
        return Expression(
            genes=tuple(expression.genes[i] for i in order),
            lognorm=expression.lognorm[:, order],
            counts=None if expression.counts is None else expression.counts[:, order],
            size_factors=expression.size_factors,
        )

    spots = turned(problem.spots)
    targets = tuple(problem.targets[i] for i in rng.permutation(len(problem.targets)))
    return dataclasses.replace(problem, spots=spots, visible=spots.genes, cells=turned(problem.cells), targets=targets)
