"""Trees, clusters and their likeness against scipy's and scikit-learn's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage, optimal_leaf_ordering, to_tree
from scipy.spatial.distance import pdist
from sklearn import metrics
from sklearn.metrics import silhouette_score

from reports.statistics.spot_clusters import (
    HALVES,
    NUMBERS,
    best_number,
    compared,
    cut,
    halves,
    leaf_order,
    likeness,
    measured,
    own_cophenetic,
    ward,
)
from reports.statistics.spot_distances import distances

RNG = np.random.default_rng(0)
GROUP = np.arange(120) % 5
TRUTH = 4 * RNG.normal(size=(5, 8))[GROUP] + RNG.normal(size=(120, 8))
GUESS = TRUTH + 3 * RNG.normal(size=TRUTH.shape)
NOISE = RNG.normal(size=TRUTH.shape)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two partitions are the same up to their names."""
    return bool(metrics.adjusted_rand_score(a, b) == 1)


def test_the_cophenetic_correlation_is_scipys() -> None:
    apart = distances(GUESS)
    tree = ward(apart)
    expected, _ = cophenet(linkage(GUESS, "ward"), pdist(GUESS))

    assert own_cophenetic(tree, apart) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(own_cophenetic(ward(np.zeros((6, 6))), np.zeros((6, 6))))


@pytest.mark.parametrize("k", [1, 4, 9])
def test_clusters_are_those_of_scipys_ward_on_the_values(k: int) -> None:
    found = cut(ward(distances(GUESS)), k)

    assert len(np.unique(found)) == k
    assert same(found, fcluster(linkage(GUESS, "ward"), k, "maxclust"))


def test_the_number_of_clusters_has_the_highest_silhouette() -> None:
    values = 20 * np.eye(6)[np.arange(90) % 6] + np.random.default_rng(1).normal(size=(90, 6))
    tree = linkage(values, "ward")
    scores = {k: silhouette_score(values, fcluster(tree, k, "maxclust")) for k in NUMBERS}

    assert best_number(ward(distances(values)), distances(values)) == max(scores, key=lambda k: scores[k]) == 6
    assert best_number(ward(np.zeros((9, 9))), np.zeros((9, 9))) == 1


def test_the_order_of_a_small_tree_is_scipys_optimal_one() -> None:
    apart = distances(GUESS[:50])
    tree = ward(apart)
    expected = leaves_list(optimal_leaf_ordering(tree, pdist(GUESS[:50])))

    np.testing.assert_array_equal(leaf_order(tree, apart), expected)


@pytest.mark.parametrize("branches", [2, 7, 119])
def test_the_order_of_a_large_tree_parts_no_branch(branches: int) -> None:
    tree = ward(distances(GUESS))
    order = leaf_order(tree, distances(GUESS), branches)
    place = np.argsort(order)

    assert sorted(order) == list(range(120))
    _, nodes = to_tree(tree, rd=True)
    for node in nodes:
        places = place[node.pre_order()]
        assert places.max() - places.min() == node.get_count() - 1


def test_ordered_branches_are_closer_to_their_neighbours_than_in_the_trees_own_order() -> None:
    apart = distances(GUESS)
    tree = ward(apart)

    def between(order: np.ndarray) -> float:
        named = fcluster(tree, 12, "maxclust")[order]
        groups = [order[named == name] for name in dict.fromkeys(named)]
        return sum(float(apart[np.ix_(a, b)].mean()) for a, b in itertools.pairwise(groups))

    assert between(leaf_order(tree, apart, 12)) < between(leaves_list(tree))


@given(
    st.integers(2, 60).flatmap(
        lambda n: st.tuples(*(st.lists(st.integers(0, 5), min_size=n, max_size=n) for _ in range(2)))
    )
)
@settings(max_examples=200, deadline=None)
def test_likeness_is_scikit_learns(partitions: tuple[list[int], list[int]]) -> None:
    truth, found = (np.array(each, dtype=np.intp) for each in partitions)
    like = likeness([truth, truth], [found, found])

    assert like.ari == pytest.approx(metrics.adjusted_rand_score(truth, found), abs=1e-9)
    assert like.ami == pytest.approx(metrics.adjusted_mutual_info_score(truth, found), abs=1e-7)
    assert like.nmi == pytest.approx(metrics.normalized_mutual_info_score(truth, found), abs=1e-9)
    assert like.homogeneity == pytest.approx(metrics.homogeneity_score(truth, found), abs=1e-9)


