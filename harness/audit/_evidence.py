"""From one score per entry to one z: cross-fitted weights, errors clustered by spot.

A test gives every entry a score whose expectation is at most 0 for any honest prediction. Where such a score is large
differs between groups of entries (a claim of 7 that comes true says more than a claim of 1), so groups are weighted;
a group's weight comes from the other folds of spots, which leaves the expectation at most 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FOLDS = 10
PRIOR_SHARE, PRIOR_SPREAD = 0.15, 0.07
"""What a group's copied share is taken to be before its scores are seen: small files need a starting point."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of m entries, some of them of the same spot.

    value: (m,) of expectation <= 0 where nothing leaked. variance: (m,) what each adds to the variance of the sum.
    spot, group: (m,) integers.
    mass: (FOLDS, groups) what the values of a fold and group would sum to were every entry copied.
    """

    value: Array
    variance: Array
    spot: Array
    group: Array
    mass: Array


@dataclass(frozen=True)
class Evidence:
    """z: the weighted sum in standard errors. share: the same sum as a share of its mass. error: of the share.

    claims: entries with a score. mass: over all groups.
    """

    z: float = 0.0
    share: float = 0.0
    error: float = float("inf")
    claims: int = 0
    mass: float = 0.0


def folds_of(spots: int) -> Array:
    """(spots,) fold of each spot, in turn: spots come in an order that says nothing (see `predictions`)."""
    return np.arange(spots) % FOLDS


def weighed(scores: Scores, spots: int) -> Evidence:
    """Sum the scores with weights that other folds find best; the standard error takes a spot as one observation.

    Per group, S sums the scores of the other folds, V their variance and M is their mass. A copied share r would make
    S = r M, so r is about (r0 / t^2 + S M / V) / (1 / t^2 + M^2 / V) with the prior r0, t; a group's best weight is
    r M / V, and none where r is negative.
    """
    groups = scores.mass.shape[1]
    if len(scores.value) == 0:
        return Evidence(mass=float(scores.mass.sum()))
    fold = folds_of(spots)[scores.spot]
    place = fold * groups + scores.group
    total, square = (
        np.bincount(place, v, FOLDS * groups).reshape(FOLDS, groups) for v in (scores.value, scores.variance)
    )
    total, square, mass = (part.sum(axis=0) - part for part in (total, square, scores.mass))
    square = square + 1.0  # a group seen once or twice has no estimate of its variance
    precision = PRIOR_SPREAD**-2
    share = (PRIOR_SHARE * precision + total * mass / square) / (precision + mass**2 / square)
    weight = np.maximum(share, 0.0) * mass / square
    each = weight.reshape(-1)[place]
    by_spot = np.bincount(scores.spot, each * scores.value, spots)
    whole = float((weight * scores.mass).sum())
    if whole <= 0.0:
        return Evidence(claims=len(scores.value), mass=float(scores.mass.sum()))
    between = ((by_spot - by_spot.mean()) ** 2).sum()
    error = float(np.sqrt(max(between, (each**2 * scores.variance).sum()) + weight.max() ** 2))
    found = float(by_spot.sum())
    return Evidence(found / error, found / whole, error / whole, len(scores.value), float(scores.mass.sum()))
