"""Statistics of ranks over datasets: against scipy, scikit-posthocs, published tables, enumeration and closed forms."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats

from reports.statistics import rank_tests
from reports.statistics.rank_tests import Friedman, friedman, nemenyi, ranks

# Few distinct values, so that ties are common.
SCORES = arrays(
    np.float64, st.tuples(st.integers(2, 7), st.integers(3, 5)), elements=st.sampled_from([1.0, 1.5, 2.25, 3.0])
)

# Demsar (2006), table 2: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 datasets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9754, 0.9746],  # printed as equal, ranked 2 and 3 in his table 6
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_the_highest_score_ranks_first_and_ties_share() -> None:
    assert ranks(np.array([[3.0, 1.0, 3.0], [1.0, 2.0, 3.0]])).tolist() == [[1.5, 3, 1.5], [3, 2, 1]]


def test_scores_that_differ_by_rounding_only_tie() -> None:
    assert ranks(np.array([0.1 + 0.2, 0.3, 0.0])).tolist() == [1.5, 1.5, 3]


@settings(deadline=None)
@given(SCORES)
def test_friedman_agrees_with_scipy_ties_included(scores: np.ndarray) -> None:
    assume(len(np.unique(ranks(scores))) > 1)
    expected = stats.friedmanchisquare(*scores.T)

    found = friedman(ranks(scores))

    assert found.chi2 == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


@settings(deadline=None)
@given(SCORES)
def test_iman_and_davenports_f_is_that_of_a_two_way_analysis_of_variance_of_the_ranks(scores: np.ndarray) -> None:
    placed = ranks(scores)
    datasets, variants = placed.shape
    rows, columns = (placed.mean(axis=axis, keepdims=True) for axis in (1, 0))
    residual = ((placed - rows - columns + placed.mean()) ** 2).sum()
    assume(residual > 1e-9)
    between = datasets * ((columns - placed.mean()) ** 2).sum()
    expected = (between / (variants - 1)) / (residual / ((variants - 1) * (datasets - 1)))

    found = friedman(placed)

    assert found.f == pytest.approx(expected)
    assert found.f_p == pytest.approx(stats.f.sf(expected, variants - 1, (variants - 1) * (datasets - 1)))


@pytest.mark.parametrize("order", [(1.0, 2.0, 3.0), (1.5, 1.5, 3.0), (1.0, 2.0, 3.0, 4.0)])
def test_where_all_datasets_agree_p_is_that_of_enumerating_all_rankings(order: tuple[float, ...]) -> None:
    every = itertools.product(set(itertools.permutations(order)), repeat=3)
    found = friedman(np.array([order] * 3))

    assert found.f == math.inf
    assert found.f_p == pytest.approx(np.mean([a == b == c for a, b, c in every]))


def test_where_all_variants_tie_nothing_differs_and_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert friedman(np.full((5, 3), 2.0)) == Friedman(0.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("variants", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)]
)
def test_the_critical_difference_is_that_of_demsars_table(variants: int, q: float) -> None:
    expected = q * math.sqrt(variants * (variants + 1) / (6 * 12))

    assert rank_tests.critical_difference(variants, 12) == pytest.approx(expected, abs=0.001)


def test_demsars_example_has_his_mean_ranks_and_critical_differences() -> None:
    mean = ranks(DEMSAR).mean(axis=0)

    np.testing.assert_allclose(mean, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    # His chi-square, 9.28, leaves ties uncorrected: the ranks 1 to 4 have the variance 1.25 without any.
    assert friedman(ranks(DEMSAR)).chi2 * ranks(DEMSAR).var() / 1.25 == pytest.approx(9.28, abs=0.005)
    assert rank_tests.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert rank_tests.critical_difference(4, 14, alpha=0.1) == pytest.approx(1.12, abs=0.005)
    # His finding at 10%: C4.5 differs from the two with the parameter m, and from nothing else.
    assert [bool(p < 0.1) for p in nemenyi(mean, 14)[0]] == [False, True, False, True]


@settings(deadline=None, max_examples=30)
@given(SCORES)
def test_nemenyi_agrees_with_scikit_posthocs_ties_included(scores: np.ndarray) -> None:
    expected = posthoc_nemenyi_friedman(scores).to_numpy()

    # It is close, not equal, to 1 where mean ranks are equal.
    np.testing.assert_allclose(nemenyi(ranks(scores).mean(axis=0), len(scores)), expected, atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 30), st.floats(1, 2))
def test_of_two_variants_nemenyi_is_a_normal_test(datasets: int, mean: float) -> None:
    expected = 2 * stats.norm.sf(abs(2 * mean - 3) * math.sqrt(datasets))

    assert nemenyi(np.array([mean, 3 - mean]), datasets)[0, 1] == pytest.approx(expected, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(SCORES)
def test_pairs_differ_by_p_where_they_are_further_apart_than_the_critical_difference(scores: np.ndarray) -> None:
    mean = ranks(scores).mean(axis=0)
    width = rank_tests.critical_difference(len(mean), len(scores))

    apart = np.abs(mean[:, None] - mean)
    np.testing.assert_array_equal(nemenyi(mean, len(scores)) < 0.05, apart > width)


@settings(deadline=None)
@given(st.lists(st.floats(1, 12), min_size=1, max_size=8), st.floats(0, 6))
def test_cliques_are_the_longest_runs_no_wider_than_the_critical_difference(values: list[float], width: float) -> None:
    rising = sorted(values)
    runs = [(i, j) for i, j in itertools.combinations(range(len(rising)), 2) if rising[j] <= rising[i] + width]
    longest = [(i, j) for i, j in runs if not any((a <= i and j <= b) for a, b in runs if (a, b) != (i, j))]

    assert rank_tests.cliques(np.array(values), width) == longest


def test_every_variant_is_in_one_clique_where_nothing_can_be_told_apart_and_none_where_everything_can() -> None:
    mean = np.array([4.0, 1.0, 2.0, 3.0])

    assert rank_tests.cliques(mean, 3.0) == [(0, 3)]
    assert rank_tests.cliques(mean, 0.9) == []


# ---------------------------------------------------------------------------------------------------------------
# Chances


def test_the_same_draws_serve_every_call_and_each_resample_of_genes_serves_each_place_once() -> None:
    datasets, genes = rank_tests.draws(4, 500)

    assert datasets.shape == genes.shape == (500, 4)
    assert set(np.unique(datasets)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(np.sort(genes, axis=0), np.tile(np.arange(500)[:, None], (1, 4)))
    for one, other in zip(rank_tests.draws(4, 500), (datasets, genes), strict=True):
        np.testing.assert_array_equal(one, other)


def test_means_over_drawn_datasets_are_those_of_a_slow_reference() -> None:
    scores = np.random.default_rng(1).normal(size=(3, 40, 2))
    drawn = rank_tests.draws(3, 40)
    expected = [
        [np.mean([scores[d, g, v] for d, g in zip(ds, gs, strict=True)]) for v in range(2)]
        for ds, gs in zip(*drawn, strict=True)
    ]

    np.testing.assert_allclose(rank_tests.over_datasets(scores, drawn), expected)


def test_of_one_dataset_the_draws_are_its_resamples_of_genes() -> None:
    scores = np.random.default_rng(1).normal(size=(1, 60, 2))
    found = rank_tests.over_datasets(scores, rank_tests.draws(1, 60))

    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(scores[0], axis=0))


def test_the_draws_vary_by_datasets_and_genes_together() -> None:
    random = np.random.default_rng(2)
    between, within, d, b = 1.5, 0.8, 6, 40_000
    means = random.normal(0, between, size=(d, 1, 1))
    scores = means + random.normal(0, within, size=(d, b, 1))

    found = rank_tests.over_datasets(scores, rank_tests.draws(d, b)).var()

    assert found == pytest.approx((means.var() + within**2) / d, rel=0.03)


@settings(deadline=None)
@given(SCORES)
def test_chances_of_ranks_are_those_of_breaking_ties_in_every_way(scores: np.ndarray) -> None:
    expected = np.zeros((scores.shape[1],) * 2)
    orders = list(itertools.permutations(range(scores.shape[1])))
    for row in scores:
        for order in orders:
            falling = sorted(order, key=lambda v: -row[v])  # stable: ties stay in the order of this permutation
            for place, v in enumerate(falling):
                expected[v, place] += 1 / (len(orders) * len(scores))

    np.testing.assert_allclose(rank_tests.rank_chances(scores), expected, atol=1e-12)


@settings(deadline=None)
@given(SCORES)
def test_chances_sum_to_one_both_ways_and_their_expectation_is_the_mean_rank(scores: np.ndarray) -> None:
    found = rank_tests.rank_chances(scores)

    np.testing.assert_allclose(found.sum(axis=0), 1)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(found @ np.arange(1, scores.shape[1] + 1), ranks(scores).mean(axis=0))


def test_a_tie_is_half_a_chance_of_being_above() -> None:
    assert rank_tests.chance_above_0(np.array([[1.0, -1.0], [0.0, 0.0], [2.0, -1.0], [1e-15, 5.0]])).tolist() == [
        0.75,
        0.375,
    ]


# ---------------------------------------------------------------------------------------------------------------
# Leaving one out


@settings(deadline=None)
@given(SCORES)
def test_ranks_without_a_dataset_are_those_of_the_others(scores: np.ndarray) -> None:
    expected = [ranks(np.delete(scores, d, axis=0).mean(axis=0)) for d in range(len(scores))]

    np.testing.assert_array_equal(rank_tests.left_out_ranks(scores), expected)


def test_agreement_is_one_for_the_same_order_minus_one_for_its_reverse_and_nan_for_no_order() -> None:
    order = np.array([1.0, 2.0, 3.0])

    assert rank_tests.agreement(order, order) == pytest.approx(1)
    assert rank_tests.agreement(order, order[::-1]) == pytest.approx(-1)
    assert rank_tests.agreement(order, np.array([2.0, 1.0, 3.0])) == pytest.approx(1 / 3)  # two pairs agree, one not
    assert math.isnan(rank_tests.agreement(order, np.full(3, 2.0)))
