"""Statistics of curves over sampling rates, as pure functions of arrays.

Axes: R sampling rates, falling; V rows; G genes; B resamples; n points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reports.statistics import ranking

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

THRESHOLD = 0.5
"""A gene with a PCC above it counts as predicted, in the robustness score of Li et al. (Nature Methods 2022)."""

_NORMAL = 1.959963984540054  # the 97.5% point of the normal distribution


def trapezoid(rates: Sequence[float]) -> Floats:
    """(R,) weights of the trapezoid rule over rates in order, divided by their span: the area becomes a mean."""
    gaps = np.abs(np.diff(np.asarray(rates, dtype=np.float64)))
    weights = np.zeros(len(rates))
    weights[:-1] += gaps / 2
    weights[1:] += gaps / 2
    return weights / gaps.sum()


def wilson(hits: Counts, of: Counts) -> tuple[Floats, Floats]:
    """The 95% interval of a share, hits / of, by Wilson's score (1927); NaN where `of` is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share, extra = hits / of, _NORMAL**2 / of
        middle = (share + extra / 2) / (1 + extra)
        half = np.sqrt(extra * (share * (1 - share) + extra / 4)) / (1 + extra)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def passing(pcc: Floats) -> Counts:
    """(R, V, G) PCC -> (R, V) genes above the threshold both at that rate and at the first, the highest."""
    above = pcc > THRESHOLD
    return np.asarray((above & above[0]).sum(axis=-1), dtype=np.int64)


def retained(means: Floats, drawn: Floats) -> tuple[Floats, Floats, Floats]:
    """(R, V) mean PCC over that at the first rate, and its 95% interval from (B, V, R) resampled means.

    NaN where the interval of the mean at the first rate is not above 0: nothing is there to be retained.
    """
    nothing = ranking.interval(drawn[..., 0])[0] <= 0
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = drawn / drawn[..., :1]
        share = means / means[0]
    share[:, nothing] = math.nan
    ratios[:, nothing] = math.nan
    low, high = ranking.interval(ratios)
    return share, low.T, high.T


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Rank correlations (B,) of n points that count (B, n) times each; ties share ranks; NaN where one is constant."""
    a, b = (_midranks(np.round(each, ranking.TIE_DECIMALS), weights) for each in (x, y))
    total = weights.sum(axis=1, keepdims=True)
    a, b = (each - (weights * each).sum(axis=1, keepdims=True) / total for each in (a, b))
    covariance, square_a, square_b = ((weights * each).sum(axis=1) for each in (a * b, a * a, b * b))
    scale = np.sqrt(square_a * square_b)
    return np.divide(covariance, scale, out=np.full(len(scale), math.nan), where=scale > 1e-9)


def _midranks(x: Floats, weights: Floats) -> Floats:
    """(B, n) ranks up to a constant, of (n,) values that count (B, n) times each."""
    return weights @ ((x[:, None] < x) + 0.5 * (x[:, None] == x))


def clustered(x: Floats, y: Floats, cluster: NDArray[np.intp]) -> tuple[float, float, float]:
    """Spearman's correlation with its 95% interval from resampling whole clusters, numbered from 0.

    NaN for fewer than 3 points or a constant; no interval for fewer than 3 clusters.
    """
    if len(x) < 3:
        return math.nan, math.nan, math.nan
    value = float(spearman(x, y, np.ones((1, len(x))))[0])
    clusters = int(cluster.max()) + 1
    if clusters < 3 or math.isnan(value):
        return value, math.nan, math.nan
    times = ranking.resamples(clusters).counts
    draws = spearman(x, y, times[:, cluster])
    low, high = ranking.interval(draws[~np.isnan(draws)])
    return value, float(low), float(high)
