"""Evidence that the claims of a reading come true too often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._evidence import FOLDS, Array, Evidence, Scores, folds_of, weighed
from ._measured import Measured
from ._mixtures import LARGEST, excess, nonzero_mass, surprise
from ._readings import Claims

WIDEST = 0.3
"""A claim may span this share of its value; a wider one says nothing."""


def evidence(target: Measured, claims: Claims, whole: Array) -> Evidence:
    """How far the claims agree with the truth beyond chance.

    whole: (n, g) whether a predicted value is a whole number: predictors of counts write those, and copies on another
    scale among them do not (or the reverse), so the two are weighted apart.
    """
    spots, genes = target.x.shape
    spot = np.arange(spots) if claims.spot is None else claims.spot
    x, judged, whole = (part if claims.spot is None else part[spot] for part in (target.x, target.judged, whole))
    could = judged & (x != 0)
    if claims.few:
        could &= np.isfinite(claims.value)
    fold = folds_of(spots)[spot]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if target.kind == "values":
            away = np.abs(claims.value - x) / claims.error
            row, gene = np.nonzero((away <= 3.0) & could & (claims.error <= WIDEST * np.abs(x)))
            mass = np.bincount(fold, could.sum(axis=1), FOLDS)[:, None]
            value = hits(away[row, gene])
            found = weighed(Scores(value, value**2, spot[row], np.zeros_like(row), mass), spots)
            hit, tries = (value > 0).sum(keepdims=True), np.full(1, len(value))
            return replace(found, z=max(found.z, surprise(hit, tries, 1.0 / 3.0)))
        low, high = np.ceil(claims.value - claims.error), np.floor(claims.value + claims.error)
        width = high - low + 1.0
        usable = judged & (width >= 1.0) & (low >= np.maximum(width, 1.0)) & (high <= LARGEST)
        row, gene = np.nonzero(usable & ((width == 1.0) | (width <= WIDEST * low)))
    at = np.nonzero(could)
    mass = nonzero_mass(x[at], whole[at], fold[at[0]])
    at = row, gene
    return excess(
        x[at], low[at], high[at], whole[at], (spot[row], gene), (spots, genes), mass, target.broken, twice=claims.few
    )


def hits(away: Array) -> Array:
    """(m,) scores of claims on values that are no counts, by how many tolerances they miss (at most 3).

    Where the residual has a smooth density, half as many fall within one tolerance as between one and three: 1, -1/2.
    """
    return np.where(away <= 1.0, 1.0, -0.5)
