"""Paired differences, against closed forms, brute force and scipy."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata, ttest_1samp, wilcoxon

from reports.statistics.paired import EXACT, compare, effect_size, holm, share_better, signed_rank
from reports.statistics.ranking import RESAMPLES, resamples

Floats = NDArray[np.float64]

tied_differences = st.lists(st.integers(-3, 3), min_size=1, max_size=9).map(lambda d: np.array(d, dtype=float))
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=7)


def by_all_signs(differences: Floats) -> float:
    """The exact two-sided p: how often random signs give a sum of positive ranks at least as far out, both sides."""
    kept = differences[differences != 0]
    ranks = rankdata(np.abs(kept))
    sums = np.array([ranks[list(signs)].sum() for signs in product([False, True], repeat=len(kept))])
    observed = ranks[kept > 0].sum()
    return float(min(1, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed))))


def by_closed_testing(p: list[float]) -> list[float]:
    """Holm as what it stands for: a hypothesis falls if every set that holds it does, by Bonferroni."""
    places = range(len(p))
    sets = [s for n in range(1, len(p) + 1) for s in combinations(places, n)]
    return [max(min(1, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in places]


def example(n_rows: int = 3, n_genes: int = 30, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, n_genes, 4)), rng.normal(size=(n_genes, 4))


@settings(max_examples=60, deadline=None)
@given(tied_differences)
def test_the_signed_rank_p_is_that_of_all_signs_with_ties_and_zeros(differences: Floats) -> None:
    assert signed_rank(differences) == pytest.approx(by_all_signs(differences))


@pytest.mark.parametrize("n", [1, 2, 12, EXACT, EXACT + 1, 400])
def test_the_signed_rank_p_is_that_of_scipy_where_nothing_is_tied(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, size=(3, 2, n))

    np.testing.assert_allclose(signed_rank(differences), wilcoxon(differences, axis=-1).pvalue, rtol=1e-9)


def test_without_any_difference_p_is_1() -> None:
    assert signed_rank(np.zeros((2, 80))).tolist() == [1, 1]


@given(p_values)
def test_holm_is_closed_testing_with_bonferroni(p: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p)), by_closed_testing(p))


@given(p_values)
def test_holm_adjusts_every_metric_for_itself(p: list[float]) -> None:
    other = np.linspace(0, 0.3, len(p))
    both = holm(np.column_stack([p, other]))

    np.testing.assert_array_equal(both, np.column_stack([holm(np.array(p)), holm(other)]))


def test_the_effect_size_is_students_t_over_the_root_of_n() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, size=(4, 25))

    np.testing.assert_allclose(effect_size(differences), ttest_1samp(differences, 0, axis=-1).statistic / 5)


@pytest.mark.parametrize(("difference", "effect"), [(0.0, 0.0), (0.1, np.inf), (-0.1, -np.inf)])
def test_an_effect_without_spread_is_zero_or_infinite(difference: float, effect: float) -> None:
    assert effect_size(np.full(7, difference)) == effect


def test_one_gene_has_no_effect_size() -> None:
    assert np.isnan(effect_size(np.array([[0.1]]))).all()


def test_ties_count_half_in_the_share_of_better_genes() -> None:
    assert share_better(np.array([1.0, 2.0, -1.0, 0.0])) == 0.625


def test_a_row_is_better_on_the_genes_on_which_the_reference_is_worse() -> None:
    rows, reference = example(n_rows=1)
    there, back = compare(rows, reference), compare(reference[None], rows[0])

    np.testing.assert_allclose(there.better + back.better, 1)
    np.testing.assert_allclose(there.mean, -back.mean)
    np.testing.assert_allclose(there.p, back.p)


def test_better_means_higher_pcc_and_ssim_and_lower_rmse_and_js() -> None:
    reference = np.full((9, 4), 0.5)

    assert compare(reference[None] + 0.1, reference).better.tolist() == [[1, 1, 0, 0]]


def test_the_interval_is_that_of_the_difference_of_means_over_the_same_genes() -> None:
    rows, reference = example()
    found = compare(rows, reference)

    drawn = [rows[:, pick].mean(axis=1) - reference[pick].mean(axis=0) for pick in resamples(30).picks]
    assert len(drawn) == RESAMPLES
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5], axis=0), atol=1e-11)


def test_no_row_depends_on_the_others() -> None:
    rows, reference = example(n_genes=40)
    rows[1] = np.round(rows[1], 1)
    rows[2] = reference
    together = compare(rows, reference)

    for k in range(3):
        alone = compare(rows[[k]], reference)
        for name in ("mean", "low", "high", "effect", "better", "p"):
            np.testing.assert_array_equal(getattr(together, name)[[k]], getattr(alone, name))


def test_what_differs_in_the_last_digits_only_does_not_differ() -> None:
    _, reference = example()
    found = compare(reference[None] * (1 + 1e-15), reference)

    assert not found.mean.any()
    assert not found.effect.any()
    assert (found.better == 0.5).all()
    assert (found.p == 1).all()
