"""Zeros of the prediction that are the truth's: among the entries it calls non-zero, zeros are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._evidence import Array, Evidence, folds_of
from ._measured import Measured
from ._mixtures import excess, nonzero_mass

REPEATED = 0.05
"""Share of spots in which a gene's commonest prediction must recur to be its background."""


@dataclass(frozen=True)
class Zeros:
    """Evidence, and how many entries off the background have a truth of 0, 1 and 2."""

    evidence: Evidence
    zeros: int
    ones: int
    twos: int


def background(y: Array) -> Array:
    """(g,) each gene's commonest predicted value; NaN where it recurs in too few of the n spots to mean anything."""
    ordered = np.sort(y, axis=0)
    found = np.full(y.shape[1], np.nan)
    for gene, column in enumerate(ordered.T):
        starts = np.flatnonzero(np.diff(column, prepend=-np.inf) > 0)
        lengths = np.diff(starts, append=len(column))
        longest = int(np.argmax(lengths))
        if lengths[longest] >= max(2.0, REPEATED * len(column)):
            found[gene] = column[starts[longest]]
    return found


def zero_pattern(target: Measured, y: Array) -> Zeros | None:
    """Evidence of too few true zeros off the background; None where there is no background, or no counts.

    Any group of entries formed by the prediction holds at least n1^2 / (2 n2) zeros beside n1 ones and n2 twos. A
    pattern that is the truth's own leaves none.
    """
    level = background(y)
    if target.kind == "values" or np.isnan(level).all():
        return None
    spots = len(y)
    spot, gene = np.nonzero(target.judged & (y != level) & ~np.isnan(level))
    x = target.x[spot, gene]
    one, kind = np.ones(len(x)), np.zeros(len(x), dtype=bool)
    mass = nonzero_mass(x[x == 1], kind[x == 1], folds_of(spots)[spot[x == 1]])
    found = excess(x, one, one, kind, (spot, gene), y.shape, mass, target.broken)
    return Zeros(found, int((x == 0).sum()), int((x == 1).sum()), int((x == 2).sum()))
