"""The calls of cell types behind the cell-type mean, against plain loops, scipy, brute force and closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import multinomial

from models.baselines._cell_typing import (
    CellTyping,
    dispersion,
    log_likelihoods,
    nearest_spots,
    platform_factors,
    smoothed,
)
from models.baselines.cell_type_mean import CellTypeMean
from models.component import canonical, rebuild
from models.method import Expression, Run
from tests.models.test_spatialscope import simulated


def test_every_spot_gets_the_mean_of_the_cells_of_its_type() -> None:
    problem, _, _ = simulated(0, cells=200, spots=80)
    found = CellTypeMean().impute(problem, Run.local())
    calls = CellTyping().types(problem, np.random.default_rng(9)).spots
    names = sorted(set(problem.cell_types))
    expression = problem.cells.of(problem.targets).astype(float)
    for spot, call in enumerate(calls):
        np.testing.assert_allclose(found[spot], expression[problem.cell_types == names[call]].mean(axis=0), rtol=1e-5)


def test_it_is_a_cheap_deterministic_control_that_survives_its_json() -> None:
    problem, _, _ = simulated(0, cells=200, spots=80)
    ungrouped = dataclasses.replace(problem, cell_types=None)
    for each in (problem, ungrouped):
        np.testing.assert_array_equal(*(CellTypeMean().impute(each, Run.local(seed)) for seed in (0, 1)))
    assert CellTypeMean.control
    assert CellTypeMean.cheap
    assert rebuild(canonical(CellTypeMean())) == CellTypeMean()


def test_values_that_are_no_counts_are_called_alike() -> None:
    problem, types, _ = simulated(0)
    for unit in (1.0, 0.01):
        values = np.log1p(unit * np.expm1(problem.spots.lognorm))
        bare = dataclasses.replace(problem, spots=Expression(problem.visible, values))
        assert (CellTyping().types(bare, np.random.default_rng(0)).spots == types).mean() > 0.95


def test_likelihoods_are_multinomial_up_to_a_constant_per_spot_and_ignore_hidden_genes() -> None:
    rng = np.random.default_rng(0)
    expected, counts = rng.gamma(1.0, 1.0, (3, 6)), rng.poisson(4.0, (5, 6)).astype(float)
    shown = np.ones((5, 6))
    shown[2, :3] = 0
    counts *= shown
    found = log_likelihoods(counts, shown, expected)
    for spot in range(5):
        genes = shown[spot] > 0
        n = counts[spot, genes]
        wanted = [multinomial.logpmf(n, int(n.sum()), e[genes] / e[genes].sum()) for e in expected]
        np.testing.assert_allclose(np.diff(found[spot]), np.diff(wanted), rtol=1e-9)


def test_platform_factors_are_one_for_a_mixture_and_otherwise_what_was_multiplied() -> None:
    rng = np.random.default_rng(1)
    profiles, labels = rng.gamma(1.0, 1.0, (3, 40)), np.repeat([0, 1, 2], 10)
    np.testing.assert_allclose(platform_factors([0.7, 0.2, 0.1] @ profiles, profiles, labels), 1.0, atol=1e-2)
    gamma = rng.lognormal(0.0, 0.5, 40)
    found = platform_factors(5.0 * gamma * profiles[0], profiles[:1], labels[:10])
    np.testing.assert_allclose(found, gamma / np.exp(np.log(gamma).mean()), rtol=1e-9)


def test_platform_factors_are_found_though_strong_genes_have_them_too() -> None:
    rng = np.random.default_rng(1)
    profiles, labels, gamma = (
        rng.lognormal(0.0, 1.5, (4, 200)),
        np.repeat(np.arange(4), 10),
        rng.lognormal(0.0, 0.8, 200),
    )
    found = platform_factors(gamma * ([0.6, 0.1, 0.1, 0.2] @ profiles), profiles, labels)
    assert np.corrcoef(np.log(found), np.log(gamma))[0, 1] > 0.97


def test_the_dispersion_of_counts_is_one_and_scales_with_their_unit() -> None:
    rng = np.random.default_rng(2)
    expected = rng.gamma(0.3, 1.0, (2000, 30))
    counts = rng.poisson(expected).astype(float)
    found = dispersion(counts, np.ones(counts.shape), expected)
    assert abs(found - 1.0) < 0.05
    np.testing.assert_allclose(dispersion(7.0 * counts, np.ones(counts.shape), expected), 7.0 * found)


def test_neighbours_are_those_of_brute_force_and_never_the_spot_itself() -> None:
    places = np.random.default_rng(3).normal(size=(40, 2))
    distances = cdist(places, places)
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(nearest_spots(places, 5), np.argsort(distances, axis=1)[:, :5])
    together = nearest_spots(np.zeros((6, 2)), 3)
    assert (together != np.arange(6)[:, None]).all()
    assert nearest_spots(places[:3], 10).shape == (3, 2)


def test_smoothing_ends_where_no_single_change_lowers_the_energy() -> None:
    rng = np.random.default_rng(4)
    cost, near = rng.gamma(1.0, 3.0, (60, 3)), nearest_spots(rng.normal(size=(60, 2)), 6)
    start = cost.argmin(axis=1)
    found = smoothed(start, cost, near, smoothness=4.0, sweeps=100)
    for spot in range(60):
        energy = [cost[spot, k] + 4.0 * np.mean([found[other] != k for other in near[spot]]) for k in range(3)]
        assert np.isclose(energy[found[spot]], min(energy))
    assert (found != start).any()
    np.testing.assert_array_equal(smoothed(start, cost, near, smoothness=0.0, sweeps=8), start)
