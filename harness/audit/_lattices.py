"""Counts behind scaled values: the largest unit of which all values of a row are whole multiples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._evidence import Array

LARGEST_DIVISOR = 1000
"""The smallest value of a row is at most this many units."""
CHANCE = 0.01
"""A row lies on a lattice if values drawn at random would fit one this good with at most this probability."""
TRIED, MOST = 50, 0.9
"""Rows looked at first, and the share of rows that must lie on lattices for all to be read that way."""
FEWEST_ROWS = 10
"""Rows with two values or more that it takes to tell."""
DECIMALS = (5, 4, 3)
"""Values rounded to so many decimals are recognised and given that tolerance."""
STORED = 4e-7
"""Relative error of a value that was computed and stored as float32."""


@dataclass(frozen=True, eq=False)
class Lattices:
    """Rows of whole multiples.

    counts: (n, g) whole numbers. unit: (n,) what one of them is worth, 1 for a row without values.
    found: (n,) whether the row has values and a unit. sure: (n,) whether chance is excluded (`CHANCE`).
    """

    counts: Array
    unit: Array
    found: Array
    sure: Array


def tolerance(values: Array, stored: float = STORED) -> Array:
    """(n, g) by how much stored values may miss what they stand for: float32, and decimals where they fit."""
    size = np.abs(values)
    error = stored * (size + values.std(axis=0))
    for decimals in DECIMALS:
        steps = values * 10.0**decimals
        rounded = np.abs(steps - np.rint(steps)) < np.maximum(1e-3, 1.5e-7 * size * 10.0**decimals)
        error = np.where(rounded, np.maximum(error, 0.51 * 10.0**-decimals), error)
    return np.maximum(error, 1e-12)


def lattices(values: Array, error: Array, largest: int = LARGEST_DIVISOR) -> Lattices:
    """The largest unit of each row: its smallest value divided by the smallest m for which all values fit.

    values: (n, g) >= 0, zeros are always multiples. error: (n, g) absolute tolerance. A row of random values fits
    for m with probability prod 2 e_j over its values but one, e_j the tolerance in units; that is summed over the m
    tried, and a row is given up once the sum says that any fit would be chance.
    """
    positive = values > 0
    smallest = np.where(positive, values, np.inf).min(axis=1)
    found = np.isfinite(smallest)
    smallest = np.where(found, smallest, 1.0)
    relative = np.where(positive, error / np.where(positive, values, 1.0), 0.0)
    of_smallest = np.where(values == smallest[:, None], relative, 0.0).max(axis=1, initial=0.0)
    ratio, relative = values / smallest[:, None], relative + of_smallest[:, None]
    divisor, chance = np.zeros(len(values), dtype=np.intp), np.zeros(len(values))
    left = np.flatnonzero(found)
    for m in range(1, largest + 1):
        scaled, mask = m * ratio[left], positive[left]
        slack = scaled * relative[left]
        fits = np.where(mask, np.minimum(2.0 * slack + 1e-12, 1.0), 1.0)
        chance[left] += fits.prod(axis=1) / fits.max(axis=1, where=mask, initial=1e-12)
        fit = (np.abs(scaled - np.rint(scaled)) <= slack + 1e-9).all(axis=1)
        divisor[left[fit]] = m
        left = left[~fit & (chance[left] < 1.0)]
        if len(left) == 0:
            break
    found = divisor > 0
    counts = np.where(found[:, None], np.rint(ratio * divisor[:, None]), 0.0)
    return Lattices(counts, np.where(found, smallest / np.maximum(divisor, 1), 1.0), found, found & (chance < CHANCE))


def recovered(values: Array, error: Array) -> Lattices | None:
    """The lattices of (n, g) values >= 0, or None where they are not of that kind.

    Rows with two values or more decide, of which `FEWEST_ROWS` are needed; a sample of them is looked at first,
    because searching rows that have no unit is what takes time.
    """
    telling = np.flatnonzero((values > 0).sum(axis=1) >= 2)
    if len(telling) < FEWEST_ROWS:
        return None
    some = telling[:: max(1, len(telling) // TRIED)]
    if lattices(values[some], error[some]).sure.mean() < MOST:
        return None
    everything = lattices(values, error)
    return everything if everything.sure[telling].mean() >= MOST else None


def others_divisor(counts: Array) -> Array:
    """(n, g) greatest common divisor of a row's other counts; 0 where they are all 0.

    A float of 2^53 or more need not be the count that was meant, so it divides by nothing but 1.
    """
    whole = np.where(np.abs(counts) < 2.0**53, counts, 1.0).astype(np.int64)
    left, right = np.zeros_like(whole), np.zeros_like(whole)
    left[:, 1:] = np.gcd.accumulate(whole[:, :-1], axis=1)
    right[:, :-1] = np.gcd.accumulate(whole[:, :0:-1], axis=1)[:, ::-1]
    return np.gcd(left, right)
