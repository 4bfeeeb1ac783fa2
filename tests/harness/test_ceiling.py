"""The ceiling splits every molecule into one half or the other and scores half against half."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.ceiling import ceiling, halves
from harness.errors import BadInput
from harness.metrics import metrics, score

Array = NDArray[Any]


@pytest.fixture
def tissue() -> tuple[Array, Array]:
    """(400 spots, 6 genes) expected counts with a pattern, and size factors."""
    rng = np.random.default_rng(5)
    factors = rng.gamma(5.0, 0.2, 400)
    return rng.gamma(1.0, 1.0, (400, 6)) * factors[:, None], factors


def test_the_halves_are_disjoint_and_make_up_the_counts(tissue: tuple) -> None:
    counts = np.random.default_rng(0).poisson(tissue[0])
    first, second = halves(counts, np.random.default_rng(1))
    np.testing.assert_array_equal(first + second, counts)
    assert (first >= 0).all()
    assert (second >= 0).all()


def test_the_halves_of_poisson_counts_are_uncorrelated() -> None:
    counts = np.random.default_rng(0).poisson(4.0, (40_000, 1))
    first, second = halves(counts, np.random.default_rng(1))
    assert abs(metrics()["pcc"](second, first)[0]) < 0.02


def test_the_score_is_that_of_one_half_against_the_other_at_half_the_factors(tissue: tuple) -> None:
    expected, factors = tissue
    counts = np.random.default_rng(0).poisson(5 * expected).astype(np.float32)
    first, second = halves(counts, np.random.default_rng(7))
    wanted = score(np.log1p(2 * second / factors[:, None]), np.log1p(2 * first / factors[:, None]))
    found = ceiling(counts, factors, np.random.default_rng(7))
    for name in metrics():
        np.testing.assert_allclose(found.values[name], wanted.values[name], atol=1e-12)
    assert np.abs(found.bias).max() < 0.1


def test_deeper_counts_raise_the_ceiling_towards_a_perfect_score(tissue: tuple) -> None:
    expected, factors = tissue
    depths = (1, 10, 1000)
    found = []
    for depth in depths:
        counts = np.random.default_rng(0).poisson(depth * expected)
        found.append(ceiling(counts, depth * factors, np.random.default_rng(1)).means()["pcc"])
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.99


def test_equal_streams_give_equal_ceilings_and_another_stream_another(tissue: tuple) -> None:
    counts, factors = np.random.default_rng(0).poisson(tissue[0]), tissue[1]
    a, b, c = (ceiling(counts, factors, np.random.default_rng(seed)).values["pcc"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize("wrong", [0.5, -1.0, np.nan])
def test_values_that_are_not_counts_are_refused(wrong: float) -> None:
    with pytest.raises(BadInput, match="not counts"):
        ceiling(np.array([[1.0], [wrong]]), np.ones(2), np.random.default_rng(0))


@pytest.mark.parametrize("factors", [np.ones(3), np.array([1.0, 0.0]), np.array([1.0, np.nan])])
def test_size_factors_that_fit_no_spot_are_refused(factors: Array) -> None:
    with pytest.raises(BadInput, match="size_factors"):
        ceiling(np.ones((2, 1)), factors, np.random.default_rng(0))
