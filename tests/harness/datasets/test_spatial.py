"""Moran's I against its definition written out as loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.spatial import morans_i, neighbour_weights


def by_loops(values: np.ndarray, places: np.ndarray, neighbours: int) -> np.ndarray:
    n, g = values.shape
    result = np.zeros(g)
    for gene in range(g):
        x = values[:, gene] - values[:, gene].mean()
        if values[:, gene].min() == values[:, gene].max():
            continue
        shared = weight = 0.0
        for i in range(n):
            far = sorted((round(float(((places[i] - places[j]) ** 2).sum()), 9), j) for j in range(n) if j != i)
            for _, j in far[:neighbours]:
                shared += x[i] * x[j] / min(neighbours, n - 1)
                weight += 1 / min(neighbours, n - 1)
        result[gene] = n / weight * shared / (x**2).sum()
    return result


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 40), st.integers(2, 3), st.integers(1, 8), st.integers(0, 10**6))
def test_it_equals_a_double_loop_over_spots(n: int, dimensions: int, neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, places = rng.poisson(1.0, (n, 4)).astype(float), rng.random((n, dimensions))
    np.testing.assert_allclose(morans_i(values, places, neighbours), by_loops(values, places, neighbours), atol=1e-9)


def test_ties_on_a_grid_go_to_the_lower_index_whatever_the_unit() -> None:
    grid = np.stack(np.divmod(np.arange(49), 7), axis=1).astype(float)
    values = np.random.default_rng(0).random((49, 3))
    expected = by_loops(values, grid, 6)
    for unit in (1.0, 0.1, 1 / 3, 1e6):
        np.testing.assert_allclose(morans_i(values, grid * unit), expected, atol=1e-12)


def test_spots_at_one_place_are_neighbours_but_never_of_themselves() -> None:
    weights = neighbour_weights(np.zeros((30, 2)), 6)
    assert weights.diagonal().sum() == 0
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_a_smooth_gene_is_near_one_noise_near_zero_a_constant_zero() -> None:
    grid = np.stack(np.divmod(np.arange(900), 30), axis=1).astype(float)
    noise = np.random.default_rng(1).random(900)
    smooth, flat, noisy = morans_i(np.column_stack([grid[:, 0], np.full(900, 0.1), noise]), grid)
    assert smooth > 0.9
    assert flat == 0
    assert abs(noisy) < 0.1


def test_sparse_dense_and_blocked_values_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    values, places = rng.poisson(0.5, (60, 11)).astype(np.float32), rng.random((60, 2))
    whole = morans_i(values, places)
    monkeypatch.setattr("harness.spatial.BLOCK", 150)
    np.testing.assert_allclose(morans_i(sp.csr_matrix(values), places), whole, atol=1e-12)
    np.testing.assert_allclose(morans_i(values, places), whole, atol=1e-12)


def test_one_spot_has_no_autocorrelation_and_unequal_lengths_are_an_error() -> None:
    assert morans_i(np.ones((1, 3)), np.zeros((1, 2))).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="a row per spot"):
        morans_i(np.ones((4, 3)), np.zeros((5, 2)))
