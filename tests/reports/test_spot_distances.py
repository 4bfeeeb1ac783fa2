"""Distances, their agreement and its error, subsamples and heat maps, each against something that is not ours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import pearsonr

from reports.statistics.spot_distances import (
    CELLS,
    PIXELS,
    Agreement,
    agreement,
    block_means,
    distances,
    image,
    jackknife_error,
    sample,
)

RNG = np.random.default_rng(0)
TRUTH = RNG.gamma(1.0, size=(40, 3)) @ RNG.gamma(1.0, size=(3, 12)) + RNG.normal(size=(40, 12))
GUESS = 0.6 * TRUTH + RNG.normal(size=TRUTH.shape)


def test_distances_are_those_of_scipy() -> None:
    np.testing.assert_allclose(distances(TRUTH), squareform(pdist(TRUTH)), atol=1e-12)
    np.testing.assert_allclose(distances(TRUTH + 1e4), squareform(pdist(TRUTH)), atol=1e-8)


def test_spots_that_are_predicted_alike_are_at_distance_zero() -> None:
    alike = TRUTH[[0, 1, 0, 1, 2]] * 0.1 + 7.0

    np.testing.assert_array_equal(distances(alike) == 0, squareform(pdist(alike)) == 0)
    assert not distances(np.full((5, 3), 0.1, dtype=np.float32)).any()


def test_a_gene_that_is_constant_up_to_float32_rounding_adds_nothing() -> None:
    value = np.float32(1000)
    flat = np.resize([value, np.nextafter(value, np.float32(2000))], (40, 1))

    np.testing.assert_array_equal(distances(np.hstack([TRUTH, flat])), distances(TRUTH))
    assert not distances(flat).any()


def test_agreement_is_pearsons_correlation_of_the_pairs() -> None:
    found = agreement(distances(TRUTH), distances(GUESS))

    assert found.value == pytest.approx(pearsonr(pdist(TRUTH), pdist(GUESS))[0], abs=1e-12)
    for spot in (0, 17, 39):
        left = np.delete(np.arange(40), spot)
        expected = pearsonr(pdist(TRUTH[left]), pdist(GUESS[left]))[0]
        assert found.without[spot] == pytest.approx(expected, abs=1e-12)


def test_distances_agree_with_themselves_whatever_their_unit() -> None:
    found = agreement(distances(TRUTH), distances(3 * TRUTH - 5))

    assert found.value == pytest.approx(1, abs=1e-12)
    assert found.interval == pytest.approx((1, 1), abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_spots_changes_no_agreement(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(40)
    a, b = (agreement(distances(TRUTH[p]), distances(GUESS[p])) for p in (np.arange(40), order))

    assert b.value == pytest.approx(a.value, abs=1e-12)
    assert b.interval == pytest.approx(a.interval, abs=1e-12)


def test_agreement_with_a_flat_prediction_is_undefined() -> None:
    found = agreement(distances(TRUTH), distances(np.ones_like(TRUTH)))

    assert math.isnan(found.value)
    assert all(math.isnan(end) for end in found.interval)
    assert not found.tied(agreement(distances(TRUTH), distances(GUESS)))


def test_the_jackknife_error_of_a_mean_is_its_standard_error() -> None:
    values = RNG.normal(size=30)
    without = (values.sum() - values) / 29

    assert jackknife_error(without) == pytest.approx(values.std(ddof=1) / math.sqrt(30))


def test_the_interval_is_as_wide_as_agreement_scatters_between_draws_of_spots() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        truth = rng.gamma(1.0, size=(60, 2)) @ TRUTH[:2]
        found.append(agreement(distances(truth), distances(truth + 2 * rng.normal(size=truth.shape))))
    errors = [jackknife_error(each.without) for each in found]

    assert np.mean(errors) == pytest.approx(np.std([each.value for each in found]), rel=0.25)


def test_a_row_is_tied_if_the_paired_interval_of_the_difference_includes_zero() -> None:
    level = np.linspace(-0.01, 0.01, 50)  # jackknife error 0.041
    best = Agreement(0.8, 0.8 + level)

    assert Agreement(0.75, 0.75 - level).tied(best)  # the error of the difference is 0.083
    assert not Agreement(0.75, 0.75 + level).tied(best)  # the same spots move both, so their difference has none
    assert best.tied(best)


def test_a_sample_has_of_every_grid_cell_its_share_within_one() -> None:
    places = np.random.default_rng(2).normal(size=(3000, 2))  # dense in the middle
    found = sample(places, 700)

    across = round(math.sqrt(CELLS))
    edges = [np.linspace(axis.min(), axis.max(), across + 1) for axis in places.T]
    every, picked = (np.histogram2d(*rows.T, bins=edges)[0] for rows in (places, places[found]))
    assert len(set(found)) == 700
    assert np.abs(picked - every * 700 / 3000).max() < 1


@pytest.mark.parametrize("d", [0, 1, 2, 3])
def test_a_sample_is_the_same_each_time_sorted_and_of_the_size_asked_for(d: int) -> None:
    places = np.random.default_rng(3).uniform(size=(500, d))
    found = sample(places, 120)

    np.testing.assert_array_equal(found, sample(places, 120))
    assert len(found) == 120
    assert (np.diff(found) > 0).all()
    np.testing.assert_array_equal(sample(places, 500), np.arange(500))


def test_a_missing_coordinate_makes_a_sample_plain() -> None:
    places = np.random.default_rng(3).uniform(size=(500, 2))
    places[7, 1] = np.nan

    np.testing.assert_array_equal(sample(places, 120), sample(places[:, :0], 120))


def test_a_line_of_spots_can_be_sampled() -> None:
    places = np.column_stack([np.arange(200.0), np.full(200, 3.0)])

    assert np.bincount(sample(places, 100) // 20).tolist() == [10] * 10


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_block_means_are_means_of_blocks(sizes: list[int]) -> None:
    n = sum(sizes)
    matrix = np.random.default_rng(n).normal(size=(n, n))
    starts = np.cumsum([0, *sizes[:-1]])
    ends = np.cumsum(sizes)

    expected = [
        [matrix[a:b, c:d].mean() for c, d in zip(starts, ends, strict=True)] for a, b in zip(starts, ends, strict=True)
    ]
    np.testing.assert_allclose(block_means(matrix, starts), expected, atol=1e-12)


def test_a_heat_map_is_ordered_and_relative_to_its_99th_percentile() -> None:
    apart, order = distances(TRUTH), np.random.default_rng(5).permutation(40)
    found = image(apart, order)

    assert found is not None
    np.testing.assert_allclose(found, apart[order][:, order] / np.percentile(pdist(TRUTH), 99), rtol=1e-6)
    assert image(np.zeros((5, 5)), np.arange(5)) is None


def test_a_heat_map_of_many_spots_has_a_bounded_number_of_pixels() -> None:
    values = np.random.default_rng(6).normal(size=(3 * PIXELS, 4))
    found = image(distances(values), np.arange(3 * PIXELS))

    assert found is not None
    assert found.shape == (PIXELS, PIXELS)
    expected = squareform(pdist(values)).reshape(PIXELS, 3, PIXELS, 3).mean(axis=(1, 3)) / np.percentile(
        pdist(values), 99
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
