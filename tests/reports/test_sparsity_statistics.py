"""Statistics of curves over sampling rates, against closed forms, brute force and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, spearmanr

from reports.statistics.ranking import resamples
from reports.statistics.sparsity_statistics import clustered, passing, retained, spearman, trapezoid, wilson

Floats = NDArray[np.float64]

rates = st.lists(st.integers(1, 100), min_size=2, max_size=7, unique=True).map(
    lambda found: [percent / 100 for percent in sorted(found, reverse=True)]
)
tied = st.integers(0, 4)


@given(rates, st.integers(0, 99))
def test_the_area_is_that_of_numpy_over_the_span(found: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=len(found))

    expected = np.trapezoid(values[::-1], found[::-1]) / (found[0] - found[-1])
    assert trapezoid(found) @ values == pytest.approx(expected)


@given(rates, st.floats(-2, 2), st.floats(-2, 2))
def test_the_area_under_a_straight_line_is_its_middle(found: list[float], slope: float, start: float) -> None:
    area = trapezoid(found) @ (start + slope * np.array(found))

    assert area == pytest.approx(start + slope * (found[0] + found[-1]) / 2)


def test_the_interval_of_a_share_is_scipys_wilson() -> None:
    pairs = [(hits, of) for of in range(1, 25) for hits in range(of + 1)]
    low, high = wilson(*(np.array(each) for each in zip(*pairs, strict=True)))

    expected = [binomtest(*pair).proportion_ci(method="wilson") for pair in pairs]
    np.testing.assert_allclose(low, [each.low for each in expected], atol=1e-12)
    np.testing.assert_allclose(high, [each.high for each in expected], atol=1e-12)


def test_a_share_of_nothing_has_no_interval() -> None:
    low, high = wilson(np.array([0]), np.array([0]))

    assert np.isnan([low, high]).all()


def test_a_gene_passes_if_it_is_above_the_threshold_at_both_rates() -> None:
    pcc = np.random.default_rng(0).uniform(-0.2, 1, size=(3, 4, 50))
    pcc[:, 0, :3] = 0.5  # not above

    expected = [
        [sum(a > 0.5 and b > 0.5 for a, b in zip(pcc[0, v], pcc[r, v], strict=True)) for v in range(4)]
        for r in range(3)
    ]
    assert passing(pcc).tolist() == expected


def test_what_is_kept_of_genes_that_all_shrink_alike_is_that_factor_for_certain() -> None:
    first = np.random.default_rng(0).uniform(0.1, 0.9, size=40)
    pcc = np.stack([first, 0.7 * first, 0.2 * first])
    drawn = pcc[:, resamples(40).picks].mean(axis=-1).T[:, None]  # (B, V = 1, R)

    for found in retained(pcc.mean(axis=-1)[:, None], drawn):
        np.testing.assert_allclose(found[:, 0], [1, 0.7, 0.2])


@pytest.mark.parametrize("first", [np.zeros(30), np.linspace(-1, 1.02, 30)], ids=["no information", "around 0"])
def test_nothing_is_kept_where_there_was_nothing(first: Floats) -> None:
    pcc = np.stack([first, 0.5 * first])
    drawn = pcc[:, resamples(30).picks].mean(axis=-1).T[:, None]

    assert np.isnan(retained(pcc.mean(axis=-1)[:, None], drawn)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(tied, tied, st.integers(0, 3)), min_size=3, max_size=9))
def test_a_point_that_counts_twice_is_two_points_to_scipy(points: list[tuple[int, int, int]]) -> None:
    x, y, times = (np.array(each, dtype=np.float64) for each in zip(*points, strict=True))
    assume(times.any())
    a, b = (np.repeat(each, times.astype(int)) for each in (x, y))

    found = spearman(x, y, times[None])[0]
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(a, b).statistic, abs=1e-9)


def clusters(n: int) -> tuple[Floats, Floats, NDArray[np.intp]]:
    rng = np.random.default_rng(n)
    cluster = np.repeat(np.arange(n), 4)
    x = rng.normal(size=n)[cluster] + rng.normal(size=len(cluster))
    return x, rng.normal(size=n)[cluster] - x, cluster


def test_the_interval_of_a_correlation_resamples_whole_clusters() -> None:
    x, y, cluster = clusters(5)
    value, low, high = clustered(x, y, cluster)

    picked = [np.concatenate([np.flatnonzero(cluster == each) for each in pick]) for pick in resamples(5).picks]
    draws = [spearmanr(x[places], y[places]).statistic for places in picked]
    assert value == pytest.approx(spearmanr(x, y).statistic)
    np.testing.assert_allclose([low, high], np.percentile(draws, [2.5, 97.5]))


def test_fewer_than_three_clusters_have_no_interval_and_fewer_than_three_points_no_correlation() -> None:
    x, y, cluster = clusters(2)

    value, *ends = clustered(x, y, cluster)
    assert value == pytest.approx(spearmanr(x, y).statistic)
    assert np.isnan(ends).all()
    assert np.isnan(clustered(x[:2], y[:2], cluster[:2])).all()


def test_a_metric_that_never_changes_has_no_correlation_whatever_the_last_digits() -> None:
    x, _, cluster = clusters(4)
    flat = np.log(2) + 1e-15 * np.arange(len(x))

    assert np.isnan(clustered(x, flat, cluster)).all()
