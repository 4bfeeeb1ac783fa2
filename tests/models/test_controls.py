"""The four controls: what each may know, against references written another way."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from models.component import canonical, rebuild
from models.controls.gene_mean import GeneMean
from models.controls.low_rank_ridge import LowRankRidge, left_out_errors, levels, ridge, spot_patterns
from models.controls.nearest_cells import NearestCells
from models.controls.spot_total import SpotTotal
from models.method import Expression, Method, Problem, Run

Array = NDArray[Any]
CONTROLS = (GeneMean(), SpotTotal(), NearestCells(), LowRankRidge())
EACH = pytest.mark.parametrize("control", CONTROLS, ids=lambda control: type(control).__name__)


def expression(genes: tuple[str, ...], counts: Array, keep_counts: bool = True) -> Expression:
    totals = np.maximum(counts.sum(axis=1), 1)
    factors = totals / np.median(totals)
    lognorm = np.log1p(counts / factors[:, None]).astype(np.float32)
    return Expression(genes, lognorm, counts.astype(np.float32), factors) if keep_counts else Expression(genes, lognorm)


def tissue(spots: int = 90, cells: int = 120, visible: int = 30, targets: int = 5, counts: bool = True) -> Problem:
    """Spots and cells of four types; a gene's profile over types is the same in both. Returns the problem only."""
    rng = np.random.default_rng(2)
    programme = rng.gamma(0.6, 2.0, (4, visible + targets))
    names = tuple(f"g{i}" for i in range(visible + targets))
    spot_counts = rng.poisson(rng.dirichlet(np.full(4, 0.4), spots) @ programme)
    cell_counts = rng.poisson(rng.dirichlet(np.full(4, 0.1), cells) @ programme)
    return Problem(
        spots=expression(names[:visible], spot_counts[:, :visible], counts),
        cells=expression(names, cell_counts),
        visible=names[:visible],
        targets=names[visible:][::-1],
    )


def with_cells(problem: Problem, cells: Array) -> Problem:
    return dataclasses.replace(problem, cells=Expression(problem.cells.genes, cells.astype(np.float32)))


@EACH
def test_a_control_is_a_cheap_deterministic_component_that_survives_its_json(control: Method) -> None:
    assert control.control
    assert control.cheap
    assert not control.needs.randomness
    assert rebuild(canonical(control)) == control


@EACH
@pytest.mark.parametrize("counts", [True, False])
def test_predictions_are_finite_not_negative_and_the_same_every_time(control: Method, counts: bool) -> None:
    problem = tissue(counts=counts)
    prediction = control.impute(problem, Run.local(0))
    assert prediction.shape == (90, 5)
    assert np.isfinite(prediction).all()
    assert (prediction >= 0.0).all()
    np.testing.assert_array_equal(prediction, control.impute(problem, Run.local(1)))


@EACH
def test_columns_follow_the_order_of_the_targets(control: Method) -> None:
    problem = tissue()
    turned = dataclasses.replace(problem, targets=problem.targets[::-1])
    np.testing.assert_allclose(
        control.impute(turned, Run.local())[:, ::-1], control.impute(problem, Run.local()), atol=1e-9
    )


@EACH
def test_genes_that_vary_nowhere_and_an_empty_spot_break_nothing(control: Method) -> None:
    problem = tissue()
    spots, cells = problem.spots.lognorm.copy(), problem.cells.lognorm.copy()
    spots[:, 0], spots[7] = 0.0, 0.0
    cells[:, 1], cells[:, -1] = 0.0, 0.0
    problem = with_cells(dataclasses.replace(problem, spots=Expression(problem.visible, spots)), cells)
    assert np.isfinite(control.impute(problem, Run.local())).all()


def test_gene_mean_is_the_cells_mean_at_every_spot() -> None:
    problem = tissue()
    wanted = [problem.cells.lognorm[:, problem.cells.genes.index(g)].astype(float).mean() for g in problem.targets]
    np.testing.assert_allclose(GeneMean().impute(problem, Run.local()), np.tile(wanted, (90, 1)), rtol=1e-12)


@pytest.mark.parametrize("counts", [True, False])
def test_spot_total_is_the_log_of_the_relative_total_of_what_is_visible(counts: bool) -> None:
    problem = tissue(counts=counts)
    spots = problem.spots
    totals = (spots.counts if counts else spots.lognorm).astype(float).sum(axis=1)
    wanted = np.log1p(totals / totals.mean())
    np.testing.assert_allclose(SpotTotal().impute(problem, Run.local()), np.tile(wanted[:, None], (1, 5)), rtol=1e-6)


