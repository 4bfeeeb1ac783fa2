"""Clusters of spots: Ward's trees, how alike two partitions are, and a prediction beside the truth; on arrays only.

n spots, g genes; `apart` are (n, n) distances between the spots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from scipy.stats import entropy
from sklearn.metrics import silhouette_score
from sklearn.metrics.cluster import expected_mutual_information

from reports.statistics.spot_distances import (
    ROUNDING,
    SEED,
    Agreement,
    Floats,
    Ints,
    agreement,
    block_means,
    distances,
    image,
)

NUMBERS = range(4, 16)
"""Numbers of clusters to choose from where no labels say how many there are."""

HALVES = 5
"""How many random halves of the spots are clustered anew, for the spread of the ARI."""

BRANCHES = 60
"""The uppermost branches of a tree whose order is optimal; for every leaf it would take minutes."""


def ward(apart: Floats) -> Floats:
    """Ward's tree of (n, n) distances, as scipy writes one: (n - 1, 4)."""
    return linkage(squareform(apart, checks=False), "ward")


def own_cophenetic(tree: Floats, apart: Floats) -> float:
    """Cophenetic correlation: of the distances with the heights at which the tree joins each pair; NaN if undefined."""
    return agreement(squareform(cophenet(tree)), apart).value


def cut(tree: Floats, k: int) -> Ints:
    """(n,) clusters, numbered from 1: k of them, or fewer where the tree cannot tell as many apart."""
    return fcluster(tree, k, "maxclust").astype(np.intp)


def best_number(tree: Floats, apart: Floats) -> int:
    """The number of clusters, of `NUMBERS`, with the highest mean silhouette; 1 where nothing is apart."""
    found = {k: cut(tree, k) for k in NUMBERS if k < len(apart)}
    scores = {
        k: silhouette_score(apart, clusters, metric="precomputed")
        for k, clusters in found.items()
        if clusters.max() > 1
    }
    return max(scores, key=lambda k: scores[k], default=1)


def leaf_order(tree: Floats, apart: Floats, branches: int = BRANCHES) -> Ints:
    """(n,) spots in an order of the tree's leaves that brings similar ones together.

    The uppermost branches are ordered optimally (Bar-Joseph et al. 2001) by the mean distances between them; within
    a branch the order is the tree's own.
    """
    order = leaves_list(tree)
    top, roots = _uppermost(tree, min(len(apart), branches))
    in_order = leaves_list(top)
    counts = np.concatenate([np.ones(len(apart)), tree[:, 3]])[roots[in_order]].astype(np.intp)
    starts = np.cumsum(counts) - counts
    spots = dict(zip(in_order, np.split(order, starts[1:]), strict=True))
    between = np.empty((len(roots), len(roots)))
    between[np.ix_(in_order, in_order)] = block_means(apart[np.ix_(order, order)], starts)
    best = optimal_leaf_ordering(top, between[np.triu_indices(len(roots), 1)])
    return np.concatenate([spots[branch] for branch in leaves_list(best)])


def _uppermost(tree: Floats, m: int) -> tuple[Floats, Ints]:
    """The last m - 1 joins as a tree of their own, and which nodes of the whole tree its m leaves are."""
    first = 2 * len(tree) + 2 - m  # of the nodes that these joins make
    top = tree[len(tree) + 1 - m :].copy()
    children = top[:, :2].astype(np.intp)
    leaves = np.sort(children[children < first])
    top[:, :2] = np.where(children < first, np.searchsorted(leaves, children), children - first + m)
    top[:, 3] = np.minimum(top[:, 3], m)  # these count spots; scipy demands that none exceeds the leaves
    return top, leaves


# ---------------------------------------------------------------------------------------------------------------
# How alike two partitions are


@dataclass(frozen=True)
class Likeness:
    """How alike two partitions of the spots are. ari_low, ari_high: the lowest and the highest ARI of the halves.

    homogeneity: 1 if no cluster of the second mixes spots of different clusters of the first.
    """

    ari: float
    ari_low: float
    ari_high: float
    ami: float
    nmi: float
    homogeneity: float


