"""The problem that a contract is tried on, and its variations: another order, fewer genes, a pair that has less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.datasets.simulated import simulate
from harness.pair import Assay
from harness.protocol import KFold, Protocol, pose, prepare
from models.method import Expression, Problem

FEW = 10
"""Visible genes that are enough."""


def built_in_problem() -> Problem:
    """48 spots, 60 cells, 16 visible genes, 8 targets and 6 more SC genes; counts, coordinates and cell types.

    Made anew at each call, so that a method that changes what it was given does not spoil what is tried next.
    """
    pair = simulate(spots=48, cells=60, genes=30, types=3, depth=150.0)
    measured = Assay(pair.st.genes[:24], pair.st.values[:, :24], pair.st.kind)
    return pose(prepare(replace(pair, st=measured), Protocol()), KFold(3), 0)[0]


def reordered(problem: Problem, seed: int = 0) -> Problem:
    """The same problem with visible genes, targets and SC columns in another order."""
    rng = np.random.default_rng(seed)

    def turned(expression: Expression) -> Expression:
        return _of(expression, tuple(expression.genes[i] for i in rng.permutation(len(expression.genes))))

    spots = turned(problem.spots)
    targets = tuple(problem.targets[i] for i in rng.permutation(len(problem.targets)))
    return replace(problem, spots=spots, visible=spots.genes, cells=turned(problem.cells), targets=targets)


def smallest(problem: Problem) -> Problem:
    """One target of few visible genes."""
    visible = problem.visible[:FEW]
    validation = tuple(gene for gene in problem.validation if gene in visible)
    spots = _of(problem.spots, visible)
    return replace(problem, visible=visible, spots=spots, targets=problem.targets[:1], validation=validation)


def lacking(problem: Problem, things: Sequence[str]) -> Problem:
    """The problem of a pair that has no "counts", "coordinates" or "cell_types"."""
    changes: dict[str, Any] = {thing: None for thing in things if thing != "counts"}
    for half in ("spots", "cells") if "counts" in things else ():
        changes[half] = replace(getattr(problem, half), counts=None, size_factors=None)
    return replace(problem, **changes)


def _of(expression: Expression, genes: tuple[str, ...]) -> Expression:
    """These genes alone, in this order."""
    counts = None if expression.counts is None else expression.counts_of(genes)
    return replace(expression, genes=genes, lognorm=expression.of(genes), counts=counts)