@pytest.mark.parametrize(("components", "neighbours"), [(6, 10), (30, 50), (99, 999)])
def test_nearest_cells_equal_plain_loops_over_svd_and_cosine_distances(components: int, neighbours: int) -> None:
    problem = tissue()
    x = problem.cells.of(problem.visible).astype(float)
    y = problem.spots.of(problem.visible).astype(float)
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)
    axes = np.linalg.svd(x, full_matrices=False)[2][:components].T
    distances = cdist(y @ axes, x @ axes, "cosine")
    values = problem.cells.of(problem.targets).astype(float)
    wanted = [values[np.argsort(row)[:neighbours]].mean(axis=0) for row in distances]
    found = NearestCells(components, neighbours).impute(problem, Run.local())
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_nearest_cells_give_the_mean_of_cells_that_are_all_alike() -> None:
    problem = tissue()
    cells = problem.cells.lognorm.copy()
    cells[:, :30] = 1.0
    found = NearestCells().impute(with_cells(problem, cells), Run.local())
    np.testing.assert_allclose(found, GeneMean().impute(with_cells(problem, cells), Run.local()), atol=1e-9)


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_the_closed_form_leave_one_out_error_equals_that_of_refitting_without_the_gene(penalty: float) -> None:
    rng = np.random.default_rng(0)
    profiles, answers = rng.gamma(1.0, 1.0, (12, 40)), rng.normal(size=(12, 3))
    kernel = profiles @ profiles.T
    values, vectors = np.linalg.eigh(kernel)
    found = left_out_errors(values, vectors, vectors.T @ answers, penalty)
    for i in range(12):
        kept = np.arange(12) != i
        weights = np.linalg.solve(kernel[np.ix_(kept, kept)] + penalty * np.eye(11), answers[kept])
        np.testing.assert_allclose(found[i], answers[i] - kernel[i, kept] @ weights, atol=1e-8)


def test_ridge_takes_the_penalty_that_predicts_left_out_genes_best() -> None:
    rng = np.random.default_rng(1)
    profiles = rng.normal(size=(40, 10))
    truth = rng.normal(size=(10, 2))
    new = rng.normal(size=(200, 10))
    errors = []
    for noise in (0.01, 3.0):
        answers = profiles @ truth + noise * rng.normal(size=(40, 2))
        errors.append(np.abs(ridge(profiles @ profiles.T, answers, new @ profiles.T)).mean())
    assert np.abs(ridge(profiles @ profiles.T, profiles @ truth, new @ profiles.T) - new @ truth).max() < 1e-2
    assert errors[1] < errors[0] * 2


def test_ridge_predicts_nothing_from_profiles_that_are_all_zero() -> None:
    assert not ridge(np.zeros((4, 4)), np.ones((4, 2)), np.zeros((3, 4))).any()


def test_patterns_lie_in_the_span_of_the_leading_left_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    scaled, visible, targets = rng.normal(size=(50, 20)), rng.gamma(1.0, 1.0, (60, 20)), rng.gamma(1.0, 1.0, (60, 4))
    patterns = spot_patterns(scaled, visible, targets, rank=3)
    leading = np.linalg.svd(scaled)[0][:, :3]
    np.testing.assert_allclose(leading @ (leading.T @ patterns), patterns, atol=1e-9)
    assert np.linalg.matrix_rank(patterns) == 3


def test_levels_follow_the_cells_where_both_sides_agree() -> None:
    rng = np.random.default_rng(0)
    cells = rng.gamma(1.0, rng.uniform(0.1, 3.0, 60), (300, 60))
    known = np.stack([cells[:, :50].mean(0), cells[:, :50].std(0)], axis=1)
    found = levels(known, cells[:, :50], cells[:, 50:])
    np.testing.assert_allclose(found[:, 0], cells[:, 50:].mean(0), rtol=0.05)
    np.testing.assert_allclose(found[:, 1], cells[:, 50:].std(0), rtol=0.05)


def test_a_smaller_sd_factor_flattens_the_prediction_and_keeps_its_pattern() -> None:
    problem = tissue()
    full, flat = (LowRankRidge(sd_factor=f).impute(problem, Run.local()) for f in (1.0, 0.1))
    assert (flat.std(axis=0) < full.std(axis=0)).all()
    assert all(np.corrcoef(a, b)[0, 1] > 0.9 for a, b in zip(full.T, flat.T, strict=True))


def test_low_rank_ridge_refuses_spots_without_any_pattern() -> None:
    problem = tissue()
    flat = dataclasses.replace(problem, spots=Expression(problem.visible, np.ones((9, 30), np.float32)))
    with pytest.raises(ValueError, match="no pattern"):
        LowRankRidge().impute(flat, Run.local())
