"""Thinning: nested, seeded per gene, binomial."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.errors import BadInput
from harness.protocol import PerEntry, PerSpot, Thinning

GENES = ("a", "b", "c")


def counts(seed: int = 0, spots: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).poisson(4, size=(spots, 3)).astype(np.float32)


@given(
    rates=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2).map(sorted),
    way=st.sampled_from([(PerEntry(), "counts"), (PerEntry(), "intensities"), (PerSpot(), "counts")]),
)
def test_what_survives_at_a_lower_rate_survives_at_a_higher_one(rates: list[float], way: tuple[Thinning, str]) -> None:
    values = counts()

    low, high = (way[0].apply(values, GENES, way[1], rate) for rate in rates)

    assert (low <= high).all()
    assert (high <= values).all()


@pytest.mark.parametrize("way", [PerEntry(), PerSpot()])
def test_the_order_of_genes_changes_nothing(way: Thinning) -> None:
    values = counts()

    straight = way.apply(values, GENES, "counts", 0.5)
    turned = way.apply(values[:, ::-1].copy(), GENES[::-1], "counts", 0.5)

    assert (straight == turned[:, ::-1]).all()


def test_entries_are_binomial() -> None:
    values = np.full((20000, 1), 10, dtype=np.float32)

    thinned = PerEntry().apply(values, ("a",), "counts", 0.3)[:, 0]

    observed = np.bincount(thinned.astype(int), minlength=11)
    expected = stats.binom.pmf(np.arange(11), 10, 0.3) * len(values)
    enough = expected > 5
    assert (
        stats.chisquare(observed[enough], expected[enough] * observed[enough].sum() / expected[enough].sum()).pvalue
        > 1e-3
    )


def test_a_rate_of_one_changes_nothing_and_copies() -> None:
    values = counts()

    thinned = PerEntry().apply(values, GENES, "counts", 1.0)

    assert (thinned == values).all()
    assert not np.shares_memory(thinned, values)


def test_the_seed_and_the_gene_matter() -> None:
    same = np.full((500, 2), 6, dtype=np.float32)

    first = PerEntry(seed=0).apply(same, ("a", "b"), "counts", 0.5)
    second = PerEntry(seed=1).apply(same, ("a", "b"), "counts", 0.5)

    assert (first[:, 0] != first[:, 1]).any()
    assert (first != second).any()


def test_non_counts_drop_out_whole() -> None:
    values = counts() + 0.25

    thinned = PerEntry().apply(values, GENES, "intensities", 0.5)

    kept = thinned > 0
    assert (thinned[kept] == values[kept]).all()
    assert kept.mean() == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(BadInput, match="rates lie in"):
        PerEntry().apply(counts(), GENES, "counts", rate)


def test_per_spot_every_total_is_exact_and_entries_are_hypergeometric() -> None:
    values = np.tile(np.array([[6, 3, 1]], dtype=np.float32), (20000, 1))

    thinned = PerSpot().apply(values, GENES, "counts", 0.5)

    assert (thinned.sum(axis=1) == 5).all()
    observed = np.bincount(thinned[:, 0].astype(int), minlength=7)[2:6]
    expected = stats.hypergeom.pmf(np.arange(2, 6), 10, 6, 5)
    assert stats.chisquare(observed, expected / expected.sum() * observed.sum()).pvalue > 1e-3
    # Independent of the order of genes: means and covariances of the library's own multivariate draw.
    other = stats.multivariate_hypergeom.rvs([6, 3, 1], 5, size=20000, random_state=0)
    np.testing.assert_allclose(np.cov(thinned.T), np.cov(other.T), atol=0.03)


def test_per_spot_rounds_down_and_another_seed_draws_others() -> None:
    values = counts()

    thinned = PerSpot().apply(values, GENES, "counts", 0.3)

    assert (thinned.sum(axis=1) == np.floor(values.sum(axis=1) * 0.3 + 1e-9)).all()
    assert (thinned != PerSpot(seed=1).apply(values, GENES, "counts", 0.3)).any()


def test_per_spot_refuses_what_has_no_molecules() -> None:
    with pytest.raises(BadInput, match="use PerEntry"):
        PerSpot().apply(counts(), GENES, "intensities", 0.5)


def test_dropout_of_non_counts_is_said() -> None:
    assert PerEntry().flags("intensities", 0.5) == ("inputs that are no counts drop out entry by entry",)
    assert PerEntry().flags("intensities", 1.0) == PerEntry().flags("counts", 0.5) == ()
