"""What the sd beside a prediction is: checked against loops over the cells, or the draws, that it is the spread of."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from models.baselines._neighbours import weighted_sds, weighted_sums
from models.baselines.spage import SpaGE
from models.controls.gene_mean import GeneMean
from models.controls.nearest_cells import NearestCells
from models.method import Run
from models.spadit import SpaDiT
from models.spadit.spot_space import RawSpots
from tests.contracts.problems import tiny_problem
from tests.models.spadit.spadit_problems import quick


def test_a_weighted_sd_is_that_of_cells_repeated_by_their_weight() -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 1.0, (12, 3)).astype(np.float32) + 100  # far from 0, where squares lose digits
    indices = np.stack([rng.permutation(12)[:4] for _ in range(5)])
    times = rng.integers(0, 5, (5, 4)) + (np.arange(4) == 0)
    weights = times / times.sum(axis=1, keepdims=True)

    found = weighted_sds(indices, weights, values)

    for spot in range(5):
        repeated = np.repeat(values[indices[spot]].astype(np.float64), times[spot], axis=0)
        np.testing.assert_allclose(found[spot], repeated.std(axis=0), atol=1e-9)
        np.testing.assert_allclose(weighted_sums(indices, weights, values)[spot], repeated.mean(axis=0), rtol=1e-12)


def test_equal_cells_have_no_spread() -> None:
    values = np.full((6, 2), 0.1, dtype=np.float32)

    assert (weighted_sds(np.zeros((3, 4), dtype=np.intp), np.full((3, 4), 0.25), values) == 0).all()


def test_nearest_cells_sd_over_all_cells_is_the_genes_own() -> None:
    problem = tiny_problem()

    _, sd = NearestCells(neighbours=10**6).impute_with_sd(problem, Run.local())

    own = problem.cells.of(problem.targets).std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(sd, np.tile(own, (len(problem.spots), 1)), rtol=1e-9)


def test_one_neighbour_has_no_spread() -> None:
    _, sd = NearestCells(neighbours=1).impute_with_sd(tiny_problem(), Run.local())

    assert (sd == 0).all()


def test_spage_without_a_shared_direction_spreads_over_all_cells() -> None:
    problem = tiny_problem()

    mean, sd = SpaGE(threshold=1.0).impute_with_sd(problem, Run.local())

    own = problem.cells.of(problem.targets).astype(np.float64)
    np.testing.assert_allclose(mean, np.tile(own.mean(axis=0), (len(problem.spots), 1)), rtol=1e-12)
    np.testing.assert_allclose(sd, np.tile(own.std(axis=0), (len(problem.spots), 1)), rtol=1e-12)


@pytest.mark.parametrize("fields", [{}, {"spot_space": RawSpots()}], ids=["low rank", "raw spots"])
def test_spadits_sd_is_that_of_its_draws_each_decoded(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> None:
    problem, seen = tiny_problem(), {}
    generate = SpaDiT.generate

    def watched(method: SpaDiT, *given: Any) -> Any:
        draws = generate(method, *given)
        task, columns, names = given[2], given[3], given[5]
        seen[names] = np.stack([task.space.decode(draw, columns) for draw in draws.numpy()])  # (R, M, B)
        return draws

    monkeypatch.setattr(SpaDiT, "generate", watched)
    monkeypatch.setattr("models.spadit.spadit.TOGETHER", 3)

    _, sd = quick(**fields).impute_with_sd(problem, Run.local(0))

    assert len(seen) == 3
    np.testing.assert_allclose(sd, np.concatenate(list(seen.values()), axis=2).std(axis=0, ddof=1), rtol=1e-5)


def test_a_single_draw_has_no_sd() -> None:
    _, sd = dataclasses.replace(quick(), draws=1).impute_with_sd(tiny_problem(), Run.local(0))

    assert sd is None


def test_a_method_that_has_none_gives_none() -> None:
    mean, sd = GeneMean().impute_with_sd(tiny_problem(), Run.local())

    assert sd is None
    assert mean.shape == (48, 8)
