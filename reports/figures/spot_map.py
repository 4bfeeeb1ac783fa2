"""Spots as a picture: which spot each pixel shows, and how bright a value is. Pure functions of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

NO_SPOT = -1
FLATTEST, TALLEST = 0.4, 1.5
"""Bounds of a picture's height over its width; beyond them a tissue gets empty margins."""

_NEAR = 4

BRIGHTEST = 99
"""Percentile of a picture's own values that is its brightest colour."""


def spot_map(places: Floats, width: int) -> NDArray[np.intp]:
    """(n, 2) x and y of spots -> (height, width) index of the spot that each pixel shows, `NO_SPOT` for none.

    A pixel shows the nearest spot within `disc_radius`, so that no spot is drawn on top of another. x grows to the
    right, y upwards, both on one scale.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    longest = float((high - low).max()) or 1.0
    radius = disc_radius(places, longest)
    span = np.maximum(high - low, 0.1 * longest) + 2 * radius
    aspect = float(np.clip(span[1] / span[0], FLATTEST, TALLEST))
    pixel = max(span[0], span[1] / aspect) / width
    shape = (round(aspect * width), width)
    y, x = (pixel * (np.arange(n) - (n - 1) / 2) for n in shape)
    middle = (low + high) / 2
    grid = np.stack(np.meshgrid(x + middle[0], middle[1] - y), axis=-1).reshape(-1, 2)
    found = cKDTree(places).query(grid, distance_upper_bound=max(radius, pixel))[1]
    return np.where(found < len(places), found, NO_SPOT).reshape(shape)


def disc_radius(places: Floats, longest: float) -> float:
    """A little over half the median distance to the `_NEAR`-th neighbour, at most a twentieth of the tissue.

    On a grid discs just overlap; among cells, whose distances vary, they leave the gaps that there are.
    """
    distinct = np.unique(places, axis=0)
    if len(distinct) <= _NEAR:
        return longest / 20
    distances = cKDTree(distinct).query(distinct, k=[_NEAR + 1])[0]  # the first is the place itself
    return min(0.6 * float(np.median(distances)), longest / 20)


def brightness(values: Floats) -> Floats:
    """(n,) values -> (n,) from 0 (zero and below) to 1 (the 99th percentile and above); NaN stays NaN.

    Where less than a hundredth of the values is above zero, their maximum is 1.
    """
    for top in (np.nanpercentile(values, BRIGHTEST), np.nanmax(values)):
        if top > 0:
            return np.clip(values / top, 0, 1)
    return np.where(np.isnan(values), np.nan, 0.0)


def painted(values: Floats, shown: NDArray[np.intp]) -> Floats:
    """(height, width) value of the spot that each pixel shows, NaN where it shows none."""
    return np.append(values, np.nan)[shown]  # NO_SPOT is the last place


def pcc(truth: NDArray[Any], guess: NDArray[Any]) -> Floats:
    """(n, G) and (n, G) -> (G,) correlation over spots: NaN for a constant truth, 0 for a constant prediction."""
    return np.array([_correlation(x, y) for x, y in zip(truth.T, guess.T, strict=True)], dtype=np.float64)


def _correlation(truth: NDArray[Any], guess: NDArray[Any]) -> float:
    if np.ptp(truth) == 0:
        return math.nan
    if np.ptp(guess) == 0:
        return 0.0
    x, y = (values - values.mean() for values in (truth.astype(np.float64), guess.astype(np.float64)))
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def choose(scores: Floats, each: int = 2) -> dict[int, str]:
    """Place of a gene -> why it is shown, by falling score: `each` highest, around the median, and lowest.

    Of fewer than three times `each` genes one of a kind. Equal scores keep their order; NaN is never chosen.
    """
    order = [int(i) for i in np.argsort(-scores, kind="stable") if not np.isnan(scores[i])]
    n = len(order)
    each = min(each if n >= 3 * each else 1, n)
    middle = n // 2 - each // 2
    kinds = {**dict.fromkeys(range(middle, middle + each), "median")}
    kinds |= dict.fromkeys(range(n - each, n), "lowest") | dict.fromkeys(range(each), "highest")
    return {order[place]: kinds[place] for place in sorted(kinds)}