def test_spots_without_a_label_are_left_out() -> None:
    labels, found = GROUP.copy(), cut(ward(distances(GUESS)), 5)
    labels[:30] = -1
    like = likeness([labels, labels], [found, found])

    assert like.ari == pytest.approx(metrics.adjusted_rand_score(GROUP[30:], found[30:]))


def test_halves_are_halves_and_the_same_each_time() -> None:
    found = halves(101)

    assert [len(set(half)) for half in found] == [50] * HALVES
    assert len({tuple(half) for half in found}) == HALVES
    for a, b in zip(found, halves(101), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_truth_beside_itself_is_perfect() -> None:
    found = compared(measured(TRUTH, None), TRUTH)
    like = found.clusters

    assert found.agreement.value == pytest.approx(1)
    assert (like.ari, like.ari_low, like.ari_high) == (1, 1, 1)
    assert (like.ami, like.nmi, like.homogeneity) == pytest.approx((1, 1, 1))


def test_a_prediction_is_clustered_into_as_many_clusters_as_there_are_labels() -> None:
    labels = np.arange(120, dtype=np.intp) % 7
    truth = measured(TRUTH, labels)
    found = compared(truth, GUESS)
    own = fcluster(linkage(GUESS, "ward"), 7, "maxclust")

    assert truth.k == 7
    assert found.labels is not None
    assert found.labels.ari == pytest.approx(metrics.adjusted_rand_score(labels, own))
    expected = metrics.adjusted_rand_score(fcluster(linkage(TRUTH, "ward"), 7, "maxclust"), own)
    assert found.clusters.ari == pytest.approx(expected)


def test_the_spread_is_that_of_halves_clustered_anew() -> None:
    truth = measured(TRUTH, None)
    found = compared(truth, GUESS).clusters
    aris = [
        metrics.adjusted_rand_score(*(fcluster(linkage(x[half], "ward"), truth.k, "maxclust") for x in (TRUTH, GUESS)))
        for half in halves(120)
    ]

    assert (found.ari_low, found.ari_high) == pytest.approx((min(aris), max(aris)))


def test_a_worse_prediction_has_less_of_everything() -> None:
    truth = measured(TRUTH, GROUP.astype(np.intp))
    better, worse = (compared(truth, values) for values in (GUESS, NOISE))

    assert better.agreement.value > worse.agreement.value
    for name in ("clusters", "labels"):
        for measure in ("ari", "ami", "nmi", "homogeneity"):
            assert getattr(getattr(better, name), measure) > getattr(getattr(worse, name), measure)
    assert worse.clusters.ari == pytest.approx(0, abs=0.05)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_spots_changes_nothing(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(120)
    a, b = (compared(measured(TRUTH[p], GROUP[p].astype(np.intp)), GUESS[p]) for p in (np.arange(120), order))

    assert b.agreement.value == pytest.approx(a.agreement.value, abs=1e-12)
    assert b.cophenetic == pytest.approx(a.cophenetic, abs=1e-12)
    for one, other in ((a.clusters, b.clusters), (a.labels, b.labels)):
        assert one is not None
        assert other is not None
        assert (other.ari, other.ami, other.nmi) == pytest.approx((one.ari, one.ami, one.nmi), abs=1e-9)


def test_a_flat_prediction_has_one_cluster_and_no_heat_map() -> None:
    found = compared(measured(TRUTH, GROUP.astype(np.intp)), np.ones_like(TRUTH))

    assert found.image is None
    assert math.isnan(found.agreement.value)
    assert math.isnan(found.cophenetic)
    assert (found.clusters.ari, found.clusters.ami) == pytest.approx((0, 0), abs=1e-12)
