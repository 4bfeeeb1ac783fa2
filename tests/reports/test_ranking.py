"""The statistics as pure functions: against hand-computed cases and slow references."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from reports.statistics.ranking import (
    GROUPS,
    Resamples,
    accuracy_score,
    interval,
    join,
    rank_variants,
    ranks,
    resampled_means,
    resamples,
)

# Few distinct values, so that ties are common.
MEANS = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.7])
)
HIGHER = np.array([True, True, False, False])


def slow_ranks(means: np.ndarray) -> np.ndarray:
    columns = [rankdata(column if higher else -column) for column, higher in zip(means.T, HIGHER, strict=True)]
    return np.stack(columns, axis=-1)


def compared(values: np.ndarray, picks: Resamples):
    return rank_variants(values.mean(axis=1), resampled_means(values, picks))


def random_values(n_variants: int = 4, n_genes: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_variants, n_genes, 4)) + np.linspace(0, 0.4, n_variants)[:, None, None]


def test_a_hand_computed_table_has_its_ranks_and_scores() -> None:
    means = np.array([[0.9, 0.5, 0.4, 0.1], [0.8, 0.7, 0.4, 0.3], [0.1, 0.5, 0.9, 0.2]])

    assert ranks(means).tolist() == [[3, 1.5, 2.5, 3], [2, 3, 2.5, 1], [1, 1.5, 1, 2]]
    assert accuracy_score(means).tolist() == [2.5, 2.125, 1.375]


def test_the_best_on_every_metric_scores_n_and_the_worst_one() -> None:
    means = np.array([[0.1, 0.1, 0.9, 0.9], [0.9, 0.9, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5]])

    assert accuracy_score(means).tolist() == [1, 3, 2]


@given(MEANS)
def test_ranks_agree_with_a_slow_reference_ties_included(means: np.ndarray) -> None:
    np.testing.assert_array_equal(ranks(means), slow_ranks(means))


@given(MEANS, st.randoms(use_true_random=False))
def test_permuting_variants_permutes_their_scores(means: np.ndarray, random) -> None:
    order = list(range(len(means)))
    random.shuffle(order)

    np.testing.assert_array_equal(accuracy_score(means[order]), accuracy_score(means)[order])


@given(MEANS)
def test_a_duplicated_variant_has_the_score_of_its_twin(means: np.ndarray) -> None:
    score = accuracy_score(np.concatenate([means, means[:1]]))

    assert score[0] == score[-1]


@given(MEANS)
def test_scores_lie_between_1_and_n_and_average_to_the_middle(means: np.ndarray) -> None:
    score = accuracy_score(means)

    assert (score >= 1).all()
    assert (score <= len(means)).all()
    assert score.mean() == pytest.approx((len(means) + 1) / 2)


def test_a_missing_mean_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="not finite"):
        ranks(np.array([[0.1, 0.2, 0.3, np.nan], [0.1, 0.2, 0.3, 0.4]]))


def test_means_that_differ_by_rounding_only_are_ties() -> None:
    means = np.array([[0.1 + 0.2, 0.5, 0.5, 0.5], [0.3, 0.5, 0.5, 0.5]])

    assert accuracy_score(means).tolist() == [1.5, 1.5]


def test_resampled_means_are_the_means_of_the_picked_genes() -> None:
    values, picks = random_values(), resamples(30, n=50)

    expected = np.stack([values[:, pick].mean(axis=1) for pick in picks.picks])
    np.testing.assert_allclose(resampled_means(values, picks), expected, rtol=1e-12)


def test_beyond_the_most_units_groups_of_genes_are_resampled_and_intervals_stay_as_wide() -> None:
    n_genes = 4 * GROUPS + 1
    values = np.random.default_rng(2).normal(0.3, 0.2, (1, n_genes, 4))

    picks = resamples(n_genes)
    drawn = resampled_means(values, picks)[:, 0, 0]

    assert picks.picks.shape == (2000, GROUPS)
    assert drawn.mean() == pytest.approx(values[0, :, 0].mean(), abs=1e-4)
    assert drawn.std() == pytest.approx(values[0, :, 0].std() / np.sqrt(n_genes), rel=0.06)  # sd of 2,000 draws: 1.6 %


def test_every_gene_is_in_one_group_and_groups_differ_by_one_gene_at_most() -> None:
    values = np.zeros((1, 2 * GROUPS + 7, 4))
    values[0, 17] = 1.0

    each = resampled_means(values, Resamples(np.arange(GROUPS)[:, None].repeat(GROUPS, 1)))[
        :, 0, 0
    ]  # the mean of every group

    assert np.count_nonzero(each) == 1
    assert 1 / each.max() in (2.0, 3.0)


def test_intervals_and_ties_agree_with_a_slow_reference_over_the_same_resamples() -> None:
    values, picks = random_values(seed=3), resamples(30, n=400)
    scores = np.stack([slow_ranks(values[:, pick].mean(axis=1)).mean(axis=1) for pick in picks.picks])

    found = compared(values, picks)

    np.testing.assert_allclose(found.low, np.percentile(scores, 2.5, axis=0))
    np.testing.assert_allclose(found.high, np.percentile(scores, 97.5, axis=0))
    (top,) = np.flatnonzero(found.best)
    low, high = np.percentile(scores[:, [top]] - scores, [2.5, 97.5], axis=0)
    expected = (low <= 0) & (high >= 0)
    expected[top] = False
    np.testing.assert_array_equal(found.tied, expected)


def test_a_duplicate_of_the_best_is_best_too_in_every_resample() -> None:
    values, picks = random_values(seed=1), resamples(30, n=200)
    top = int(compared(values, picks).score.argmax())

    found = compared(np.concatenate([values, values[[top]]]), picks)

    assert found.best[top]
    assert found.best[-1]
    assert (found.low[top], found.high[top]) == (found.low[-1], found.high[-1])


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)))
def test_reordering_variants_reorders_everything_that_is_said_of_them(order: list[int]) -> None:
    values, picks = random_values(seed=5), resamples(30, n=200)
    straight, turned = compared(values, picks), compared(values[order], picks)

    for name in ("score", "low", "high", "pair_score", "best", "tied"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(straight, name)[order])


def test_reordering_genes_changes_no_score() -> None:
    values = random_values(seed=2)

    np.testing.assert_allclose(
        accuracy_score(values.mean(axis=1)), accuracy_score(values[:, ::-1].mean(axis=1)), rtol=0
    )


def test_a_clear_winner_has_no_tie_and_noise_has() -> None:
    clear = np.stack([np.full((40, 4), q) * [1, 1, -1, -1] for q in (0.1, 0.5, 0.9)])
    noise = np.random.default_rng(0).normal(size=(3, 40, 4))
    picks = resamples(40)

    assert not compared(clear, picks).tied.any()
    assert compared(noise, picks).tied.sum() == 2


def test_a_row_outside_has_the_score_it_would_have_had_alone() -> None:
    values, picks = random_values(n_variants=5, seed=4), resamples(30, n=300)
    inside, outside = values[:4], values[4]
    drawn = resampled_means(values, picks)

    found = join(inside.mean(axis=1), drawn[:, :4], outside.mean(axis=0), drawn[:, 4])

    assert found.score == slow_ranks(values.mean(axis=1)).mean(axis=1)[4]
    scores = np.stack([slow_ranks(values[:, pick].mean(axis=1)).mean(axis=1) for pick in picks.picks])
    low, high = np.percentile(scores[:, :4] - scores[:, 4:], [2.5, 97.5], axis=0)
    np.testing.assert_array_equal(found.above, np.where(low > 0, 1, np.where(high < 0, -1, 0)))


def test_equal_seeds_give_equal_resamples_and_the_seed_matters() -> None:
    assert (resamples(10, n=5, seed=1).picks == resamples.__wrapped__(10, n=5, seed=1).picks).all()
    assert (resamples(10, n=5, seed=1).picks != resamples(10, n=5, seed=2).picks).any()


def test_the_interval_brackets_the_mean_of_its_draws() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 3))
    low, high = interval(draws)

    assert (low < draws.mean(axis=0)).all()
    assert (draws.mean(axis=0) < high).all()


def test_twelve_variants_and_five_hundred_genes_take_well_under_two_seconds() -> None:
    values = random_values(n_variants=12, n_genes=500)
    start = time.process_time()

    compared(values, resamples(500))

    assert time.process_time() - start < 2


def test_means_that_differ_by_single_precision_share_a_rank() -> None:
    """Attention computed in two ways: the same function, up to rounding."""
    means = np.array([[0.529, 0.509, 0.970, 0.005], [0.529 + 4e-9, 0.509 - 3e-9, 0.970, 0.005], [0.4, 0.4, 1.1, 0.02]])

    assert ranks(means).tolist() == [[2.5] * 4, [2.5] * 4, [1.0] * 4]
