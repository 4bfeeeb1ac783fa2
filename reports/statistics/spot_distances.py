"""Distances between spots, and how those of a prediction agree with those of the truth, as functions of arrays.

n spots, g genes. Distances are Euclidean over genes, (n, n) and zero on the diagonal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

SEED = 61
"""Of the subsample of spots and of random halves: the same store gives the same numbers."""

CELLS = 100
"""About so many cells of a grid over the tissue give the subsample its shares."""

PIXELS = 160
"""Rows and columns of a heat map at most."""

ROUNDING = 1e-12
"""A difference so small beside what it is the difference of is nothing but rounding."""

_CONSTANT = 1e-6  # of a gene over spots: max - min up to this times max|value| is rounding, as for the metrics
_Z95 = 1.959963984540054


def sample(places: Floats, limit: int) -> Ints:
    """Sorted places of min(n, limit) of the n spots at (n, d) coordinates: of every grid cell its share, within one.

    Without coordinates (d = 0, or one that is not finite) it is a plain sample.
    """
    n = len(places)
    if n <= limit:
        return np.arange(n)
    cell = _cells(places)
    sizes = np.bincount(cell)
    share = sizes * limit / n
    taken = np.floor(share).astype(np.intp)
    taken[np.argsort(taken - share, kind="stable")[: limit - taken.sum()]] += 1  # the largest remainders
    shuffled = np.random.default_rng(SEED).permutation(n)
    by_cell = shuffled[np.argsort(cell[shuffled], kind="stable")]
    within = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_cell[within < np.repeat(taken, sizes)])


def _cells(places: Floats) -> Ints:
    n, d = places.shape
    if not d or not np.isfinite(places).all():
        return np.zeros(n, dtype=np.intp)
    across = round(CELLS ** (1 / d))
    span = np.ptp(places, axis=0)
    steps = across * (places - places.min(axis=0)) / np.where(span > 0, span, 1)
    return np.unique(np.minimum(steps.astype(np.intp), across - 1), axis=0, return_inverse=True)[1].reshape(n)


# ---------------------------------------------------------------------------------------------------------------
# Distances, and their agreement


def distances(values: Floats) -> Floats:
    """(n, g) expression -> (n, n) Euclidean distances; exactly 0 where they are 0 up to rounding."""
    varies = np.ptp(values, axis=0) > _CONSTANT * np.abs(values).max(axis=0)
    x = values[:, varies].astype(np.float64)
    x -= x.mean(axis=0)  # the product below loses fewer digits
    product = x @ x.T
    norms = product.diagonal().copy()
    squared = norms[:, None] + norms
    squared -= 2 * product
    squared[squared < ROUNDING * norms.max()] = 0
    np.fill_diagonal(squared, 0)
    return np.sqrt(squared, out=squared)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Pearson correlation, over all pairs of spots, of two rows' distances (Mantel's statistic); NaN if undefined.

    without: (n,) the same with each spot left out in turn.
    """

    value: float
    without: Floats

    @property
    def interval(self) -> tuple[float, float]:
        """95%, from the delete-one jackknife over spots: pairs that share a spot are not independent, spots are."""
        reach = _Z95 * jackknife_error(self.without)
        low, high = np.clip([self.value - reach, self.value + reach], -1, 1)
        return float(low), float(high)

    def tied(self, best: Agreement) -> bool:
        """Whether the 95% interval of best - this, with the same spots left out of both, includes 0."""
        return best.value - self.value <= _Z95 * jackknife_error(best.without - self.without)


def agreement(first: Floats, second: Floats) -> Agreement:
    """Of two (n, n) distances."""
    n = len(first)
    # A spot's part of every sum over pairs; leaving the spot out takes just that away.
    parts = np.stack(
        [
            first.sum(axis=1),
            second.sum(axis=1),
            *(np.einsum("ij,ij->i", a, b) for a, b in ((first, first), (second, second), (first, second))),
        ]
    )
    total = parts.sum(axis=1, keepdims=True) / 2
    value = _correlation(total, n * (n - 1) / 2)
    return Agreement(float(value[0]), _correlation(total - parts, (n - 1) * (n - 2) / 2))


def jackknife_error(without: Floats) -> float:
    """Standard error from (n,) values, each with one spot left out: sqrt((n - 1) / n * sum of squared deviations)."""
    n = len(without)
    return math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))


def _correlation(sums: Floats, pairs: float) -> Floats:
    """(5, m) sums of a, b, aa, bb and ab over pairs -> (m,) correlations."""
    a, b, aa, bb, ab = sums / pairs
    var_a, var_b = aa - a * a, bb - b * b
    defined = (var_a > ROUNDING * aa) & (var_b > ROUNDING * bb)
    scale = np.sqrt(np.where(defined, var_a * var_b, np.nan))
    return np.clip((ab - a * b) / scale, -1, 1)


# ---------------------------------------------------------------------------------------------------------------
# Heat maps


def image(apart: Floats, order: Ints) -> NDArray[np.float32] | None:
    """Distances between spots in this order, relative to their own 99th percentile; None if that is 0.

    Where there are more than `PIXELS` spots, each pixel is the mean of a block.
    """
    scale = float(np.percentile(squareform(apart, checks=False), 99))
    if not scale:
        return None
    pixels = min(len(order), PIXELS)
    starts = np.arange(pixels) * len(order) // pixels
    return (block_means(apart[np.ix_(order, order)], starts) / scale).astype(np.float32)


def block_means(matrix: Floats, starts: Ints) -> Floats:
    """Means of the blocks of an (n, n) matrix whose rows and columns are split before these places."""
    sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
    sizes = np.diff(starts, append=len(matrix))
    return sums / np.outer(sizes, sizes)