def likeness(truths: Sequence[Ints], found: Sequence[Ints]) -> Likeness:
    """Of partitions of all spots, which come first, and of each half; spots below 0 in the truth have no label."""
    tables = [_shared(truth[truth >= 0], own[truth >= 0]) for truth, own in zip(truths, found, strict=True)]
    aris = [_rand(table) for table in tables]
    return Likeness(aris[0], min(aris[1:]), max(aris[1:]), *_information(tables[0]))


def _shared(truth: Ints, found: Ints) -> Floats:
    """How many spots each cluster of one partition shares with each of the other."""
    (_, row), (names, column) = (np.unique(each, return_inverse=True) for each in (truth, found))
    counts = np.bincount(row * len(names) + column, minlength=(row.max() + 1) * len(names))
    return counts.reshape(-1, len(names)).astype(np.float64)


def _rand(table: Floats) -> float:
    """Hubert and Arabie's adjusted Rand index."""
    every, both, first, second = (
        float((n * (n - 1) / 2).sum()) for n in (table.sum(), table, table.sum(axis=1), table.sum(axis=0))
    )
    chance = first * second / every
    return _ratio(both - chance, (first + second) / 2 - chance)


def _information(table: Floats) -> tuple[float, float, float]:
    """AMI and NMI, both relative to the mean entropy of the two partitions, and homogeneity."""
    first, second, joint = (float(entropy(n)) for n in (table.sum(axis=1), table.sum(axis=0), table.ravel()))
    shared, mean = first + second - joint, (first + second) / 2
    chance = float(expected_mutual_information(table.astype(np.int64), int(table.sum())))
    return _ratio(shared - chance, mean - chance), _ratio(shared, mean), _ratio(shared, first)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > ROUNDING else 1.0  # nothing to be found: two partitions of one cluster are alike


# ---------------------------------------------------------------------------------------------------------------
# A prediction beside the truth


@dataclass(frozen=True, eq=False)
class Measured:
    """What predictions are held against: distances between n spots over the measured values.

    order: of the heat maps. k: number of clusters. halves: places. clusters, labels: of all spots, then of each half.
    """

    apart: Floats
    order: Ints
    k: int
    halves: list[Ints]
    clusters: tuple[Ints, ...]
    labels: tuple[Ints, ...] | None


@dataclass(frozen=True, eq=False)
class Compared:
    """One row beside the truth. cophenetic: of its own tree. image: distances in the truth's order, see `image`."""

    agreement: Agreement
    cophenetic: float
    clusters: Likeness
    labels: Likeness | None
    image: NDArray[np.float32] | None


def halves(n: int) -> list[Ints]:
    """Sorted places of random halves of n spots, the same for every row."""
    rng = np.random.default_rng(SEED)
    return [np.sort(rng.permutation(n)[: n // 2]) for _ in range(HALVES)]


def measured(values: Floats, labels: Ints | None) -> Measured:
    """(n, g) measured values and (n,) labels of the spots, below 0 where there is none -> what there is to find."""
    apart = distances(values)
    tree = ward(apart)
    k = best_number(tree, apart) if labels is None else len(np.unique(labels[labels >= 0]))
    parts = halves(len(apart))
    named = None if labels is None else (labels, *(labels[half] for half in parts))
    return Measured(apart, leaf_order(tree, apart), k, parts, _clusters(tree, apart, k, parts), named)


def compared(truth: Measured, values: Floats) -> Compared:
    """(n, g) predicted values beside the truth."""
    apart = distances(values)
    tree = ward(apart)
    found = _clusters(tree, apart, truth.k, truth.halves)
    return Compared(
        agreement(truth.apart, apart),
        own_cophenetic(tree, apart),
        likeness(truth.clusters, found),
        None if truth.labels is None else likeness(truth.labels, found),
        image(apart, truth.order),
    )


def _clusters(tree: Floats, apart: Floats, k: int, parts: list[Ints]) -> tuple[Ints, ...]:
    return (cut(tree, k), *(cut(ward(apart[np.ix_(part, part)]), k) for part in parts))
